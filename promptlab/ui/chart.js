// A figure is drawn when it comes into view, again when it or the page's width or colours change.
const box = element.querySelector('.pl-chart');
const whole = (v) => ArrayBuffer.isView(v) || Array.isArray(v) ? Array.from(v) : v;
let drawn = null, wanted = null, laid = 0;  // laid: the width that the figure was laid out for
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
  if (maps.length === 1) {
    layout.xaxis = sparse(layout.xaxis, width - 100, -90);
    layout.yaxis = sparse(layout.yaxis, (layout.height || 320) - 110);
  }
};
// Names beside a matrix with more rows or columns than lines of text: every second, third, ... one stays, all are in the hover.
const sparse = (axis, room, turned) => {
  const names = (axis && axis.ticktext) || [], step = Math.ceil(11 * names.length / Math.max(room, 1));
  if (step < 2) return axis && turned && names.length * 15 > room ? {...axis, tickangle: turned} : axis;
  const keep = (list) => list.filter((_, k) => k % step === 0);
  return {...axis, tickvals: keep(axis.tickvals), ticktext: keep(names), ...(turned ? {tickangle: turned} : {})};
};
// Names on a map: one that finds no free place beside its mark waits for the pointer or for a zoom; the hover always has it.
const PLACES = [['top center', -0.5, 0, -1, -6], ['bottom center', -0.5, 0, 0, 6],
  ['middle right', 0, 8, -0.5, 0], ['middle left', -1, -8, -0.5, 0]];  // its shift in widths, in px, in heights, in px
const named = (data) => data.map((d) => /text/.test(d.mode || '') && Array.isArray(d.text) && d.hovertemplate
  ? {...d, hovertext: d.text, hovertemplate: d.hovertemplate.replace('%{text}', '%{hovertext}')} : d);
const pen = document.createElement('canvas').getContext('2d');
const thinned = async () => {
  const full = box._fullLayout, taken = [];
  for (const [i, d] of (box._fullData || []).entries()) {
    const raw = box.data[i], names = raw && raw.hovertext;
    if (!Array.isArray(names) || !/text/.test(d.mode || '')) continue;
    const xa = full[d.xaxis.replace('x', 'xaxis')], ya = full[d.yaxis.replace('y', 'yaxis')], h = d.textfont.size + 2;
    pen.font = `${d.textfont.size}px ${d.textfont.family}`;
    const at = Array.from(d.x, (x, k) => [xa.d2p(x), ya.d2p(d.y[k])]);
    const marks = at.map(([x, y]) => [x - 5, y - 5, 10, 10]);
    const hits = ([x, y, w, t], [X, Y, W, T]) => x < X + W && X < x + w && y < Y + T && Y < y + t;
    const found = names.map((name, k) => {
      const w = pen.measureText(name).width + 4, [x, y] = at[k];
      for (const [place, rx, dx, ry, dy] of PLACES) {
        const b = [x + rx * w + dx, y + ry * h + dy, w, h];
        const inside = b[0] >= 0 && b[1] >= 0 && b[0] + w <= xa._length && b[1] + h <= ya._length;
        if (!inside || taken.some((o) => hits(b, o)) || marks.some((o, m) => m !== k && hits(b, o))) continue;
        taken.push(b);
        return [name, place];
      }
      return ['', 'top center'];
    });
    await window.Plotly.restyle(box, {text: [found.map((f) => f[0])], textposition: [found.map((f) => f[1])]}, [i]);
  }
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
  fitted(layout, value.data, laid = there.width);
  box.style.height = (layout.height || 320) + 'px';
  box.setAttribute('aria-label', (layout.title && layout.title.text) || 'chart');
  await Plotly.react(box, named(value.data), layout, {responsive: true, displaylogo: false, modeBarButtonsToRemove: ['toImage', 'sendDataToCloud']});
  await thinned();
  if (!drawn) {
    box.on('plotly_relayout', thinned);
    box.on('plotly_click', (e) => { const p = e.points[0]; if (p && p.customdata !== undefined) trigger('click', {act: 'point', at: whole(p.customdata)}); });
    box.on('plotly_selected', (e) => { if (e && e.points) trigger('click', {act: 'lasso',
      at: e.points.filter(p => p.customdata !== undefined).map(p => whole(p.customdata))}); });
  }
  drawn = value;
};
watch('value', draw);
new ResizeObserver(() => {
  const width = element.getBoundingClientRect().width;
  if (props.value && (drawn !== props.value || (width && Math.abs(width - laid) > 40))) draw();
  else if (drawn) window.Plotly.Plots.resize(box).then(thinned);
}).observe(element);
new MutationObserver(() => { if (drawn) draw(); }).observe(document.body, {attributes: true, attributeFilter: ['class']});
draw();
// plotly.js is there before the first figure asks for it, and has drawn once: its first figure takes the longest
const warmed = (Plotly) => {
  if (window.__plotly_warm) return;
  window.__plotly_warm = true;
  const aside = document.createElement('div');
  aside.style.cssText = 'position:absolute;left:-9999px;top:0;width:320px;height:200px;visibility:hidden';
  aside.setAttribute('aria-hidden', 'true');
  document.body.appendChild(aside);
  const first = Plotly.newPlot(aside, [{x: [0, 1], y: [0, 1], mode: 'lines+markers'}], {}, {displayModeBar: false});
  first.then(() => { Plotly.purge(aside); aside.remove(); });
};
setTimeout(() => library().then((Plotly) => (window.requestIdleCallback || setTimeout)(() => warmed(Plotly))).catch(() => {}), 1500);
