"""Screen 6: a new picture before all methods, and everything that can be taken away."""

from typing import Any

import gradio as gr

from promptlab.ui.handlers import share
from promptlab.ui.handlers.views import Up
from promptlab.ui.screens.wire import Page, uploaded
from promptlab.ui.session import Session

OUTPUTS = ("try_said", "share_more", "try_bars", "try_table", "add_class", "share_run", "code")
API = """from gradio_client import Client, handle_file

client = Client("http://127.0.0.1:7860")
session = client.predict(api_name="/open_session")
client.predict(session, "world:animals@pixel-art", 8, api_name="/shots")
run = client.predict(session, "coop", {"steps": 60}, 1, api_name="/train")
print(client.predict(session, handle_file("cat.png"), api_name="/predict"))
print(client.predict(session, api_name="/compare"))
print(client.predict(session, run["id"], "words", 0, api_name="/inspect"))"""


def build(page: Page) -> None:
    page.actions("try_said")
    with gr.Column(visible=False) as page.c["share_more"]:
        with gr.Row(elem_classes="pl-columns"):
            with gr.Column(scale=2, min_width=260):
                page["try_picture"] = gr.Image(
                    type="filepath", sources=["upload", "webcam", "clipboard"], label="A new picture", height=250, elem_id="try_picture"
                )
                page["surprise"] = gr.Button("Take a held-out picture", size="sm", elem_id="surprise")
                page["try_names"] = gr.Textbox(
                    label="Other class names (methods that can answer for new names)",
                    max_length=2000,
                    placeholder="leave empty for your classes",
                    elem_id="try_names",
                )
            with gr.Column(scale=3, min_width=300):
                page.chart("try_bars", "Answers")
                page["try_table"] = gr.HTML(elem_id="try_table")
                with gr.Row(elem_classes="pl-low"):
                    page["add_class"] = gr.Dropdown([], label="It is a", elem_id="add_class")
                    page["add"] = gr.Button("Add it to the shots", elem_id="add")
        gr.Markdown("#### Take away")
        with gr.Row(elem_classes="pl-columns"):
            with gr.Column(elem_classes="pl-card", min_width=240):
                page["share_run"] = gr.Dropdown([], label="Run", elem_id="share_run")
                page["export"] = gr.Button("Export the classifier", elem_id="export")
                page["report"] = gr.Button("Make the report (HTML)", elem_id="report")
                page["file"] = gr.File(label="File", visible=False, interactive=False, elem_id="file")
            with gr.Column(scale=2, min_width=280):
                page["code"] = gr.Code(language="python", label="The same in Python", interactive=False, elem_id="code")
        with gr.Accordion("From other programs", open=False):
            gr.Code(API, language="python", label="gradio_client", interactive=False)


def wire(page: Page) -> None:
    from promptlab.ui.screens.frame import everything

    bars = ["try_bars", "try_table"]
    page.on(page["try_picture"].change, _predict, [page["try_picture"], page["try_names"]], bars)
    page.on(page["try_names"].submit, _predict, [page["try_picture"], page["try_names"]], bars)
    page.on(page["surprise"].click, lambda s: {"try_picture": share.surprise(s)}, (), ["try_picture"])
    page.on(page["add"].click, share.add, [page["try_picture"], page["add_class"]], everything(page), concurrency_id="compute")
    page.on(page["export"].click, lambda s, r: _file(share.export(s, r)), [page["share_run"]], ["file"], **_busy(page["export"]))
    page.on(page["report"].click, lambda s: _file(share.html_report(s)), (), ["file"], concurrency_id="compute", **_busy(page["report"]))


def _file(path: str) -> dict[str, Any]:
    return {"file": Up(value=path, visible=True)}


def _busy(button: Any) -> dict[str, Any]:
    """Work of seconds is seen at the button that asked for it."""
    return {"show_progress": "minimal", "show_progress_on": button}


def _predict(session: Session, path: Any, names: str) -> dict[str, Any]:
    from promptlab.ui.screens.frame import roots

    if path:
        uploaded(session, path, roots())
    return share.predict(session, path, names)
