"""The frame: sidebar with project, backbone, seed and runs; the status line at the foot."""

from pathlib import Path
from typing import Any

import gradio as gr

from promptlab.errors import BadData
from promptlab.ui import says
from promptlab.ui.handlers import acts, frame, keep, machine, share
from promptlab.ui.handlers.views import Up
from promptlab.ui.screens.wire import Page, uploaded
from promptlab.ui.session import SESSIONS, Session


def build(page: Page) -> None:
    """The left sidebar."""
    with gr.Sidebar(open=True, width=290, elem_id="side"):
        gr.HTML("<div class='pl-brand'><b>promptlab</b><span>teach a frozen CLIP your classes</span></div>")
        page["project"] = gr.Textbox("My project", label="Project", max_length=80, elem_id="project")
        page.actions("runs", frame.empty("Trained runs appear here."))
        with gr.Accordion("Backbone, device, seed", open=False, elem_id="machine") as page.c["machine"]:
            page["seed"] = gr.Number(
                1, label="Seed", info="Of shots and trainings; on a CPU the same seed gives the same numbers.", precision=0, elem_id="seed"
            )
            page.actions("devices")
            page["about_backbone"] = gr.HTML("<p class='pl-note'>pocket: the demo CLIP, drawn pictures of 64 px, works offline.</p>")
            page["backbone"] = gr.Textbox(
                "pocket",
                label="Backbone",
                info="Choose below, or look up any open_clip NAME:TAG (Enter).",
                max_lines=1,
                max_length=200,
                elem_id="backbone",
            )
            page.actions("backbones", "<p class='pl-note'>Looking up sizes and licences …</p>")
        with gr.Accordion("Save and open", open=False):
            page["keep"] = gr.Checkbox(True, label="with my pictures")
            page["save"] = gr.Button("Save project", size="sm", elem_id="save")
            page["saved"] = gr.File(label="Project", visible=False, interactive=False)
            page["open"] = gr.UploadButton("Open project", size="sm", file_types=[".zip"], elem_id="open")
            page["copy"] = gr.Button("Copy as Python", size="sm", elem_id="copy")
            page["copied"] = gr.Code(language="python", label="The same in Python", visible=False, interactive=False)
        page["delete"] = gr.Button("Delete my data", size="sm", variant="stop", elem_id="delete")


def foot(page: Page) -> None:
    """Status line and report of an unexpected error."""
    page.actions("status", f"<div class='pl-line'>{says.IDLE}</div>")
    with gr.Group(visible=False) as page.c["bug_box"]:
        page["bug"] = gr.Textbox(label="Report (no pictures in it)", lines=6, buttons=["copy"], interactive=False, elem_id="bug")


def everything(page: Page) -> list[str]:
    """All components that a press may change."""
    return [n for n in page.c if not n.startswith("tab_")]


def wire(page: Page) -> None:
    """Everything that can be pressed inside HTML goes through :mod:`promptlab.ui.handlers.acts`."""
    names = everything(page)
    for name in (
        "runs",
        "status",
        "board",
        "zero_said",
        "zero_grid",
        "methods",
        "train_done",
        "compare_table",
        "compare_next",
        "cell",
        "disagree",
        "inspect_said",
        "words_said",
        "map_picked",
        "try_said",
    ):
        if name not in ("board", "train_done"):
            page.on(page[name].click, acts.press, (), names, event=True)
    page.on(page["project"].change, _rename, [page["project"]], (), queue=False)
    page.on(page["seed"].change, machine.seed, [page["seed"]], (), queue=False)
    page.on(page["machine"].expand, machine.show, (), ["about_backbone", "backbones", "devices"], queue=False)
    page.on(page["backbone"].submit, machine.look_up, [page["backbone"]], ["backbones"], queue=False)
    for name in ("backbones", "devices"):  # loading may take a while: a spinner stands over what was pressed
        busy = {"concurrency_id": "compute", "show_progress": "full", "show_progress_on": page[name]}
        page.on(page[name].click, acts.press, (), names, event=True, **busy)
    page.on(page["copy"].click, lambda s: {"copied": Up(value=share.script(s)["code"], visible=True)}, (), ["copied"])
    page.on(page["save"].click, lambda s, keep: {"saved": Up(value=share.save(s, keep), visible=True)}, [page["keep"]], ["saved"])
    page.on(page["open"].upload, _open, [page["open"]], names, concurrency_id="compute")
    page["delete"].click(
        _delete(page), page.token, [page.token, *(page[n] for n in names)], api_visibility="private", show_progress="hidden", js=CONFIRM
    )


CONFIRM = "(token) => [confirm('Delete your pictures, runs and settings from this machine?') ? token : '']"


def _rename(session: Session, name: str) -> dict[str, Any]:
    session.settings["name"] = (name or "My project").strip()[:80]
    return {}


def _open(session: Session, path: Any) -> dict[str, Any]:
    found = uploaded(session, path, roots())
    if found is None:
        raise BadData("the file did not arrive; send it again.")
    return share.open_project(session, str(found), Path(found).name)


def roots() -> list[Path]:
    """Folders that this server keeps received files in."""
    from gradio.utils import get_upload_folder

    return [Path(get_upload_folder())]


def _delete(page: Page) -> Any:
    def delete(token: Any) -> Any:
        if not token:  # the visitor thought better of it
            return gr.skip()
        SESSIONS.drop(token)
        fresh = SESSIONS.new()
        with SESSIONS.using(fresh) as session:
            view = {
                "tabs": Up(selected="shots"),
                "saved": Up(value=None, visible=False),
                "copied": Up(visible=False),
                **dict.fromkeys(("cell", "disagree", "evidence", "words_said", "try_table"), ""),
                **acts.blank(session),
                **frame.settings(session),
            }
            view["kept"] = session.kept = keep.settings(session)
            view["status"] = f"<div class='pl-line' role='status'>{says.DELETED}</div>"
        return {page.token: fresh, **page.update(view)}

    return delete
