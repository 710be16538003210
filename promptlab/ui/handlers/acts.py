"""One place where every press inside a piece of HTML arrives: by the name of its action."""

from collections.abc import Callable, Mapping
from typing import Any

from promptlab.errors import BadData
from promptlab.ui.handlers import compare, frame, inspect, learn, machine, rows, shots, train, zero
from promptlab.ui.handlers.views import Up, View
from promptlab.ui.session import Session

SHOW: dict[str, Callable[[Session], View]] = {"shots": shots.show, "zero": zero.enter, "train": train.enter, "compare": compare.show,
                                              "inspect": inspect.show}
BOARD = ("add-class", "rename", "drop-class", "switch", "remove", "pick", "move", "merge", "hush")


def press(session: Session, event: Mapping[str, Any]) -> View:
    """Do what was pressed; the event's contents are untrusted."""
    what = str(event.get("act", ""))
    if what == "go":
        return go(session, str(event.get("to", "")))
    if what in BOARD:
        return shots.do(session, event)
    if what in ("pin", "forget", "dismiss"):
        view = frame.do(session, event)
        return view | ({} if what == "dismiss" or session.data is None else compare.show(session))
    if what == "tick":
        return train.do(session, event)
    if what in ("sort", "baseline"):
        return rows.do(session, event)
    if what == "learn":
        return learn.show(session, str(event.get("method", "")))
    if what == "three":
        return train.three(session)
    if what == "lens":
        view = inspect.lens(session, str(event.get("to", "")))
        return {"lenses": Up(selected=session.view["lens"]), **view}
    if what == "pocket":
        return machine.backbone(session, "pocket")
    if what in ("backbone", "device"):
        return getattr(machine, what)(session, str(event.get("to", "")))
    if what == "picture":
        return picture(session, event.get("index"))
    raise BadData(f"this page does not know '{what[:40]}'; reload it.")


def go(session: Session, to: str) -> View:
    """Another screen."""
    if to not in SHOW:
        raise BadData("there is no such screen.")
    session.view["screen"] = to
    return {"tabs": Up(selected=to), **SHOW[to](session)}


def picture(session: Session, row: Any) -> View:
    """A picture was pressed: on the zero-shot screen it goes to the playground, elsewhere to Inspect."""
    if session.view.get("screen") == "zero":
        return zero.pick(session, row)
    session.view["screen"] = "inspect" if session.view.get("screen") != "inspect" else session.view["screen"]
    return {"tabs": Up(selected="inspect"), **inspect.pick(session, row)}


def blank(session: Session) -> View:
    """Every screen as it is for this session."""
    from promptlab.ui.handlers import share

    view: View = {}
    for part in (shots.show, zero.show, train.show, compare.show, inspect.show, share.show):
        view |= part(session)
    return view | frame.show(session)
