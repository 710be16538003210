"""The page's own JavaScript: buttons inside HTML pieces, and charts on the plotly.js of the plotly wheel. Nothing is loaded from elsewhere."""

from promptlab.plots.linked import plotlyjs

# Buttons carry data-act and further data-*; a press tells the server. Inputs with data-change tell it when they are left.
# [data-files] opens the file dialogue, [data-drop] takes dropped files; [data-split] moves the line of a before/after picture.
ACTIONS = """
const tell = (el, more) => {
  const data = {...el.dataset, ...more};
  trigger('click', data);
};
element.addEventListener('click', (e) => {
  const files = e.target.closest('[data-files]');
  if (files && element.contains(files)) { choose(files.dataset.files); return; }
  const el = e.target.closest('[data-act]');
  if (el && element.contains(el) && !el.disabled) { e.preventDefault(); tell(el, {}); }
});
element.addEventListener('change', (e) => {
  const el = e.target.closest('[data-change]');
  if (el) trigger('click', {...el.dataset, act: el.dataset.change, value: el.value});
});
element.addEventListener('input', (e) => {
  if (e.target.dataset && e.target.dataset.split) e.target.parentElement.style.setProperty('--at', e.target.value + '%');
});
const send = async (card, list) => {
  const found = [...list].slice(0, 2001);
  if (!found.length) return;
  const zone = element.querySelector(`[data-files="${card}"]`);
  const label = zone ? zone.textContent : '';
  const sent = [], failed = [];
  for (const [i, file] of found.entries()) {
    if (zone) zone.textContent = `Sending ${i + 1} of ${found.length} …`;
    try { const up = await upload(file); sent.push({path: up.path, name: file.name}); }
    catch (err) { failed.push(file.name); }
  }
  if (zone) zone.textContent = label;
  trigger('click', {act: 'files', card, files: sent, failed});
};
const choose = (card) => {
  const input = document.createElement('input');
  input.type = 'file'; input.multiple = true; input.accept = 'image/*'; input.className = 'pl-hidden-files';
  input.onchange = () => { send(card, input.files); input.remove(); };
  element.appendChild(input); input.click();
};
element.addEventListener('dragover', (e) => {
  const zone = e.target.closest('[data-drop]');
  if (zone) { e.preventDefault(); zone.classList.add('pl-over-drop'); }
});
element.addEventListener('dragleave', (e) => { const z = e.target.closest('[data-drop]'); if (z) z.classList.remove('pl-over-drop'); });
element.addEventListener('drop', (e) => {
  const zone = e.target.closest('[data-drop]');
  if (zone) { e.preventDefault(); zone.classList.remove('pl-over-drop'); send(zone.dataset.drop, e.dataTransfer.files); }
});
"""

CHART_TEMPLATE = "<div class='pl-chart' role='img'></div><p class='pl-nochart'></p>"

# A figure is drawn when it comes into view, again when it or the page's width or colours change.
CHART = """
const box = element.querySelector('.pl-chart'), none = element.querySelector('.pl-nochart');
let drawn = null, wanted = null, seen = false;
const library = () => window.__plotly ??= new Promise((done, fail) => {
  const tag = document.createElement('script');
  const root = (window.gradio_config && window.gradio_config.root) || new URL('.', location.href).href.replace(/\\/$/, '');
  tag.src = root + '/gradio_api/file=PLOTLY';
  tag.onload = () => done(window.Plotly); tag.onerror = () => fail(new Error('plotly.js did not load'));
  document.head.appendChild(tag);
});
const draw = async () => {
  const value = props.value;
  if (!value) { if (drawn) { window.Plotly.purge(box); drawn = null; } element.style.display = 'none'; return; }
  element.style.display = '';
  wanted = value;
  const there = element.getBoundingClientRect();
  if (there.width === 0) return;
  const Plotly = await library();
  if (wanted !== value) return;
  const style = getComputedStyle(document.body), ink = style.getPropertyValue('--body-text-color').trim() || '#374151';
  const layout = {...value.layout, autosize: true, width: undefined, paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)'};
  layout.font = {...(layout.font || {}), color: ink};
  layout.annotations = (layout.annotations || []).map(a => ({...a, font: {...(a.font || {}), color: ink}}));
  if (layout.title && layout.title.font) layout.title = {...layout.title, font: {...layout.title.font, color: ink}};
  box.style.height = (layout.height || 320) + 'px';
  box.setAttribute('aria-label', (layout.title && layout.title.text) || 'chart');
  await Plotly.react(box, value.data, layout, {responsive: true, displaylogo: false, modeBarButtonsToRemove: ['toImage', 'sendDataToCloud']});
  if (!drawn) {
    box.on('plotly_click', (e) => { const p = e.points[0]; if (p && p.customdata !== undefined) trigger('click', {act: 'point', at: p.customdata}); });
    box.on('plotly_selected', (e) => { if (e && e.points) trigger('click', {act: 'lasso',
      at: e.points.filter(p => p.customdata !== undefined).map(p => p.customdata)}); });
  }
  drawn = value;
};
watch('value', draw);
new ResizeObserver(() => { if (props.value && (!drawn || drawn !== props.value)) draw(); else if (drawn) window.Plotly.Plots.resize(box); })
  .observe(element);
new MutationObserver(() => { if (drawn) draw(); }).observe(document.body, {attributes: true, attributeFilter: ['class']});
draw();
""".replace("PLOTLY", str(plotlyjs()).replace("\\", "/"))
