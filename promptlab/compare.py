"""Runs side by side: mean and spread over seeds, what it cost, and which differences mean something."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean, pstdev
from typing import Any

from promptlab import answers
from promptlab.card import build_hyper, knobs
from promptlab.create import method_class
from promptlab.drive import drive
from promptlab.errors import BadHyper, PromptlabError
from promptlab.fit.context import FitContext
from promptlab.fit.events import Event, Note
from promptlab.method import Method
from promptlab.request import Request
from promptlab.runs import Run, RunStore

FAR = 0.1  # a seed that is this share below the mean of the others (and below their spread) has collapsed
REFERENCE = "zero_shot"


@dataclass(frozen=True)
class Comparison:
    """``runs``: one a (method, seed). ``labels``: how each run's method was asked for. ``errors``: label → why it was not fitted."""

    runs: tuple[Run, ...]
    labels: tuple[str, ...] = ()
    errors: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """One row a method: by test set ("base", "new", "H"; the metric's name where there is only one set) the mean over seeds, and
        with ``_spread`` the population standard deviation; ``ece``; ``trainable``; mean ``seconds`` and largest ``peak_mb`` of the fit;
        ``collapsed``: its collapsed seeds; ``gain`` over zero-shot on the first set, and whether it is ``clear`` (larger than both
        spreads); ``ties_best``: the distance to the best row is within the spreads."""
        groups: dict[str, list[Run]] = {}
        for label, run in zip(self._names, self.runs, strict=True):
            groups.setdefault(label, []).append(run)
        rows = [_row(label, runs, self.columns) for label, runs in groups.items()]
        _mark(rows, self.columns[0] if self.columns else None)
        return rows

    @property
    def _names(self) -> tuple[str, ...]:
        return self.labels or tuple(_label(r, self.runs) for r in self.runs)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The score columns, the deciding one first."""
        found = dict.fromkeys(name for r in self.runs for name in scores(r))
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Plain data: the rows, the runs behind them, and what could not be fitted."""
        first = self.runs[0].meta if self.runs else {}
        return {"task": first.get("task", {}).get("name"), "protocol": first.get("protocol"), "backbone": first.get("backbone"),
                "columns": list(self.columns), "rows": self.rows, "errors": dict(self.errors),
                "runs": [{**r.summary, "label": label} for r, label in zip(self.runs, self._names, strict=True)]}

    def to_frame(self) -> Any:
        """The rows as a pandas frame where pandas is installed, else as a list."""
        return answers.frame(self.rows)

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Column titles and texts of a table for people: percent, ± spread over seeds, marks explained by :attr:`legend`."""
        several = any(r["seeds"] > 1 for r in self.rows)
        head = ["method", *self.columns, "ECE", "trainable", "seconds", "peak MB"]
        body = []
        for r in self.rows:
            marks = ("*" if r["clear"] else "") + ("=" if r["ties_best"] else "") + ("!" if r["collapsed"] else "")
            shown = [_percent(r[c], r[f"{c}_spread"] if several else None) for c in self.columns]
            body.append([f"{r['method']} {marks}".strip(), *shown, _percent(r["ece"]), f"{r['trainable']:,}", f"{r['seconds']:.1f}",
                         "-" if r["peak_mb"] is None else f"{r['peak_mb']:,.0f}"])
        return head, body

    @property
    def legend(self) -> str:
        """What the marks mean, one sentence each, for those that occur."""
        first = self.columns[0] if self.columns else ""
        said = [(any(r["clear"] for r in self.rows), f"* differs from {REFERENCE} on {first} by more than the spread over seeds."),
                (any(r["ties_best"] for r in self.rows), f"= within the spread of the best on {first}, so the two cannot be told apart."),
                (any(r["collapsed"] for r in self.rows), "! at least one seed collapsed."),
                (any(r["seeds"] > 1 for r in self.rows), "± is the population standard deviation over seeds.")]
        return " ".join([s for there, s in said if there] + [f"{label} was left out: {why}" for label, why in self.errors.items()])

    def table(self) -> Any:
        """A rich table."""
        from rich.table import Table

        head, body = self.cells()
        out = Table(caption=self.legend or None, caption_justify="left")
        for i, column in enumerate(head):
            out.add_column(column, justify="right" if i else "left")
        for row in body:
            out.add_row(*row)
        return out

    def _repr_html_(self) -> str:
        return answers.table_html(*self.cells(), caption=self.legend)


def compare(methods: Iterable[Any], clip: Any, data: Any, *, seeds: Sequence[int] = (1,), preset: str | None = None, store: RunStore,
            refit: bool = False, ctx: FitContext | None = None, see: Callable[[Event], Any] = lambda event: None, keep: str = "last",
            seconds: float | None = None) -> Comparison:
    """Fit each (method, seed) on ``data`` (drawn with that seed) and collect the runs; a method that cannot is named in ``errors``."""
    ctx = ctx or FitContext()
    runs, labels, errors = [], [], {}
    drawn = {seed: data.draw(seed) for seed in seeds}
    for cls, label, own in [spec(m) for m in methods]:
        named = preset if preset in cls.card.presets else None
        for seed in seeds:
            if ctx.stop.is_set():
                break
            episode, tests = drawn[seed]
            try:
                hyper = build_hyper(cls.card.id, cls.Hyper, {"seed": seed, **own}, cls.card.presets, named)
                asked = Request(cls, clip, episode, hyper, tests, data.protocol, keep, seconds)
                see(Note(f"{label}, seed {seed}"))
                runs.append(_drain(drive(asked, store, ctx, refit=refit), see))
                labels.append(label)
            except BadHyper:
                raise
            except PromptlabError as error:
                errors[label] = str(error)
                see(Note(f"{label} was left out: {error}"))
                break
    return Comparison(tuple(runs), tuple(labels), errors)


def spec(method: Any) -> tuple[type[Method], str, dict[str, Any]]:
    """(class, label, knobs) of "coop", "coop:n_ctx=4,lr=0.01", a class, or (id or class, {knob: value})."""
    key, own = method if isinstance(method, tuple) else (method, {})
    label = key if isinstance(key, str) else key.card.id
    if isinstance(key, str) and ":" in key:
        key, _, rest = key.partition(":")
        own = {**_texts(key, rest, knobs(method_class(key).Hyper)), **own}
    elif own:
        label += ":" + ",".join(f"{k}={v}" for k, v in own.items())
    return method_class(key), label, dict(own)


def _texts(key: str, rest: str, known: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, str] = {}
    for part in rest.split(","):
        name, sign, value = part.partition("=")
        if sign:
            found[name.strip().replace("-", "_")] = value.strip()
        elif found:  # a further item of a tuple
            found[next(reversed(found))] += f",{part}"
    for name in found:
        if name not in known:
            raise BadHyper(f"{key} has no hyper-parameter '{name}'; it has {', '.join(known)}.")
    return {name: known[name].read(text) for name, text in found.items()}


def scores(run: Run) -> dict[str, float]:
    """Headline numbers of a run: under the metric's name for a single test set, else by set, and H."""
    found = dict(run.summary["scores"])
    if list(found) == ["test"]:
        return {run.report.protocol["headline"]: found["test"]}
    return found


