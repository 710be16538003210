// Buttons carry data-act and further data-*; a press tells the server. Inputs with data-change tell it when they are left.
// [data-files] opens the file dialogue, [data-drop] takes dropped files; [data-split] moves the line of a before/after picture.
const tell = (el, more) => {
  const data = {...el.dataset, ...more};
  trigger('click', data);
};
// Answers replace this HTML, or its parts in their places: the button that was pressed keeps the focus wherever it now stands, and what a
// visitor has unfolded (details[data-keep]) stays so.
let pressed = null;
const unfolded = new Map(), sign = (el) => JSON.stringify(el.dataset);
element.addEventListener('click', (e) => {
  const fold = e.target.closest('summary') && e.target.closest('details[data-keep]');
  if (fold) unfolded.set(fold.dataset.keep, !fold.open);  // the click opens or closes it after this
});
new MutationObserver(() => {
  for (const d of element.querySelectorAll('details[data-keep]')) {
    const open = unfolded.get(d.dataset.keep);
    if (open !== undefined && d.open !== open) d.open = open;  // only a change: writing the same value calls this observer for ever
  }
  const at = document.activeElement;
  if (!pressed || (at !== document.body && !element.contains(at))) return;
  const again = [...element.querySelectorAll('[data-act]')].find((el) => sign(el) === pressed);
  if (again && again !== at) again.focus({preventScroll: true});
  pressed = null;
}).observe(element, {childList: true, subtree: true, attributes: true, attributeFilter: ['data-run', 'data-method', 'data-by', 'open']});
element.addEventListener('click', (e) => {
  const files = e.target.closest('[data-files]');
  if (files && element.contains(files)) { choose(files.dataset.files); return; }
  const el = e.target.closest('[data-act]');
  if (el && element.contains(el) && !el.disabled) { e.preventDefault(); pressed = sign(el); tell(el, {}); }
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
