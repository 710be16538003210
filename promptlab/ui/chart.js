// A figure is drawn when it comes into view, again when it or the page's width or colours change.
const box = element.querySelector('.pl-chart');
const whole = (v) => ArrayBuffer.isView(v) || Array.isArray(v) ? Array.from(v) : v;
let drawn = null, wanted = null;
// Plotly breaks no lines: a title wider than the page is wrapped here, and names that would lie on one another are left to the hover.
const wrapped = (text, most) => text.split('<br>').map((part) => part.split(' ').reduce((rows, word) => {
  const last = rows[rows.length - 1];
  return last && (last + ' ' + word).length > most ? [...rows, word] : [...rows.slice(0, -1), (last ? last + ' ' : '') + word];
}, [''])).flat();
const fitted = (layout, data, width) => {
  const title = layout.title && layout.title.text;
  if (title) {
    const rows = wrapped(title, Math.floor((width - 24) / 7.6)), more = 19 * (rows.length - title.split('<br>').length);
    layout.title = {...layout.title, text: rows.join('<br>')};
    layout.margin = {...(layout.margin || {}), t: ((layout.margin || {}).t ?? 80) + more};
    layout.height = (layout.height || 320) + more;
  }
  if (width < 520) layout.height = (layout.height || 320) + 16 * data.filter((d) => d.name && d.showlegend !== false).length;
  const maps = data.filter((d) => d.type === 'heatmap' && d.z && !/^x./.test(d.xaxis || 'x'));
  const ticks = layout.xaxis && layout.xaxis.ticktext;
  if (maps.length === 1 && ticks && ticks.length && (width - 100) / ticks.length < 11) layout.xaxis = {...layout.xaxis, showticklabels: false};
};
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
  const inked = (s) => ({...s, font: {...(s.font || {}), color: ink}, currentvalue: {...(s.currentvalue || {}), font: {color: ink}}});
  if (layout.sliders) layout.sliders = layout.sliders.map(inked);
  for (const k of Object.keys(layout)) if (/^[xy]axis/.test(k)) layout[k] = {zerolinecolor: 'rgba(138,143,152,0.4)', ...layout[k]};
  if (layout.title && layout.title.font) layout.title = {...layout.title, font: {...layout.title.font, color: ink}};
  fitted(layout, value.data, there.width);
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
setTimeout(() => library().catch(() => {}), 1500);  // plotly.js is there before the first figure asks for it
