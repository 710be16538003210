"""Screen 2, Zero-shot: what CLIP already knows, and a playground for names and sentences."""

import time
from typing import Any

import numpy as np

from promptlab.errors import BadData
from promptlab.plots.curves import bars
from promptlab.plots.linked import matrix, safe
from promptlab.ui import core, says
from promptlab.ui.draft import thumb
from promptlab.ui.handlers.shots import ready, source_thumb
from promptlab.ui.handlers.views import Up, View
from promptlab.ui.pieces import act, empty, grid, note, percent, t
from promptlab.ui.session import Session

PICTURES = 24  # on the grid
ROWS = 20  # pictures in the similarity matrix
CHIPS = {
    "the data's sentence": {"templates": "dataset"},
    "a photo of a {}.": {"templates": "simple"},
    "7 sentences": {"templates": "ensemble7"},
    "80 sentences": {"templates": "ensemble80"},
}


def show(session: Session) -> View:
    """The whole screen; its empty state before there are shots."""
    if session.data is None or session.zero is None:
        return {
            "zero_said": empty(says.GATE, act("Choose shots", "go", kind="pl-main", to="shots")),
            "zero_grid": "",
            "similar": None,
            "zero_bars": None,
            "zero_picture": "",
            "zero_more": Up(visible=False),
        }
    return {
        "zero_said": said(session),
        "zero_grid": pictures(session),
        "similar": similar(session),
        "zero_more": Up(visible=True),
        "names": ", ".join(names_of(session)),
        **play(session, None, None),
    }


def enter(session: Session) -> View:
    """The button "See what CLIP already knows"."""
    ready(session)
    return show(session)


def said(session: Session) -> str:
    """Accuracy of the untouched backbone, and the sentence that was used."""
    run = session.zero
    if run.report is None:
        return note("There are no held-out pictures, so there is no accuracy: give every class 2 or more pictures.")
    hyper = run.meta["hyper"]
    used = hyper.get("template") or next((k for k, v in CHIPS.items() if v["templates"] == hyper.get("templates")), "")
    chance = 100 / len(session.data.names)
    return (
        f"<p class='pl-big'>Zero-shot: <b>{percent(run.report.headline)} %</b> of {run.report.protocol['pictures']} held-out pictures "
        f"<span class='pl-note'>(guessing: {chance:.0f} %; sentences: {t(used)})</span></p><p>{t(says.BASELINE)}</p>"
    )


def sentences(session: Session, chip: str, own: str) -> View:
    """Other sentences around the names: the reference row is made anew."""
    own = (own or "").strip()
    if session.data is None:
        raise BadData(says.GATE)
    if own and own.count("{}") != 1:
        raise BadData("the sentence must hold {} exactly once: that is where the class name goes.")
    core.zero_shot(session, {"template": own} if own else CHIPS.get(chip, {}))
    return show(session)


def pictures(session: Session) -> str:
    """Held-out pictures with a mark for right and wrong."""
    split = session.data.test
    if split is None:
        return ""
    p, answer, target = core.answers_of(session.zero)
    rows = session.zero.report.predictions["row"]
    order = core.spread(target.tolist(), PICTURES)
    return grid(
        [
            {
                "src": source_thumb(split.source, int(rows[i])),
                "index": int(rows[i]),
                "mark": "right" if answer[i] == target[i] else "wrong",
                "said": session.data.names[answer[i]],
            }
            for i in order
        ],
        "Held-out pictures, with the answer of zero-shot",
    )


def similar(session: Session) -> Any:
    """Cosine of pictures and class names as a matrix; a click chooses the picture."""
    split = session.data.test
    if split is None:
        return None
    clip, names = core.backbone(session), session.data.names
    order = core.spread(split.targets.tolist(), ROWS)
    part = split.take(order)
    with core.COMPUTE:
        sim = core.encode(clip, part) @ clip.zero_shot(session.data.data.classes.clean, templates(session)).cpu().T
    cells = np.array([[[part.rows[i], j] for j in range(len(names))] for i in range(len(order))])
    truth = [names[int(c)] for c in part.targets]
    made = matrix(sim.numpy(), names, truth, title="Similarity of pictures (rows) and names", whole=False, custom=cells)
    return safe(made, names)


def templates(session: Session) -> tuple[str, ...]:
    from promptlab.data.templates import template_set

    hyper = session.zero.meta["hyper"]
    return (hyper["template"],) if hyper.get("template") else template_set(hyper.get("templates", "dataset"), session.data.data.classes)


def names_of(session: Session) -> list[str]:
    return session.view.get("names") or list(session.data.names)


def play(session: Session, names: str | None, own: str | None) -> View:
    """The playground: bars for the chosen picture over any names, from the cached encoding of the picture."""
    if session.data is None or session.data.test is None:
        return {"zero_bars": None, "zero_picture": ""}
    sentence = session.view.get("sentence", "") if own is None else own.strip()
    if names == ", ".join(session.data.names):  # put there by the page, or by hand: the names of the data, whatever they become
        session.view["names"], names = [], None
    typed = None if names is None else list(dict.fromkeys(n.strip() for n in names.split(",") if n.strip()))[:200]
    if sentence and sentence.count("{}") != 1:
        raise BadData("the sentence must hold {} exactly once: that is where the class name goes.")
    if typed is not None and len(typed) < 2:
        raise BadData("type two names or more, with commas between them.")
    session.view.update(sentence=sentence, **({} if typed is None else {"names": typed}))
    listed = names_of(session)
    start, clip = time.perf_counter(), core.backbone(session)
    source = session.data.test.source
    row = session.view.get("row", session.data.test.rows[0])
    image = core.encode(clip, type(session.data.test)(source, (row,)))
    text = clip.zero_shot(tuple(n.replace("_", " ") for n in listed), (sentence,) if sentence else templates(session)).cpu()
    p = (float(clip.scale) * image @ text.T + float(clip.bias)).softmax(-1)[0]
    took = 1000 * (time.perf_counter() - start)
    figure = safe(bars(listed, {"zero-shot": p.tolist()}, top=8), listed)
    return {"zero_bars": figure, "zero_picture": _picture(session, row) + note(f"answered in {took:.0f} ms")}


def _picture(session: Session, row: int) -> str:
    return f"<img class='pl-look' src='{thumb(session.data.test.source.image(row), 160)}' alt='The chosen picture'>"


def pick(session: Session, row: Any) -> View:
    """Another picture for the playground (and for Inspect)."""
    if (
        session.data is None
        or session.data.test is None
        or not str(row).lstrip("-").isdigit()
        or int(row) not in set(session.data.test.rows)
    ):
        raise BadData("that picture is no longer there.")
    session.view["row"] = int(row)
    return play(session, None, None)
