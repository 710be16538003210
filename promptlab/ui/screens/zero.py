"""Screen 2: accuracy of the untouched model, pictures with marks, similarities, and the playground."""

import gradio as gr

from promptlab.ui.handlers import acts, zero
from promptlab.ui.screens.wire import Page

OUTPUTS = ("zero_said", "zero_grid", "similar", "zero_bars", "zero_picture", "zero_more", "names")


def build(page: Page) -> None:
    page.actions("zero_said")
    with gr.Column(visible=False) as page.c["zero_more"]:
        with gr.Row(elem_classes="pl-columns"):
            page["chip"] = gr.Radio(
                list(zero.CHIPS), value=next(iter(zero.CHIPS)), label="Sentence around the class name", scale=3, elem_id="chip"
            )
            page["template"] = gr.Textbox(
                label="or your own, with {} for the name",
                placeholder="a pixel drawing of a {}.",
                max_length=200,
                scale=2,
                elem_id="template",
            )
        with gr.Row(elem_classes="pl-columns"):
            with gr.Column(scale=3, min_width=300):
                gr.Markdown("#### Held-out pictures")
                page.actions("zero_grid")
            with gr.Column(scale=2, min_width=280, elem_classes="pl-card"):
                gr.Markdown("#### Playground")
                page["zero_picture"] = gr.HTML()
                page["names"] = gr.Textbox(label="Class names, with commas between them", lines=2, max_length=4000, elem_id="names")
                page.chart("zero_bars", "Probabilities")
                page["onward"] = gr.Button("Choose methods", variant="primary", elem_id="onward")
        page.chart("similar", "Similarity of pictures and names")


def wire(page: Page) -> None:
    from promptlab.ui.screens.frame import everything

    names = everything(page)
    page.on(page["chip"].input, lambda s, chip: zero.sentences(s, chip, ""), [page["chip"]], names, concurrency_id="compute")
    page.on(page["template"].submit, lambda s, own: zero.sentences(s, "", own), [page["template"]], names, concurrency_id="compute")
    page.on(
        page["names"].change,  # input comes with keys alone: not with a paste, nor where something is deleted
        lambda s, n: zero.play(s, n, None),
        [page["names"]],
        ["zero_bars", "zero_picture"],
        trigger_mode="always_last",
        queue=False,
    )
    page.on(page["similar"].click, lambda s, e: zero.pick(s, (e.get("at") or [""])[0]), (), ["zero_bars", "zero_picture"], event=True)
    page.on(page["onward"].click, lambda s: acts.go(s, "train"), (), names)
