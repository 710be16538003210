"""Screen 1: two ways to begin, the class cards, and what is worth mending."""

from typing import Any

import gradio as gr

from promptlab.ui import says
from promptlab.ui.handlers import acts, shots, train, zero
from promptlab.ui.screens.wire import Page, uploaded
from promptlab.ui.session import Session

OUTPUTS = ("board", "doctor", "shots_said", "see")


def build(page: Page) -> None:
    with gr.Row(elem_classes="pl-columns"):
        with gr.Column(scale=3, min_width=320):
            with gr.Row(elem_classes="pl-choices"):
                with gr.Column(elem_classes="pl-card", min_width=240):
                    page["sample"] = gr.Button("Try with sample shots", variant="primary", interactive=False, elem_id="sample")
                    page["pack"] = gr.Dropdown(list(shots.PACKS), value=next(iter(shots.PACKS)), label="Pack", elem_id="pack")
                    page["per_class"] = gr.Slider(1, 16, value=8, step=1, label="Shots a class")
                with gr.Column(elem_classes="pl-card", min_width=240):
                    page["own"] = gr.Button("Use my own images", interactive=False, elem_id="own")
                    page["zip"] = gr.UploadButton("Open a zip of class folders", file_types=[".zip"], size="sm", elem_id="zip")
                    page["folder"] = gr.UploadButton("Open a folder as one class", file_count="directory", size="sm", elem_id="folder")
            page["shots_said"] = gr.HTML("", elem_id="shots_said")
            page.actions("board")
            with gr.Accordion("Webcam and clipboard", open=False):
                page["snap"] = gr.Image(sources=["webcam", "clipboard"], type="numpy", label="A new picture", height=220, elem_id="snap")
                page["snap_class"] = gr.Number(1, label="for class number", precision=0, minimum=1)
                page["snap_add"] = gr.Button("Add to the class", size="sm")
        with gr.Column(scale=1, min_width=240):
            page["see"] = gr.Button("See what CLIP already knows", variant="primary", interactive=False, elem_id="see")
            page["doctor"] = gr.HTML("", elem_classes="pl-card", elem_id="doctor")
            gr.HTML(f"<p class='pl-note'>{says.LIMITS}</p><p class='pl-note'>{says.PRIVACY}</p>", elem_classes="pl-card")


def wire(page: Page) -> None:
    from promptlab.ui.screens.frame import everything

    names = everything(page)
    page.on(page["board"].click, _press, (), names, event=True, concurrency_id="compute")
    sampled = page.on(
        page["sample"].click,
        shots.sample,
        [page["pack"], page["per_class"]],
        names,
        concurrency_id="compute",
        show_progress="minimal",
        show_progress_on=page["shots_said"],
    )
    page.on(sampled.then, _ahead, (), names)
    page.on(page["own"].click, shots.own, (), OUTPUTS)
    page.on(page["zip"].upload, _zip, [page["zip"]], names, concurrency_id="compute")
    page.on(page["folder"].upload, _folder, [page["folder"]], names, concurrency_id="compute")
    page.on(page["see"].click, lambda s: acts.go(s, "zero"), (), names, concurrency_id="compute")
    page.on(page["snap_add"].click, _snap, [page["snap"], page["snap_class"]], names)


def _ahead(session: Session) -> dict[str, Any]:
    """The next two screens are filled before they are asked for."""
    return {**zero.show(session), **train.show(session)} if session.data is not None else {}


_ahead.quiet = True


def _press(session: Session, event: dict[str, Any]) -> dict[str, Any]:
    from promptlab.ui.screens.frame import roots

    if event.get("act") != "files":
        return acts.press(session, event)
    listed = event.get("files") if isinstance(event.get("files"), list) else []
    sent = [
        (uploaded(session, f.get("path", ""), roots()), str(f.get("name", "picture"))[:120]) for f in listed[:2001] if isinstance(f, dict)
    ]
    view = shots.files(session, event.get("card"), [(p, n) for p, n in sent if p is not None])
    if failed := [str(n)[:80] for n in event.get("failed") or ()][:3]:
        card = session.draft.card(event.get("card"))
        card.problems += [f"{n}: larger than 10 MB, or the connection broke; it was not sent." for n in failed]
        view = shots.show(session)
    return view


def _zip(session: Session, path: Any) -> dict[str, Any]:
    from promptlab.ui.screens.frame import roots

    found = uploaded(session, path, roots())
    if found is None:
        raise shots.BadData("the zip did not arrive; send it again.")
    return shots.zip_file(session, found, found.name)


def _folder(session: Session, paths: Any) -> dict[str, Any]:
    from promptlab.ui.screens.frame import roots

    found = [p for x in (paths or []) if (p := uploaded(session, x, roots())) is not None]
    if not found:
        raise shots.BadData("the folder held no files.")
    return shots.files(session, None, [(p, p.name) for p in found])


def _snap(session: Session, picture: Any, number: Any) -> dict[str, Any]:
    cards = session.draft.cards
    at = int(number or 1)
    return shots.snap(session, picture, cards[at - 1].id if 1 <= at <= len(cards) else None)
