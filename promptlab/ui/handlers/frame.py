"""The frame around the screens: project, runs, status line, what a page shows when it is opened."""

import platform
from typing import Any

from promptlab import registry
from promptlab.request import versions
from promptlab.ui import core, says
from promptlab.ui.handlers.views import Up, View
from promptlab.ui.pieces import act, bar, chip, empty, error, percent, points, t
from promptlab.ui.session import LANE, Session


def show(session: Session) -> View:
    """The parts that every answer of the server brings up to date."""
    return {"runs": runs(session), "status": status(session)}


def status(session: Session) -> str:
    """Idle, training, or where it stands in the queue; the last error until it is dismissed."""
    failed = ""
    if session.failed:
        switch = act("Use the demo CLIP", "pocket", kind="pl-small") if session.failed.endswith(says.DEMO) else ""
        failed = f"<div class='pl-error' role='alert'>{t(session.failed)} {switch} {act('Dismiss', 'dismiss', kind='pl-small')}</div>"
    elif session.returned:
        failed = f"<div class='pl-info'>{t(says.RETURNED)} {act('Dismiss', 'dismiss', kind='pl-small')}</div>"
    return f"{failed}<div class='pl-line' role='status'>{t(words(session))}</div>"


def words(session: Session) -> str:
    """One line: what the machine does for this session now."""
    if not session.open:
        return says.IDLE
    first = session.jobs.job(session.open[0].id)
    before = [j for j in LANE.before(first) if j.owner is not session.jobs]
    if before:
        known = [left for j in before if (left := j.live.left) is not None]
        return says.place(len({id(j.owner) for j in before}), sum(known) if known else None)
    return f"Training: {first.live.name}, {says.count(len(session.open), 'fit')} to go."


def runs(session: Session) -> str:
    """The list of trained runs in the sidebar."""
    if session.zero is None:
        return empty("Trained runs appear here.")
    zero = session.zero.report.headline if session.zero.report else None
    rows = [f"<li>{chip(None)}<span class='pl-name'>Zero-shot</span><b>{percent(zero)}</b></li>"]
    for i, run in enumerate(session.runs):
        value = run.report.headline if run.report else None
        gain = points(value - zero) if value is not None and zero is not None else ""
        pin = act("★" if session.pinned == run.id else "☆", "pin", kind="pl-icon", title=f"Compare all with {name(session, i)}", run=run.id,
                  pressed=session.pinned == run.id)
        drop = act("×", "forget", kind="pl-icon", title=f"Delete {name(session, i)}", run=run.id)
        rows.append(f"<li>{chip(i)}<span class='pl-name' title='{t(name(session, i))}'>{t(name(session, i))}</span><b>{percent(value)}</b>"
                    f"<span class='pl-gain'>{gain}</span><span class='pl-tools'>{pin}{drop}</span></li>")
    for ticket in session.open:
        live = session.jobs.job(ticket.id).live
        rows.append(f"<li class='pl-live'>{t(live.name)} {bar(live.done / live.of if live.of else 0)}</li>")
    return f"<ul class='pl-runs' aria-label='Trained runs'>{''.join(rows)}</ul>"


def name(session: Session, index: int) -> str:
    """What a run of the table is called: its method, and its seed where the method was fitted with several."""
    run = session.runs[index]
    same = [r for r in session.runs if r.key == run.key]
    label = core.title(run.key)
    if len({r.meta["seed"] for r in same}) > 1:
        label += f" · seed {run.meta['seed']}"
    if len(same) > len({r.meta["seed"] for r in same}):
        label += f" · {run.id[:4]}"
    return label + {"stopped": " (stopped)", "memory": " (memory ended)"}.get(run.status, "")


def picked(session: Session, which: str = "run") -> Any:
    """The run that a screen looks at: the one picked there, else the newest, else zero-shot."""
    wanted = session.view.get(which)
    found = next((r for r in session.runs if r.id == wanted), None)
    if found is None and wanted == "zero":
        return session.zero
    return found or (session.runs[-1] if session.runs else session.zero)


def choices(session: Session, zero: bool = True) -> list[tuple[str, str]]:
    """(name, id) of the runs, for menus."""
    own = [(name(session, i), r.id) for i, r in enumerate(session.runs)]
    return [*([("Zero-shot", "zero")] if zero and session.zero else []), *own]


def do(session: Session, event: dict[str, Any]) -> View:
    """Buttons of the run list and of the status line."""
    what = event.get("act")
    if what == "pin":
        session.pinned = "" if session.pinned == event.get("run") else str(event.get("run"))
    elif what == "forget":
        session.tickets = [x for x in session.tickets if x.run is None or x.run.id != event.get("run")]
        session.pinned = "" if session.pinned == event.get("run") else session.pinned
    elif what == "dismiss":
        session.failed, session.returned = "", False
    return {}


def report(session: Session, what: str, problem: BaseException) -> str:
    """A report of an unexpected error that can be copied: versions and settings, no pictures, no traceback."""
    lines = [f"promptlab app: {type(problem).__name__} in {what}", f"message: {str(problem)[:300]}",
             *(f"{k}: {v}" for k, v in versions().items()), f"system: {platform.platform()}",
             f"backbone: {session.settings['backbone']}", f"methods: {', '.join(registry.ids())}"]
    return "\n".join(lines)


def wide(session: Session, pixels: Any) -> View:
    """The page says how wide it is: what is drawn here is laid out for it."""
    session.view["wide"] = min(max(int(pixels or 1280), 200), 8000)
    return {}


wide.quiet = True


def settings(session: Session) -> View:
    """The sidebar's own controls from the session."""
    mine = session.settings
    return {"project": mine["name"], "backbone": Up(value=mine["backbone"]), "seed": mine["seed"],
            "diff": bool(session.view.get("diff")), "find": session.view.get("find", "")}


__all__ = ["choices", "do", "error", "name", "picked", "report", "runs", "settings", "show", "status", "words"]
