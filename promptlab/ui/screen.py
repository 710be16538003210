"""The page: components and which handler each of them calls."""

from typing import Any

import gradio as gr

from promptlab.ui import controls as k
from promptlab.ui import handlers as h
from promptlab.ui.session import SESSIONS, Session

MAX_CLASSES = 12


def build_app() -> gr.Blocks:
    """The whole page; nothing is computed before somebody opens it."""
    with gr.Blocks(title="promptlab", analytics_enabled=False, fill_width=True, delete_cache=(600, 3600)) as app:
        gr.Markdown("# promptlab\nTeach a small vision-language model your own classes, method by method. Pictures stay on this machine.",
                    elem_classes="pl-head")
        with gr.Row(elem_classes="pl-columns", equal_height=False):
            with gr.Column(scale=4, min_width=340):
                shots = _shots()
                left = _method()
            with gr.Column(scale=6, min_width=340):
                right = _results()
        _wire(app, shots, left, right)
    return app


def _shots() -> dict[str, Any]:
    """Step 1: which pictures."""
    c: dict[str, Any] = {"classes": gr.State(2)}
    with gr.Column(elem_classes="pl-card"):
        gr.Markdown("### 1 · Shots\nA few labelled pictures per class.", elem_classes="pl-step")
        with gr.Tabs():
            with gr.Tab("Sample"):
                c["pack"] = gr.Dropdown(list(h.PACKS), value=next(iter(h.PACKS)), label="Sample pack")
                c["per_class"] = gr.Slider(1, 16, value=8, step=1, label="Shots per class")
                c["sample"] = gr.Button("Use these sample shots", variant="primary")
            with gr.Tab("My own"):
                c["rows"] = gr.Column()
                with gr.Row():
                    c["more"] = gr.Button("Add a class", size="sm")
                c["own"] = gr.Button("Use my pictures", variant="primary")
                gr.Markdown("2 classes and 2 or more pictures in each. They are kept for this session only.", elem_classes="pl-note")
            with gr.Tab("Zip"):
                c["zip"] = gr.File(label="A zip with one folder per class", file_types=[".zip"], type="filepath")
                c["use_zip"] = gr.Button("Use this zip", variant="primary")
        c["said"] = gr.Markdown(h.NO_SHOTS, elem_classes="pl-note")
        c["sheet"] = gr.Image(visible=False, label="Shots", show_label=False, interactive=False, buttons=["fullscreen"])
    return c


def _method() -> dict[str, Any]:
    """Step 2: which method, with which knobs."""
    c: dict[str, Any] = {}
    with gr.Column(elem_classes="pl-card"):
        gr.Markdown("### 2 · Method\nWhat is learned; the model itself stays as it is.", elem_classes="pl-step")
        c["backbone"] = gr.Dropdown([("pocket · 5.4 M parameters, works offline", "pocket")], value="pocket", label="Backbone")
        families = k.families()
        c["family"] = gr.Radio(families, value=families[0], label="Family")
        choices = k.methods_of(families[0])
        c["method"] = gr.Dropdown(choices, value=k.first_choice(choices), label="Method")
        c["about"] = gr.Markdown(k.about(k.first_choice(choices)), elem_classes="pl-note")
        c["knobs"] = gr.Column(elem_classes="pl-knobs")
    return c


def _results() -> dict[str, Any]:
    """The right side: train and stop, curves, table, one picture."""
    c: dict[str, Any] = {}
    with gr.Column(elem_classes="pl-card"):
        gr.Markdown("### 3 · Train", elem_classes="pl-step")
        with gr.Row():
            c["train"] = gr.Button("Train", variant="primary", elem_id="train", scale=3, min_width=120)
            c["stop"] = gr.Button("Stop", variant="secondary", elem_id="stop", scale=1, min_width=90)
        c["status"] = gr.Markdown(h.IDLE, elem_classes="pl-note", elem_id="status")
        c["curves"] = gr.Plot(value=h.empty_curves(), show_label=False)
    with gr.Column(elem_classes="pl-card"):
        gr.Markdown("### Runs of this session\nJudged on test pictures that no run has seen.", elem_classes="pl-step")
        c["table"] = gr.HTML(h.EMPTY_TABLE, elem_classes="pl-table", elem_id="runs")
    with gr.Column(elem_classes="pl-card"):
        gr.Markdown("### Try a picture\nZero-shot beside what your runs learned.", elem_classes="pl-step")
        with gr.Row(elem_classes="pl-columns"):
            with gr.Column(scale=2, min_width=220):
                c["picture"] = gr.Image(type="filepath", sources=["upload", "clipboard", "webcam"], label="A new picture", height=230)
                c["surprise"] = gr.Button("Take a test picture", size="sm")
            with gr.Column(scale=3, min_width=260):
                c["bars"] = gr.Plot(value=h.empty_bars(), show_label=False)
                c["verdict"] = gr.Markdown("", elem_classes="pl-note")
    return c


def _session(request: gr.Request) -> Session:
    return SESSIONS.get(request.session_hash or "local")


