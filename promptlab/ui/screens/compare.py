"""Screen 4: table and bars, two confusion matrices, disagreements, new classes, number of shots, calibration."""

import gradio as gr

from promptlab.ui.handlers import checks, compare, rows
from promptlab.ui.screens.wire import Page

OUTPUTS = (
    "compare_table",
    "compare_bars",
    "compare_next",
    "compare_more",
    "compare_tools",
    "run_a",
    "run_b",
    "true_class",
    "said_class",
    "matrix_a",
    "matrix_b",
    "disagree",
    "check_method",
    "novel",
    "shots_plot",
    "calibration",
)


def build(page: Page) -> None:
    page.actions("compare_next")
    with gr.Row(visible=False, elem_classes="pl-tools-row") as page.c["compare_tools"]:
        page["find"] = gr.Textbox(
            label="Search", placeholder="method, data, setting: coop lr=0.002", max_lines=1, max_length=120, scale=3, elem_id="find"
        )
        page["diff"] = gr.Checkbox(False, label="only what differs", scale=1, min_width=160, elem_id="diff")
    page.actions("compare_table")
    with gr.Column(visible=False) as page.c["compare_more"]:
        page.chart("compare_bars", "Accuracy by method")
        gr.Markdown("#### Where they are confused, and where they disagree")
        with gr.Row(elem_classes="pl-columns"):
            page["run_a"] = gr.Dropdown([], label="A", elem_id="run_a")
            page["run_b"] = gr.Dropdown([], label="B", elem_id="run_b")
        with gr.Row(elem_classes="pl-columns"):
            page.chart("matrix_a", "Confusion of A")
            page.chart("matrix_b", "Confusion of B")
        with gr.Accordion("Choose a cell by name", open=False):
            with gr.Row():
                page["which"] = gr.Radio(["A", "B"], value="A", label="Matrix")
                page["true_class"] = gr.Dropdown([], label="True class")
                page["said_class"] = gr.Dropdown([], label="Answer")
                page["show_cell"] = gr.Button("Show its pictures", size="sm", elem_id="show_cell")
        page.actions("cell")
        page.actions("disagree")
        gr.Markdown("#### Checks on request")
        with gr.Row(elem_classes="pl-columns"):
            page["check_method"] = gr.Dropdown([], label="Method", elem_id="check_method")
            page["new_classes"] = gr.Button("New-class check", elem_id="new_classes")
            page["shots_button"] = gr.Button("Curve over 1, 2, 4, 8, 16 shots", elem_id="shots_button")
        page["novel"] = gr.HTML(elem_id="novel")
        page.chart("shots_plot", "Accuracy by number of shots")
        page.chart("calibration", "Calibration")


def wire(page: Page) -> None:
    from promptlab.ui.screens.app import watch

    two = ["matrix_a", "matrix_b", "disagree"]
    table = {"outputs": ["compare_table", "compare_bars"], "trigger_mode": "always_last", "queue": False}
    page.on(page["diff"].input, rows.diff_only, [page["diff"]], **table)
    page.on(page["find"].change, rows.find, [page["find"]], **table)  # input misses what is pasted first
    for name in ("run_a", "run_b"):
        page.on(page[name].input, compare.pair, [page["run_a"], page["run_b"]], two)
    for name, which in (("matrix_a", "a"), ("matrix_b", "b")):
        page.on(page[name].click, lambda s, e, w=which: _cell(s, e, w), (), ["cell"], event=True)
    page.on(
        page["show_cell"].click,
        lambda s, w, t, a: compare.cell_by_name(s, w.lower(), t, a),
        [page["which"], page["true_class"], page["said_class"]],
        ["cell"],
    )
    for name, fn in (("new_classes", checks.novel), ("shots_button", checks.shots_curve)):
        watch(page, page.on(page[name].click, fn, [page["check_method"]], OUTPUTS).then)


def _cell(session, event, which):
    at = event.get("at")
    if not isinstance(at, list) or len(at) < 2:
        return {}
    return compare.cell(session, which, int(at[0]), int(at[1]))
