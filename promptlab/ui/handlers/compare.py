"""Screen 4, Compare: what differs more than by luck, where methods are confused, where they disagree, and what new classes cost."""

from typing import Any

import numpy as np

from promptlab.errors import BadData
from promptlab.inspect import confusion
from promptlab.plots import linked
from promptlab.ui import core, says
from promptlab.ui.handlers import checks, frame, rows
from promptlab.ui.handlers.shots import source_thumb
from promptlab.ui.handlers.views import Up, View
from promptlab.ui.pieces import act, empty, grid, note, t
from promptlab.ui.session import Session

MOST = 24  # pictures of a cell or of a disagreement


def show(session: Session) -> View:
    """The whole screen."""
    if session.zero is None or session.zero.report is None:
        return {
            "compare_table": empty(says.GATE, act("Choose shots", "go", kind="pl-main", to="shots")),
            "compare_bars": None,
            "compare_more": Up(visible=False),
            "compare_tools": Up(visible=False),
            "compare_next": "",
        }
    own = session.runs
    nudge = {
        0: empty(says.NO_RUN, act("Train a method", "go", kind="pl-main", to="train")),
        1: note(says.ONE_RUN) + act("Train another", "go", kind="pl-small", to="train"),
    }.get(len({r.key for r in own}), "")
    options = frame.choices(session)
    a, b = frame.picked(session, "a"), session.zero if session.view.get("b") is None else frame.picked(session, "b")
    return {
        **rows.drawn(session),
        "compare_next": nudge,
        "compare_more": Up(visible=True),
        "compare_tools": Up(visible=True),
        "run_a": Up(choices=options, value=_id(session, a)),
        "run_b": Up(choices=options, value=_id(session, b)),
        "true_class": Up(choices=list(session.data.names)),
        "said_class": Up(choices=list(session.data.names)),
        **pair(session, None, None),
        **checks.show(session),
    }


def _id(session: Session, run: Any) -> str:
    return "zero" if run is session.zero else run.id


def pair(session: Session, a: str | None, b: str | None) -> View:
    """Two runs beside each other: confusion matrices, and the pictures on which they disagree."""
    session.view.update({k: v for k, v in (("a", a), ("b", b)) if v})
    first = frame.picked(session, "a")
    second = session.zero if session.view.get("b") is None else frame.picked(session, "b")
    if first is None or first.report is None or second.report is None:
        return {"matrix_a": None, "matrix_b": None, "disagree": ""}
    return {"matrix_a": _matrix(session, first), "matrix_b": _matrix(session, second), "disagree": disagree(session, first, second)}


def _matrix(session: Session, run: Any) -> Any:
    names = session.data.names
    counts = confusion(run.report, names).arrays["counts"]
    made = linked.matrix(counts, names, names, title=f"{core.title(run.key)}: true class ↓, answer →", named=len(names))
    made.update_yaxes(tickvals=list(range(len(names))), ticktext=list(names))  # the page leaves out the names that have no room
    return linked.safe(made, names)


def cell(session: Session, which: str, row: int, column: int) -> View:
    """The pictures of one cell of a confusion matrix."""
    run, names = (frame.picked(session, "a") if which == "a" else _second(session)), session.data.names
    if not (0 <= row < len(names) and 0 <= column < len(names)):
        raise BadData("that cell is not in the matrix.")
    _, answer, target = core.answers_of(run)
    found = np.flatnonzero((target == row) & (answer == column))
    head = f"{core.title(run.key)}: {says.count(len(found), 'picture')} of '{names[row]}' answered as '{names[column]}'."
    return {"cell": note(head) + _pictures(session, run, found[:MOST], head)}


def _second(session: Session) -> Any:
    return session.zero if session.view.get("b") is None else frame.picked(session, "b")


def cell_by_name(session: Session, which: str, true: str | None, said: str | None) -> View:
    """The table twin of the matrix, for the keyboard."""
    names = list(session.data.names) if session.data is not None else []
    if true not in names or said not in names:
        raise BadData("choose a true class and an answer first.")
    return cell(session, which, names.index(true), names.index(said))


def _pictures(session: Session, run: Any, found: Any, label: str) -> str:
    if session.data.test is None:
        return ""
    source, (_, answer, target) = session.data.test.source, core.answers_of(run)
    places = run.report.predictions["row"]
    return grid(
        [
            {
                "src": source_thumb(source, int(places[i])),
                "index": int(places[i]),
                "mark": "right" if answer[i] == target[i] else "wrong",
                "said": session.data.names[answer[i]],
            }
            for i in found
        ],
        label,
    )


def disagree(session: Session, a: Any, b: Any) -> str:
    """Two grids: A right and B wrong, and the other way round."""
    if a is b:
        return note("Choose two different runs to see where they disagree.")
    if not np.array_equal(a.report.predictions["row"], b.report.predictions["row"]):
        return note("These runs were drawn with different seeds and judged on different pictures, so they cannot be laid side by side.")
    (_, ours, target), (_, theirs, _) = core.answers_of(a), core.answers_of(b)
    out = []
    for right, wrong, run, other in ((ours, theirs, a, b), (theirs, ours, b, a)):
        found = np.flatnonzero((right == target) & (wrong != target))
        head = f"{core.title(run.key)} right, {core.title(other.key)} wrong: {says.count(len(found), 'picture')}"
        out.append(f"<div class='pl-half'><b>{t(head)}</b>{_pictures(session, other, found[: MOST // 2], head)}</div>")
    return f"<div class='pl-halves'>{''.join(out)}</div>"
