"""Screen 3, Train: method cards, their knobs, and fits that go on whether or not somebody watches."""

import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

from promptlab import registry
from promptlab.card import build_hyper
from promptlab.errors import BadData, PromptlabError
from promptlab.plots.curves import curves
from promptlab.plots.linked import safe
from promptlab.ui import controls, core, estimate, says
from promptlab.ui.handlers import frame
from promptlab.ui.handlers.shots import ready
from promptlab.ui.handlers.views import NARROW, Up, View
from promptlab.ui.pieces import act, bar, empty, error, note, percent, points, t
from promptlab.ui.session import LANE, Session, Ticket
from promptlab.ui.sketch import sketch

MOST_CURVES = 8
SLOW = 120  # seconds from which a fit is warned about
SLOWLY = "<span class='pl-why'>slow with these shots on this machine</span>"
KEPT = dict.fromkeys(("stopped", "budget"), " (stopped; what was learned so far is kept)") | {
    "memory": " (memory ended; what was learned so far is kept, a smaller batch or method goes further)"
}
GLIMPSE = 0.4  # seconds that the answer to Train waits for a first step


def show(session: Session) -> View:
    """The whole screen."""
    if session.data is None:
        why = session.draft.problem() or says.GATE
        button = act("Choose shots", "go", kind="pl-main", to="shots")
        return {
            "methods": empty(why, button),
            "go_train": Up(value="Train", interactive=False),
            "curves": None,
            "progress": "",
            "train_done": "",
            "stop": Up(interactive=False),
            "knobs_for": "",
        }
    return {"methods": cards(session), "go_train": label(session), "knobs_for": ",".join(able(session)), **live(session)}


def enter(session: Session) -> View:
    """Coming from the shots directly: they are opened on the way when they are complete."""
    if session.data is None and session.draft.problem() is None:
        ready(session)
    return show(session)


def cards(session: Session) -> str:
    """The methods in their families, as cards to tick."""
    clip, d = core.backbone(session), session.data
    shown = controls.groups(session.view.get("families"), session.view.get("supervision"), session.view.get("search", ""))
    if not shown:
        return empty("No method passes these filters; take one off.")
    parts = []
    for family, found in shown:
        items = "".join(_card(session, c, clip, len(d.names), len(d.episode.support), len(d.test or ())) for c in found)
        parts.append(_family(session, family, len(found), f"<div class='pl-cards'>{items}</div>"))
    return ticked(session) + "".join(parts)


def _family(session: Session, family: str, count: int, items: str) -> str:
    """A family under its name; on a phone folded, because all cards in one column are many screens long."""
    head = f"{t(family)} <span>{says.count(count, 'method')}</span>"
    if session.wide >= NARROW:
        return f"<h4 class='pl-family'>{head}</h4>{items}"
    return f"<details class='pl-fold' data-keep='{t(family)}'><summary class='pl-family'>{head}</summary>{items}</details>"


def ticked(session: Session) -> str:
    """What is ticked, above the many cards; a press takes it off."""
    chosen = [act(f"{core.title(m)} ×", "tick", kind="pl-small", title=f"Take {core.title(m)} off", method=m) for m in able(session)]
    return f"<div class='pl-ticked'><span>Ticked:</span> {' '.join(chosen) or 'nothing yet'}</div>"


def _card(session: Session, c: Any, clip: Any, classes: int, support: int, tests: int) -> str:
    why = controls.lacks(c, clip, session.data.data.kind, support)
    ticked = c.id in session.chosen and not why
    cost, slow = "", False
    if not why:
        try:
            hyper = build_hyper(
                c.id, registry.get(c.id).Hyper, core.cleaned(c.id, session.knobs.get(c.id, {})), c.presets, core.preset(c.id, session)
            )
            cost = estimate.words(c, hyper, clip, classes, support, tests)
            slow = estimate.seconds(c, hyper, clip, classes, support, tests) > SLOW
        except PromptlabError as problem:
            cost = str(problem)
    count = "none" if c.supervision == "training-free" and not c.params_b16_k100 else controls.trainable(c, clip, session.data.names)
    body = (
        f"{sketch(c.family)}<span class='pl-cardtext'><b>{t(c.name)}</b> <span class='pl-year'>{t(c.venue)} {c.year}</span>"
        f"<span class='pl-diff'>{t(c.difference)}</span><span class='pl-facts'>{t(c.supervision)} · trainable: {count}"
        f"{' · ' + t(cost) if cost else ''}</span>{SLOWLY if slow else ''}{f'<span class=pl-why>{t(why)}</span>' if why else ''}</span>"
    )
    tick = act(body, "tick", kind="pl-method", raw=True, pressed=ticked, off=why, method=c.id)
    return f"<div class='pl-mcard'>{tick}{act('?', 'learn', kind='pl-icon', title=f'Learn about {c.name}', method=c.id)}</div>"