def _row(label: str, runs: list[Run], columns: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"method": label, "seeds": len(runs)}
    for c in columns:
        values = [scores(r)[c] for r in runs if scores(r).get(c) is not None]
        row[c] = fmean(values) if values else None
        row[f"{c}_spread"] = pstdev(values) if values else None
    ece = [r.report.metrics["ece"] for r in runs if r.report and r.report.metrics.get("ece") is not None]
    peaks = [r.meta["peak_mb"] for r in runs if r.meta["peak_mb"] is not None]
    return {**row, "ece": fmean(ece) if ece else None, "trainable": max(r.meta["trainable"] for r in runs),
            "seconds": fmean(r.meta["seconds"] for r in runs), "peak_mb": max(peaks) if peaks else None,
            "collapsed": collapsed(runs), "runs": [r.id for r in runs]}


def collapsed(runs: Sequence[Run]) -> list[int]:
    """Seeds whose fit did not stay finite, that score far below the other seeds, or below chance."""
    found = [next(iter(scores(r).values()), None) for r in runs]
    bad = []
    for i, (run, value) in enumerate(zip(runs, found, strict=True)):
        others = [v for j, v in enumerate(found) if j != i and v is not None]
        if run.status == "collapsed":
            bad.append(run.meta["seed"])
        elif value is not None:
            far = len(others) >= 2 and value < fmean(others) - max(FAR * fmean(others), 4 * pstdev(others))
            p = run.report.protocol
            chance = 1 / p["classes"] if p["kind"] == "single" else 0.0
            below = value < chance - 2 * math.sqrt(chance * (1 - chance) / p["pictures"])
            bad += [run.meta["seed"]] if far or below else []
    return bad


def _mark(rows: list[dict[str, Any]], first: str | None) -> None:
    reference = next((r for r in rows if r["method"] == REFERENCE), None)
    best = max((r for r in rows if first and r[first] is not None), key=lambda r: r[first], default=None)
    for r in rows:
        r["gain"] = r[first] - reference[first] if reference and first and r[first] is not None else None
        known = r["gain"] is not None and r is not reference and r["seeds"] > 1  # one seed has no spread to be compared with
        r["clear"] = bool(known and abs(r["gain"]) > _noise(r, reference, first))
        r["ties_best"] = bool(best and r is not best and r[first] is not None and best[first] - r[first] <= _noise(r, best, first))


def _noise(a: dict[str, Any], b: dict[str, Any], column: str) -> float:
    return max(a[f"{column}_spread"] or 0.0, b[f"{column}_spread"] or 0.0)


def _label(run: Run, runs: Sequence[Run]) -> str:
    """The method's id, with the run's id where the same method was fitted with other settings than the seed."""
    def settings(r: Run) -> dict[str, Any]:
        return {k: v for k, v in r.meta["hyper"].items() if k != "seed"}

    same = [r for r in runs if r.key == run.key]
    return run.key if all(settings(r) == settings(run) for r in same) else f"{run.key} {run.id[:6]}"


def _drain(events: Any, see: Callable[[Event], Any]) -> Run:
    while True:
        try:
            see(next(events))
        except StopIteration as end:
            return end.value


def _percent(value: float | None, spread: float | None = None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f}" + (f" ± {100 * spread:.1f}" if spread is not None else "")
