"""Screen 5: one picture and one run; evidence, words, map, replay, and what else the method shows."""

import gradio as gr

from promptlab.ui.handlers import inspect as look
from promptlab.ui.screens.wire import Page

OUTPUTS = (
    "inspect_said",
    "inspect_more",
    "look_run",
    "look_class",
    "look_picture",
    "evidence",
    "words",
    "words_said",
    "drift",
    "map",
    "map_said",
    "map_class",
    "map_picked",
    "replay_said",
    "replay_at",
    "replay_map",
    "replay_evidence",
    "exhibit",
    "exhibit_plot",
    "exhibit_said",
)
TITLES = {"evidence": "Evidence", "prompt": "Prompt", "map": "Map", "replay": "Replay", "more": "More"}


def build(page: Page) -> None:
    page.actions("inspect_said")
    with gr.Row(visible=False, elem_classes="pl-columns") as page.c["inspect_more"]:
        with gr.Column(scale=1, min_width=230, elem_classes="pl-card"):
            page["look_run"] = gr.Dropdown([], label="Run", elem_id="look_run")
            page["look_picture"] = gr.HTML(elem_id="look_picture")
            with gr.Row():
                page["before"] = gr.Button("‹ previous", size="sm", min_width=90, elem_id="before")
                page["after"] = gr.Button("next ›", size="sm", min_width=90, elem_id="after")
        with gr.Column(scale=4, min_width=300):
            page["lenses"] = gr.Tabs(selected="evidence", elem_id="lenses")
            with page["lenses"]:
                for key, title in TITLES.items():
                    with gr.Tab(title, id=key, render_children=True) as page.c[f"tab_{key}"]:
                        _LENS[key](page)


def _evidence(page: Page) -> None:
    page["look_class"] = gr.Dropdown([], label="Evidence for", elem_id="look_class")
    page.actions("evidence")


def _prompt(page: Page) -> None:
    page.chart("words", "Nearest words")
    page.actions("words_said")
    page.chart("drift", "Drift over the epochs")


def _map(page: Page) -> None:
    page.chart("map", "Map of pictures and names")
    page["map_said"] = gr.HTML(elem_id="map_said")
    page["map_class"] = gr.Dropdown([], label="Select all pictures of a class (instead of the lasso)", elem_id="map_class")
    page.actions("map_picked")


def _replay(page: Page) -> None:
    page["replay_at"] = gr.Slider(1, 2, value=1, step=1, label="Point in time", visible=False, elem_id="replay_at")
    page["replay_said"] = gr.HTML(elem_id="replay_said")
    with gr.Row(elem_classes="pl-columns"):
        page.chart("replay_map", "Map at this time")
        page["replay_evidence"] = gr.HTML(elem_id="replay_evidence")


def _more(page: Page) -> None:
    page["exhibit"] = gr.Dropdown([], label="Exhibit", elem_id="exhibit")
    page.chart("exhibit_plot", "Exhibit")
    page["exhibit_said"] = gr.HTML(elem_id="exhibit_said")


_LENS = {"evidence": _evidence, "prompt": _prompt, "map": _map, "replay": _replay, "more": _more}


def wire(page: Page) -> None:
    heavy = {"concurrency_id": "look", "concurrency_limit": 2}
    for key in TITLES:
        page.on(page[f"tab_{key}"].select, lambda s, k=key: look.lens(s, k), (), OUTPUTS, **heavy)
    page.on(page["look_run"].input, look.run, [page["look_run"]], OUTPUTS, **heavy)
    page.on(page["look_class"].input, look.word, [page["look_class"]], OUTPUTS, **heavy)
    page.on(page["before"].click, lambda s: look.step(s, -1), (), OUTPUTS, **heavy)
    page.on(page["after"].click, lambda s: look.step(s, 1), (), OUTPUTS, **heavy)
    page.on(page["map"].click, _point, (), OUTPUTS, event=True, **heavy)
    page.on(page["map_class"].input, look.lasso_class, [page["map_class"]], ["map_picked"])
    page.on(page["replay_at"].release, look.frame_at, [page["replay_at"]], OUTPUTS, **heavy)
    page.on(page["exhibit"].input, look.exhibit, [page["exhibit"]], OUTPUTS, **heavy)


def _point(session, event):
    at = event.get("at")
    if event.get("act") == "lasso" and isinstance(at, list):
        return look.lasso(session, at)
    return look.pick(session, at)