def do(session: Session, event: Mapping[str, Any]) -> View:
    """Ticks of the cards."""
    key = str(event.get("method", ""))
    if event.get("act") == "tick" and key in registry.ids():
        session.chosen = [m for m in session.chosen if m != key] if key in session.chosen else [*session.chosen, key]
    if session.data is None:
        raise BadData(says.GATE)
    return {"methods": cards(session), "go_train": label(session), "knobs_for": ",".join(able(session))}


def filtered(session: Session, families: list[str], supervision: list[str], search: str) -> View:
    session.view.update(families=list(families or []), supervision=list(supervision or []), search=search or "")
    return {"methods": cards(session) if session.data is not None else empty(says.GATE)}


def knob(session: Session, method: str, name: str, value: Any) -> View:
    """One knob was moved; a bad value is said at once."""
    session.knobs.setdefault(method, {})[name] = value
    cls = registry.get(method)
    try:
        build_hyper(method, cls.Hyper, core.cleaned(method, session.knobs[method]), cls.card.presets, core.preset(method, session))
    except PromptlabError as problem:
        return {"train_done": error(str(problem)), "go_train": Up(interactive=False)}
    return {"train_done": "", "go_train": label(session)}


def able(session: Session) -> list[str]:
    """Ticked methods that can be trained here."""
    clip, d = core.backbone(session), session.data
    return [m for m in session.chosen if not controls.lacks(registry.card(m), clip, d.data.kind, len(d.episode.support))]


def label(session: Session) -> Up:
    """ "Train 2 methods (about 40 s)", or why it cannot be pressed."""
    found = able(session)
    if not found:
        return Up(value="Tick a method below", interactive=False)
    total = 0.0
    for m in found:
        try:
            asked = core.request(session, m, session.data.seed)
        except PromptlabError:
            continue
        total += estimate.seconds(
            registry.card(m),
            asked.hyper,
            asked.clip,
            len(session.data.names),
            len(session.data.episode.support),
            len(session.data.test or ()),
        )
    return Up(value=f"Train {says.count(len(found), 'method')} (about {says.duration(total)})", interactive=True)


def start(session: Session, seeds: Iterable[int] | None = None, methods: Iterable[str] | None = None) -> View:
    """Queue the ticked methods (once a seed); equal fits are found, not made again."""
    if session.data is None:
        raise BadData(says.GATE)
    wanted = list(methods) if methods is not None else able(session)
    if not wanted:
        raise BadData("no method is ticked that can be trained here.")
    for seed in seeds or (int(session.settings["seed"]),):
        if seed != session.data.seed:
            submit(session, "zero_shot", seed, "zero")
        for method in wanted:
            submit(session, method, seed)
    _glimpse(session)
    return {"go_train": Up(interactive=True), **live(session)}


def _glimpse(session: Session) -> None:
    """Wait a moment for the first step, so that the answer to the press has the curve's first point already."""
    job, end = session.jobs.job(session.open[0].id) if session.open else None, time.monotonic() + GLIMPSE
    while job is not None and not job.live.steps and not job.done.is_set() and time.monotonic() < end and not LANE.before(job)[1:]:
        time.sleep(0.01)


def three(session: Session) -> View:
    """The trained methods on three seeds, for the spread."""
    first = session.data.seed
    return start(session, (first, first + 1, first + 2), list(dict.fromkeys(r.key for r in session.runs)) or None)


