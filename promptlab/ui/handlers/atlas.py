"""The map of Inspect: image and text points in one projection, a lasso, and its twin for the keyboard."""

from collections.abc import Sequence
from typing import Any

from promptlab import inspect as insight
from promptlab.errors import BadData, PromptlabError
from promptlab.plots import linked
from promptlab.ui import core, says
from promptlab.ui.handlers.shots import source_thumb
from promptlab.ui.handlers.views import Up, View
from promptlab.ui.pieces import error, grid, note, t, table
from promptlab.ui.session import Session

MAPPED = 256  # pictures on the map


def show(session: Session, r: Any) -> View:
    """Image and text points in one projection, before and after, arrows for moved class texts."""
    split = session.data.test
    order = core.spread(split.targets.tolist(), MAPPED)
    part = split.take(order)
    if len(part) < 5:
        rows = [[t(session.data.names[int(c)]), t(split.source.name(x))] for x, c in zip(part.rows, part.targets, strict=True)]
        return {"map": None, "map_said": note(says.FEW_POINTS.format(len(part))) + table(["class", "picture"], rows)}
    try:
        with core.COMPUTE:
            e = insight.shift(r, part, limit=MAPPED)
    except PromptlabError as problem:
        return {"map": None, "map_said": error(str(problem)), "map_picked": ""}
    figure = linked.scatter(
        e, part.rows, f"Pictures and names: zero-shot and {core.title(r.key)}", before=True, after=r is not session.zero
    )
    return {
        "map": linked.safe(named(figure), session.data.names),
        "map_said": note(f"{e.note} {' · '.join(map(str, e.sanity))}. {says.NAMES} Draw a lasso, or choose a class in the list."),
        "map_class": Up(choices=list(session.data.names)),
        "map_picked": selection(session, r),
    }


def named(figure: Any) -> Any:
    """The newest class texts with their names, however many: the page shows those that have room."""
    figure.data[-1].mode = "markers+text"
    return figure


def lasso(session: Session, rows: Sequence[Any], r: Any) -> View:
    """The pictures of a lasso: they become the selection that previous and next go through."""
    have = set(session.data.test.rows) if session.data is not None and session.data.test is not None else set()
    session.view["lasso"] = [int(r) for r in list(rows)[:MAPPED] if str(r).isdigit() and int(r) in have]
    return {"map_picked": selection(session, r)}


def lasso_class(session: Session, name: str | None, r: Any) -> View:
    """The keyboard twin of the lasso: all pictures of a class."""
    if session.data is None or name not in session.data.names:
        raise BadData("choose a class first.")
    label, split = session.data.names.index(name), session.data.test
    return lasso(session, [r for r, c in zip(split.rows, split.targets.tolist(), strict=True) if c == label], r)


def selection(session: Session, r: Any) -> str:
    """Metrics and pictures of the selection."""
    rows = session.view.get("lasso") or []
    if not rows or r is None or r.report is None:
        return ""
    _, answer, target = core.answers_of(r)
    place = {int(x): i for i, x in enumerate(r.report.predictions["row"])}
    found = [(x, place[x]) for x in rows if x in place]
    if not found:
        return note("This run was judged on other pictures.")
    right = sum(int(answer[i] == target[i]) for _, i in found)
    head = f"{says.count(len(found), 'picture')} selected: {core.title(r.key)} has {100 * right / len(found):.0f} % of them right."
    source = session.data.test.source
    return note(head) + grid(
        [
            {
                "src": source_thumb(source, x),
                "index": x,
                "mark": "right" if answer[i] == target[i] else "wrong",
                "said": session.data.names[answer[i]],
            }
            for x, i in found[:24]
        ],
        "Selected pictures",
    )