def _wire(app: gr.Blocks, shots: dict[str, Any], left: dict[str, Any], right: dict[str, Any]) -> None:
    data_out = [shots["said"], shots["sheet"], right["table"], right["status"]]
    everything = [right["status"], right["curves"], right["table"]]

    def sample(pack: str, per_class: int, request: gr.Request):
        return _shown(h.take_sample(_session(request), pack, int(per_class)))

    def use_zip(path: str | None, request: gr.Request):
        return _shown(h.take_zip(_session(request), path))

    def stop(request: gr.Request) -> str:
        return h.stop(_session(request))

    def predict(path: str | None, request: gr.Request):
        return h.predict(_session(request), path)

    def surprise(request: gr.Request):
        return h.test_picture(_session(request))

    def leave(request: gr.Request) -> None:
        SESSIONS.drop(request.session_hash or "local")

    shots["sample"].click(sample, [shots["pack"], shots["per_class"]], data_out, api_name="use_sample", concurrency_id="compute")
    shots["use_zip"].click(use_zip, shots["zip"], data_out, api_name="use_zip", concurrency_id="compute")
    shots["more"].click(lambda n: min(n + 1, MAX_CLASSES), shots["classes"], shots["classes"], api_visibility="private", queue=False)
    left["family"].change(_family, left["family"], [left["method"], left["about"]], api_visibility="private", queue=False)
    left["method"].change(k.about, left["method"], left["about"], api_visibility="private", queue=False)
    right["stop"].click(stop, None, right["status"], api_name="stop", queue=False)
    right["picture"].change(predict, right["picture"], [right["bars"], right["verdict"]], api_name="predict")
    right["surprise"].click(surprise, None, right["picture"], api_name="test_picture")
    app.unload(leave)
    _class_rows(shots, data_out)
    _knob_rows(left, right["train"], everything)


def _shown(view: h.ShotsView) -> tuple[Any, ...]:
    return view.said, gr.Image(value=view.sheet, visible=view.sheet is not None), view.table, view.status


def _family(family: str) -> tuple[Any, str]:
    choices = k.methods_of(family)
    first = k.first_choice(choices)
    return gr.Dropdown(choices=choices, value=first), k.about(first)


def _class_rows(shots: dict[str, Any], outputs: list[Any]) -> None:
    """One name and one gallery a class; drawn again when a class is added."""
    with shots["rows"]:
        @gr.render(inputs=shots["classes"])
        def draw(count: int) -> None:
            parts = []
            for i in range(count):
                with gr.Row(key=f"row{i}"):
                    name = gr.Textbox(label=f"Class {i + 1}", placeholder="its name, such as tabby cat", max_length=80, scale=2,
                                      key=f"name{i}", preserved_by_key=["value"])
                    files = gr.File(label="Pictures", file_count="multiple", file_types=["image"], type="filepath", scale=3, height=110,
                                    key=f"files{i}", preserved_by_key=["value"])
                parts += [name, files]

            def use(request: gr.Request, *values: Any):
                pairs = [(values[i] or "", values[i + 1] or []) for i in range(0, len(values), 2)]
                return _shown(h.take_pictures(_session(request), pairs))

            shots["own"].click(use, parts, outputs, api_visibility="private", concurrency_id="compute", key="own")


def _knob_rows(left: dict[str, Any], button: gr.Button, outputs: list[Any]) -> None:
    """The chosen method's most important knobs, and the Train button that reads them."""
    with left["knobs"]:
        @gr.render(inputs=left["method"])
        def draw(method: str) -> None:
            controls = k.controls(method)
            parts = _pairs(method, [c for c in controls if not c.training])
            with gr.Accordion("Training", open=False, key=f"{method}-training"):
                parts += _pairs(method, [c for c in controls if c.training])

            def train(request: gr.Request, *values: Any):
                given = dict(zip((c.name for c in controls), values, strict=True))
                for view in h.train(_session(request), method, given):
                    yield view.status, view.curves, view.table

            button.click(train, parts, outputs, api_visibility="private", concurrency_id="train", concurrency_limit=8,
                         show_progress="hidden", key=f"train-{method}")


def _pairs(method: str, controls: list[k.Control]) -> list[Any]:
    """Controls two a row."""
    parts = []
    for i in range(0, len(controls), 2):
        with gr.Row(equal_height=False):
            parts += [_control(method, c) for c in controls[i:i + 2]]
    return parts


def _control(method: str, c: k.Control) -> Any:
    common = {"label": c.label, "info": c.help, "key": f"{method}-{c.name}", "min_width": 140}
    if c.choices:
        return gr.Radio(list(c.choices), value=c.value, **common)
    if c.type is bool:
        return gr.Checkbox(value=bool(c.value), **common)
    if c.slider:
        return gr.Slider(c.low, c.high, value=c.value, step=c.step, **common)
    if c.type in (int, float):
        return gr.Number(value=c.value, precision=0 if c.type is int else None, **common)
    return gr.Textbox(value="" if c.value is None else str(c.value), **common)