def submit(
    session: Session, method: str, seed: int, purpose: str = "compare", *, shots: int | None = None, protocol: str = "few_shot"
) -> None:
    """One fit into the lane, unless the session has it already."""
    asked = core.request(session, method, seed, shots=shots, protocol=protocol)
    if any(x.id == asked.id and x.purpose == purpose and not x.error for x in session.tickets):
        return
    name = core.title(method) + (f", seed {seed}" if seed != session.data.seed else "") + (f", {shots} shots" if shots else "")
    session.jobs.submit(asked, core.context(asked), name)
    given = {
        "hyper": asked.hyper,
        "sizes": (len(asked.episode.task.classes), len(asked.episode.support), sum(len(x.split) for x in asked.tests)),
    }
    session.tickets.append(Ticket(asked.id, method, seed, purpose, shots, given))


def live(session: Session) -> View:
    """Curves and progress as they stand."""
    return {
        "curves": figure(session),
        "progress": progress(session),
        "train_done": done(session),
        "stop": Up(interactive=bool(session.open)),
    }


def figure(session: Session) -> Any:
    """Curves of the newest fits, one colour each, running ones included."""
    mine = [x for x in session.tickets if x.purpose == "compare" and not x.error]
    shown = []
    for ticket in mine[-MOST_CURVES:]:
        found = ticket.given.get("live") or session.jobs.job(ticket.id).live
        shown.append(found if found.steps or ticket.run is None else found.read(ticket.run.events))
    return safe(curves(shown, baseline=session.zero_val, stacked=session.wide < NARROW), ()) if shown else None


def progress(session: Session) -> str:
    """One row a fit that waits or runs: where it stands, in words."""
    rows = []
    for ticket in session.open:
        job = session.jobs.job(ticket.id)
        found, share = job.live, job.live.done / job.live.of if job.live.of else 0
        if job.ctx.stop.is_set():
            words = "stopping after this step; what was learned so far is kept"
        elif job.status == "waiting":
            words = "waiting"
        elif found.left is not None:
            words = f"step {found.done} of {found.of}, about {says.duration(found.left)} left"
        else:
            words = found.phase + (f", {found.done} of {found.of}" if found.of else "")
        rows.append(f"<li><b>{t(found.name)}</b> {bar(share)} <span>{t(words)}</span></li>")
    head = note(frame.words(session)) if rows and "before you" in frame.words(session) else ""
    return head + (f"<ul class='pl-progress' aria-live='polite'>{''.join(rows)}</ul>" if rows else "")


def done(session: Session) -> str:
    """The banner when nothing runs any more: what came out, and whether it means something."""
    failed = "".join(error(f"{core.title(x.method)}: {x.error}") for x in session.tickets if x.error)
    runs = [r for r in session.runs if r.report is not None]
    if session.open or not runs or session.zero is None or session.zero.report is None:
        return failed
    best = max(runs, key=lambda r: r.report.headline)
    ours, zero = best.report.headline, session.zero.report.headline
    noise = math.hypot(core.error(best), core.error(session.zero))
    kept = KEPT.get(best.status, "")
    words = f"{core.title(best.key)}{kept} {percent(ours)} % vs zero-shot {percent(zero)} % ({points(ours - zero)} points). "
    several = len({r.meta["seed"] for r in runs if r.key == best.key}) > 1
    if abs(ours - zero) <= noise:
        words += f"The difference is within what {best.report.protocol['pictures']} pictures can tell (±{100 * noise:.0f} points). "
    words += "Compare shows the spread over seeds." if several else "Is it more than the luck of one seed?"
    more = act("Run 3 seeds", "three", kind="pl-small") if not several else ""
    return f"{failed}<div class='pl-done' role='status'>{t(words)} {more} {act('Compare', 'go', kind='pl-main', to='compare')}</div>"


def stop(session: Session) -> View:
    """End the running fits after their step, take the waiting ones out of the queue; what was learned so far stays."""
    for ticket in session.open:
        session.jobs.stop(ticket.id)
    return live(session)


def learned(session: Session) -> None:
    """After a fit: the estimates take its cost in."""
    for ticket in session.tickets:
        if ticket.run is not None and "sizes" in ticket.given and ticket.run.status == "done":
            card, (classes, support, tests) = registry.card(ticket.method), ticket.given.pop("sizes")
            estimate.learn(
                card,
                ticket.given["hyper"],
                core.backbone(session),
                classes,
                support,
                tests,
                ticket.run.meta["seconds"] or 0,
                ticket.run.meta["peak_mb"],
            )
