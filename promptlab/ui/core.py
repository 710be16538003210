"""What the handlers ask of the core: open shots, fit, answer, and put the results into words and rows."""

import dataclasses
import html
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from promptlab import registry
from promptlab.answers import table_html
from promptlab.card import build_hyper, knobs
from promptlab.data.protocols import few_shot
from promptlab.data.sources import open_data
from promptlab.drive import drive
from promptlab.errors import BadData
from promptlab.fit.context import FitContext
from promptlab.fit.optim import Plan
from promptlab.fit.score import score
from promptlab.plots.sheet import contact_sheet
from promptlab.request import Request
from promptlab.runs import Run, RunStore

SHEET = 24  # pictures on the contact sheet
MOST_TESTS = 400  # test pictures, spread over the classes: enough to a few points, judged in seconds
COLUMNS = ("run", "accuracy %", "gain", "ECE %", "trainable", "seconds")
CHECKS = 12  # points on the validation curve


class Shots:
    """An opened data set with its episode and its test sets."""

    def __init__(self, spec: Any, shots: int, seed: int = 1):
        self.data = open_data(spec)
        if self.data.kind != "single":
            raise BadData(f"{self.data.name} is a {self.data.kind} task; this page takes one class a picture, the command line the others.")
        self.episode, tests = few_shot(self.data, shots, seed)
        self.tests = [dataclasses.replace(t, split=t.split.take(spread(t.split.targets.tolist(), MOST_TESTS))) for t in tests]

    @property
    def names(self) -> tuple[str, ...]:
        return self.episode.task.classes.names


@lru_cache(maxsize=1)
def backbone() -> Any:
    """Pocket, loaded once and shared by all sessions (it is never written to)."""
    from promptlab.backbones.load import load

    return load("pocket")


def open_shots(spec: Any, shots: int) -> Shots:
    return Shots(spec, shots)


def title(key: str) -> str:
    return registry.card(key).name


