"""Copy as Python: the state of the page as a script that gives the same numbers."""

import dataclasses
from typing import Any

from promptlab import registry
from promptlab.card import build_hyper
from promptlab.ui import core
from promptlab.ui.session import Session

EMPTY = "# Nothing is open yet: choose shots first."


def script(session: Session) -> str:
    """The script; runs that are in the table are fitted with the values that they have, ticked methods otherwise."""
    if session.data is None:
        return EMPTY
    d, name, _, tag = session.data, *session.settings["backbone"].partition(":")
    spec = d.spec if d.spec and not d.extra else "my_shots"
    note = "" if spec == d.spec else "  # the folder shots/ of the saved project, unpacked"
    lines = [
        "import promptlab as pl",
        "from promptlab.ui.core import opened",
        "",
        f"clip = pl.load({name!r}{f', {tag!r}' if tag else ''}, device={session.settings['device']!r})",
        f"data = opened({spec!r}, shots={d.shots}, seed={d.seed}){note}",
        f"zero = pl.fit('zero_shot', clip, data.task{_zero(session)})",
    ]
    asked = [(r.key, r.meta["seed"], r.meta["hyper"]) for r in session.runs] or [
        (m, d.seed, dataclasses.asdict(core.request(session, m, d.seed).hyper)) for m in session.chosen
    ]
    fits = ["zero", *(f"pl.fit({_call(session, key, seed, hyper)})" for key, seed, hyper in asked)]
    lines += [f"runs = [{(',' + chr(10) + '        ').join(fits)}]", "print(pl.compare(runs).to_frame())"]
    if d.test is not None:
        row = session.view.get("row", d.test.rows[0])
        lines.append(f"print(runs[-1].predict(data.test.source.image({row}), k=3))")
    return "\n".join(lines)


def _zero(session: Session) -> str:
    return "".join(f", {k}={v!r}" for k, v in session.knobs.get("zero_shot", {}).items())


def _call(session: Session, key: str, seed: int, hyper: dict[str, Any]) -> str:
    """The arguments of one fit: the preset, and every value that differs from it."""
    cls, named = registry.get(key), core.preset(key, session)
    start = dataclasses.asdict(build_hyper(key, cls.Hyper, {}, cls.card.presets, named))
    changed = {k: v for k, v in hyper.items() if k != "seed" and _plain(v) != _plain(start.get(k))}
    task = "data.task" if seed == session.data.seed else f"data.draw({seed})"
    words = [
        repr(key),
        "clip",
        task,
        *([f"preset={named!r}"] if named else []),
        f"seed={seed}",
        *(f"{k}={v!r}" for k, v in changed.items()),
    ]
    return ", ".join(words)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
