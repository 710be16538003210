"""Screen 3: the methods with their filters and knobs; live curves and Stop."""

from typing import Any

import gradio as gr

from promptlab.ui import controls, core, says
from promptlab.ui.handlers import acts, train
from promptlab.ui.screens.wire import Page
from promptlab.ui.session import SESSIONS

OUTPUTS = ("methods", "go_train", "curves", "progress", "train_done", "stop", "knobs_for", "board", "doctor", "shots_said", "see")


def build(page: Page) -> None:
    families, supervision = controls.filters()
    with gr.Row(elem_classes="pl-trainbar"):
        page["go_train"] = gr.Button("Train", variant="primary", interactive=False, elem_id="go_train", scale=3)
        page["stop"] = gr.Button("Stop", interactive=False, elem_id="stop", scale=1, min_width=90)
    page.actions("train_done")
    page["progress"] = gr.HTML(elem_id="progress")
    page.chart("curves", "Loss and held-out accuracy")
    with gr.Accordion("Filter the methods", open=False):
        with gr.Row():
            page["families"] = gr.CheckboxGroup(families, label="Family", elem_id="families")
            page["supervision"] = gr.CheckboxGroup(supervision, label="Learns from", elem_id="supervision")
            page["search"] = gr.Textbox(label="Search", max_length=60, elem_id="search")
    with gr.Accordion("Advanced: knobs of the ticked methods", open=False, elem_id="advanced"):
        page["knob_area"] = gr.Column()
    page["knobs_for"] = gr.Textbox(visible="hidden", elem_id="knobs_for")
    page.actions("methods", train.empty(says.GATE))


def wire(page: Page) -> None:
    from promptlab.ui.screens.app import watch
    from promptlab.ui.screens.frame import everything

    names = everything(page)
    started = page.on(page["go_train"].click, train.start, (), OUTPUTS, queue=False)
    watch(page, started.then)
    pressed = page.on(page["train_done"].click, acts.press, (), names, event=True)
    watch(page, pressed.then)
    page.on(page["stop"].click, train.stop, (), OUTPUTS, queue=False)
    for name in ("families", "supervision", "search"):
        page.on(
            page[name].change if name == "search" else page[name].input,  # a box's input misses what is pasted or deleted
            train.filtered,
            [page["families"], page["supervision"], page["search"]],
            ["methods"],
            trigger_mode="always_last",
        )
    _knobs(page)


def _knobs(page: Page) -> None:
    """Controls from the cards of the ticked methods, drawn again when the ticks change."""
    with page["knob_area"]:

        @gr.render(inputs=[page.token, page["knobs_for"]], triggers=[page["knobs_for"].change], show_progress="hidden")
        def draw(token: Any, listed: str) -> None:
            if not listed or not SESSIONS.known(token):
                gr.HTML("<p class='pl-note'>Tick a method to see its knobs.</p>")
                return
            with SESSIONS.using(token) as session:
                for method in listed.split(","):
                    _method(page, session, method)


def _method(page: Page, session: Any, method: str) -> None:
    found, given = controls.controls(method, core.preset(method, session)), session.knobs.get(method, {})
    with gr.Accordion(core.title(method), open=False, key=f"knobs-{method}"):
        with gr.Row():
            for c in [c for c in found if c.first]:
                _wired(page, method, c, given)
        with gr.Accordion("All knobs", open=False, key=f"all-{method}"), gr.Row():
            for c in [c for c in found if not c.first]:
                _wired(page, method, c, given)


def _wired(page: Page, method: str, c: controls.Control, given: dict[str, Any]) -> None:
    part = _control(method, c, given.get(c.name, c.value))
    page.on(
        part.change,
        lambda s, value, m=method, n=c.name: train.knob(s, m, n, value),
        [part],
        ["train_done", "go_train"],
        queue=False,
        key=f"on-{method}-{c.name}",
    )


def _control(method: str, c: controls.Control, value: Any) -> Any:
    common = {
        "label": c.label,
        "info": c.help,
        "key": f"{method}-{c.name}",
        "min_width": 180,
        "preserved_by_key": ["value"],
        "interactive": True,
    }
    if c.choices:
        return gr.Radio(list(c.choices), value=value, **common)
    if c.type is bool:
        return gr.Checkbox(value=bool(value), **common)
    if c.slider:
        return gr.Slider(c.low, c.high, value=value, step=c.step, **common)
    if c.type in (int, float):
        return gr.Number(value=value, precision=0 if c.type is int else None, **common)
    return gr.Textbox(value="" if value is None else str(value), max_length=200, **common)
