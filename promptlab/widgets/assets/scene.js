// Shows HTML that Python made and says back what was pointed at. Elements carry data-pick and/or data-hover; a .pl-wipe holds a slider.
function setup(model, root) {
  for (const wipe of root.querySelectorAll(".pl-wipe")) {
    const range = wipe.querySelector("input[type=range]");
    const move = () => wipe.style.setProperty("--wipe", range.value + "%");
    range.value = model.get("wipe");
    range.addEventListener("input", move);
    range.addEventListener("change", () => { model.set("wipe", Number(range.value)); model.save_changes(); });
    move();
  }
  for (const part of root.querySelectorAll("[data-pick]")) {
    part.setAttribute("tabindex", "0");
    part.setAttribute("role", "button");
  }
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "pl-scene";
  el.appendChild(root);
  const send = (trait, value) => {
    if (value === undefined || model.get(trait) === value) return;
    model.set(trait, value);
    model.save_changes();
  };
  const under = (event, name) => event.target.closest && event.target.closest(`[data-${name}]`);
  const draw = () => {
    const held = root.contains(document.activeElement) ? document.activeElement.dataset.pick : undefined;
    root.innerHTML = model.get("html");
    root.setAttribute("aria-label", model.get("label"));
    setup(model, root);
    if (held !== undefined) {
      const again = root.querySelector(`[data-pick="${CSS.escape(held)}"]`);
      if (again) again.focus({ preventScroll: true });
    }
  };
  root.addEventListener("click", (event) => { const part = under(event, "pick"); if (part) send("picked", part.dataset.pick); });
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    const part = under(event, "pick");
    if (part) { event.preventDefault(); send("picked", part.dataset.pick); }
  });
  root.addEventListener("pointerover", (event) => { const part = under(event, "hover"); if (part) send("hovered", part.dataset.hover); });
  model.on("change:html", draw);
  model.on("change:label", draw);
  draw();
  return () => { model.off("change:html", draw); model.off("change:label", draw); };
}

export default { render };