def cleaned(key: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The page's values as the knobs' types: whole numbers from sliders, None from empty boxes."""
    known, out = knobs(registry.get(key).Hyper), {}
    for name, value in values.items():
        knob = known[name]
        if value in ("", None):
            value = None if knob.optional else knob.default
        elif knob.type is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        out[name] = knob.read(value) if isinstance(value, str) else value
    return out


def request(key: str, shots: Shots, values: Mapping[str, Any], preset: str | None) -> Request:
    """A checked request; a bad value is one sentence."""
    cls = registry.get(key)
    hyper = build_hyper(key, cls.Hyper, values, cls.card.presets, preset)
    return Request(cls, backbone(), shots.episode, hyper, tuple(shots.tests))


def run(session: Any, asked: Request, job: Any) -> Run:
    """Fit and judge in the job's thread; the job sees every event. An equal request of this session is found again."""
    epochs = Plan.of(asked.hyper, len(asked.episode.support)).epochs if asked.episode.support else 0
    ctx = FitContext(stop=job.stop, val_every=max(1, epochs // CHECKS) if asked.episode.val else 0)
    events, count = drive(asked, RunStore(session.folder / "runs"), ctx), 0
    try:
        while True:
            job.see(next(events).to_json())
            count += 1
    except StopIteration as end:
        if count == 1:  # found, not fitted: its curve comes from its log
            for event in end.value.events:
                job.see(event)
        return end.value


def zero_shot(session: Any) -> Run:
    """The reference row, and its accuracy on the validation shots for the dashed line."""

    class Silent:
        stop = FitContext().stop

        def see(self, event: Any) -> None:
            return None

    found = run(session, request("zero_shot", session.data, {}, None), Silent())
    val = session.data.episode.val
    session.zero_val = next(iter(score(found.method, val).values())) if val else None
    return found


def baseline(session: Any) -> float | None:
    return session.zero_val if session.zero is not None else None


def table(session: Any) -> str:
    """One row a run as an HTML table, zero-shot first; every cell is escaped."""
    rows = [_row(session, r, i) for i, r in enumerate([session.zero, *session.runs]) if r is not None]
    return table_html(COLUMNS, rows)


def _row(session: Any, r: Run, number: int) -> tuple[str, ...]:
    report, cost = r.report, (f"{r.meta['trainable']:,}", f"{r.meta['seconds']:.1f}")
    name = f"{number} · {title(r.key)}" if number else title(r.key)
    if report is None:
        return (name, "-", "", "", *cost)
    gain = f"{100 * (report.headline - session.zero.report.headline):+.1f}" if number else "reference"
    ece = report.metrics.get("ece")
    return (name, f"{100 * report.headline:.1f}", gain, "" if ece is None or math.isnan(ece) else f"{100 * ece:.1f}", *cost)


def verdict(session: Any, done: Run, notes: list[str]) -> str:
    """How a finished run compares with zero-shot, in one sentence, and what it noted."""
    said = "Stopped; what was learned so far is kept. " if done.status == "stopped" else ""
    remarks = "".join(f" {n[0].upper()}{n[1:]}" for n in notes if not n.startswith("found run"))
    if done.report is None:
        return html.escape(said + "There are no test pictures, so there is no accuracy." + remarks)
    ours, zero = done.report.headline, session.zero.report.headline
    count = done.report.protocol["pictures"]
    noise = 100 * math.sqrt(max(ours * (1 - ours), 1e-9) / count)
    words = f"{said}{title(done.key)}: {100 * ours:.1f} % on {count} test pictures, zero-shot {100 * zero:.1f} %."
    if 100 * abs(ours - zero) < 2 * noise:
        words += f" The difference is within what {count} test pictures can tell (about ±{2 * noise:.0f} points)."
    return html.escape(words + remarks)


def describe(session: Any) -> str:
    """What the shots are, and every file that could not be used."""
    shots = session.data
    test = sum(len(t.split) for t in shots.tests)
    lines = [f"**{html.escape(session.label)}**: {len(shots.names)} classes, {len(shots.episode.support)} shots to learn from"
             + (f", {len(shots.episode.val)} to check with" if shots.episode.val else "") + f", {test} test pictures."]
    lines += [f"- {html.escape(p)}" for p in shots.data.report.problems[:8]]
    if (more := len(shots.data.report.problems) - 8) > 0:
        lines.append(f"- and {more} more files that could not be used.")
    lines += [f"- {html.escape(n)}" for n in shots.data.report.notes[:4]]
    return "\n".join(lines)


def sheet(session: Any) -> Any:
    """Some shots on one picture, spread over the classes."""
    support, names = session.data.episode.support, session.data.names
    order = spread(support.targets.tolist(), SHEET)
    pictures = [np.asarray(support.source.image(support.rows[i])) for i in order]
    return contact_sheet(pictures, [names[int(support.targets[i])] for i in order], columns=6, side=80)


def spread(labels: list[int], count: int) -> list[int]:
    """Positions of at most ``count`` rows, first one of each class, then a second one, ..."""
    seen: dict[int, int] = {}
    turn = []
    for i, label in enumerate(labels):
        seen[label] = seen.get(label, -1) + 1
        turn.append((seen[label], label, i))
    return [i for _, _, i in sorted(turn)[:count]]


def answers(session: Any, picture: str) -> tuple[dict[str, list[float]], list[str]]:
    """Probabilities a class of zero-shot and the last three runs, and the class names."""
    names = list(session.data.names)
    chosen = {"zero-shot": session.zero}
    first = max(0, len(session.runs) - 3)
    chosen |= {f"{i + 1} {title(r.key)}": r for i, r in enumerate(session.runs[first:], first)}
    scores = {}
    for label, r in chosen.items():
        found = r.predict(picture)
        scores[label] = [found[n] for n in names]
    return scores, names


def test_picture(session: Any, turn: int) -> str | None:
    """A file with the turn-th test picture, in an order that goes through the classes."""
    if not session.data.tests:
        return None
    split = session.data.tests[0].split
    generator = torch.Generator().manual_seed(7)
    i = int(torch.randperm(len(split), generator=generator)[turn % len(split)])
    path = Path(session.room("try")) / "picture.png"
    split.source.image(split.rows[i]).save(path)
    return str(path)
