// A figure is drawn when it comes into view, again when it or the page's width or colours change.
const box = element.querySelector('.pl-chart');
const whole = (v) => ArrayBuffer.isView(v) || Array.isArray(v) ? Array.from(v) : v;
let drawn = null, wanted = null, seen = false;
const library = () => window.__plotly ??= new Promise((done, fail) => {
  const tag = document.createElement('script');
  const root = (window.gradio_config && window.gradio_config.root) || new URL('.', location.href).href.replace(/\/$/, '');
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
  for (const k of Object.keys(layout)) if (/^[xy]axis/.test(k)) layout[k] = {zerolinecolor: 'rgba(138,143,152,0.4)', ...layout[k]};
  if (layout.title && layout.title.font) layout.title = {...layout.title, font: {...layout.title.font, color: ink}};
  box.style.height = (layout.height || 320) + 'px';
  box.setAttribute('aria-label', (layout.title && layout.title.text) || 'chart');
  await Plotly.react(box, value.data, layout, {responsive: true, displaylogo: false, modeBarButtonsToRemove: ['toImage', 'sendDataToCloud']});
  if (!drawn) {
    box.on('plotly_click', (e) => { const p = e.points[0]; if (p && p.customdata !== undefined) trigger('click', {act: 'point', at: whole(p.customdata)}); });
    box.on('plotly_selected', (e) => { if (e && e.points) trigger('click', {act: 'lasso',
      at: e.points.filter(p => p.customdata !== undefined).map(p => whole(p.customdata))}); });
  }
  drawn = value;
};
watch('value', draw);
new ResizeObserver(() => { if (props.value && (!drawn || drawn !== props.value)) draw(); else if (drawn) window.Plotly.Plots.resize(box); })
  .observe(element);
new MutationObserver(() => { if (drawn) draw(); }).observe(document.body, {attributes: true, attributeFilter: ['class']});
draw();
