"""Curves and tables of runs: losses, live knobs, calibration, confusion, gains, disagreement. Made from saved events and predictions."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from promptlab import metrics
from promptlab.card import Knob, knobs
from promptlab.data.batch import Split
from promptlab.errors import BadData, BadHyper
from promptlab.evaluate import Report
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.subject import method_of
from promptlab.inspect.words import accuracy


def curves(run: Any) -> Exhibit:
    """Loss terms, learning rate and validation numbers over steps.

    arrays: ``step`` [S], ``lr`` [S], one ``loss <term>`` [S] a term; ``epoch_step`` [T] and ``val <metric>`` [T].
    """
    events = run.events
    steps = [e for e in events if e["event"] == "step"]
    if not steps:
        raise BadData(f"{run.key} took no steps, so there is no curve; training-free methods have none.")
    arrays: dict[str, np.ndarray] = {"step": np.array([e["i"] for e in steps]), "lr": np.array([e["lr"] for e in steps])}
    for term in steps[0]["terms"]:
        arrays[f"loss {term}"] = np.array([e["terms"].get(term, np.nan) for e in steps])
    at, seen = [], 0
    epochs = []
    for e in events:
        seen = e["i"] if e["event"] == "step" else seen
        if e["event"] == "epoch" and e["val"]:
            at.append(seen)
            epochs.append(e["val"])
    if epochs:
        arrays["epoch_step"] = np.array(at)
        arrays |= {f"val {k}": np.array([e.get(k, np.nan) for e in epochs]) for k in epochs[0]}
    loss = sum(v for k, v in arrays.items() if k.startswith("loss "))
    tenth = max(1, len(loss) // 10)
    return Exhibit(
        "curve",
        f"Training of {run.key}",
        arrays,
        {},
        "Validation pictures are never trained on.",
        (Sanity("mean loss of the last tenth", float(loss[-tenth:].mean()), float(loss[:tenth].mean())),),
    )


def live(subject: Any, knob: str | None = None, split: Split | None = None, values: Sequence[float] | None = None) -> Exhibit:
    """Accuracy on ``split`` (held-out pictures, not the test set) over values of a live knob (default: the method's first one, from
    a tenth of its value to ten times it), without a refit.

    arrays: ``value``, ``accuracy`` [V]. For α, β of Tip-Adapter, the ratio of CLIP-Adapter, α of WiSE-FT, ε of PLOT.
    """
    method = method_of(subject)
    known = {k: v for k, v in knobs(type(method.hyper)).items() if v.live and v.type in (int, float)}
    if not known or (knob is not None and knob not in known):
        allowed = ", ".join(known) or "none"
        raise BadHyper(f"{f'{knob!r} of ' if knob else ''}{method.card.id} cannot change after a fit; its live knobs are {allowed}.")
    if split is None or split.targets is None or not len(split):
        raise BadData(f"the accuracy of {method.card.id} over a live knob is measured on labelled held-out pictures; give some.")
    knob = knob or next(iter(known))
    kept, found = method.hyper, []
    values = _around(known[knob], getattr(kept, knob)) if values is None else [known[knob].type(v) for v in values]
    try:
        for v in values:
            if problem := known[knob].problem(method.card.id, v):
                raise BadHyper(problem)
            method.hyper = dataclasses.replace(kept, **{knob: v})
            found.append(accuracy(method, split))
    finally:
        method.hyper = kept
    here = accuracy(method, split)
    return Exhibit(
        "curve",
        f"Accuracy of {method.card.name} over {knob}",
        {"value": np.array(values, float), "accuracy": np.array(found)},
        {},
        "Chosen on held-out pictures; the test set stays out of it.",
        (Sanity("best accuracy", max(found), here),),
        {"knob": knob, "now": None if getattr(kept, knob) is None else float(getattr(kept, knob)), "pictures": len(split)},
    )


def _around(knob: Knob, value: float | None) -> list[float]:
    """Values to try: evenly over a range that ends at 1, else by factors around the present value."""
    if knob.low is not None and knob.high == 1.0:
        tried = np.linspace(knob.low, knob.high, 11)
    else:
        tried = (value or 1.0) * np.logspace(-1, 1, 9)
    kept = dict.fromkeys(knob.type(round(v) if knob.type is int else v) for v in tried.tolist())
    return [v for v in kept if knob.problem("", v) is None]


def reliability(report: Report, bins: int = 10) -> Exhibit:
    """Confidence against accuracy in equal bins. arrays: ``confidence``, ``accuracy`` (nan in empty bins), ``count`` [bins].

    sanity: expected calibration error, beside that of perfectly calibrated answers of the same confidences (pure sampling noise).
    """
    p = torch.from_numpy(report.predictions["pred"]).softmax(-1)
    target = torch.from_numpy(report.predictions["target"])
    top, label = p.max(-1)
    right = (label == target).float()
    place = (top * bins).long().clamp_max(bins - 1)
    count = torch.zeros(bins).index_add_(0, place, torch.ones_like(top))
    mean = {k: torch.zeros(bins).index_add_(0, place, v) / count for k, v in (("confidence", top), ("accuracy", right))}
    noise = np.mean(
        [_gap((torch.rand(len(top), generator=torch.Generator().manual_seed(i)) < top).float(), top, place, bins) for i in range(20)]
    )
    return Exhibit(
        "curve",
        f"Calibration on {report.name}",
        {k: v.numpy() for k, v in mean.items()} | {"count": count.numpy()},
        {},
        "Points below the diagonal are over-confident.",
        (Sanity("expected calibration error", _gap(right, top, place, bins), float(noise)),),
    )


def _gap(right: torch.Tensor, top: torch.Tensor, place: torch.Tensor, bins: int) -> float:
    return float(torch.zeros(bins).index_add_(0, place, right - top).abs().sum() / len(top))


def confusion(report: Report, names: Sequence[str]) -> Exhibit:
    """``counts`` [C, C], row: true class, column: answer. sanity: accuracy beside that of always giving the commonest class."""
    counts = metrics.confusion(report.predictions["pred"], report.predictions["target"]).numpy()
    n = counts.sum()
    return Exhibit(
        "matrix",
        f"Confusion on {report.name}",
        {"counts": counts},
        {"class": tuple(names)},
        "Row: true class; column: the answer.",
        (Sanity("accuracy", float(np.trace(counts) / n), float(counts.sum(1).max() / n)),),
    )


def gain(report: Report, baseline: Report, names: Sequence[str]) -> Exhibit:
    """Accuracy per class of two reports on the same pictures: ``before``, ``after``, ``gain`` [C].

    sanity: mean gain, beside the standard error that chance alone would give it (paired, over pictures).
    """
    _same(report, baseline)
    target = report.predictions["target"]
    right = [r.predictions["pred"].argmax(1) == target for r in (baseline, report)]
    before, after = (np.array([x[target == c].mean() if (target == c).any() else np.nan for c in range(len(names))]) for x in right)
    paired = right[1].astype(float) - right[0]
    return Exhibit(
        "bars",
        f"Gain and loss per class on {report.name}",
        {"before": before, "after": after, "gain": after - before},
        {"class": tuple(names)},
        "Bars below zero are classes that lost.",
        (Sanity("mean gain", float(paired.mean()), float(paired.std() / len(paired) ** 0.5)),),
    )


def disagreement(reports: dict[str, Report]) -> Exhibit:
    """Where methods differ: ``share`` [R, R] of pictures that the row has right, the column wrong; ``answer`` [R, n], ``target`` [n].

    sanity: share of pictures that at least one method has right, beside the best single method.
    """
    first = next(iter(reports.values()))
    for r in reports.values():
        _same(r, first)
    target = first.predictions["target"]
    answer = np.stack([r.predictions["pred"].argmax(1) for r in reports.values()])
    right = (answer == target).astype(float)
    share = right @ (1 - right).T / len(target)
    return Exhibit(
        "matrix",
        "Right where the other is wrong",
        {"share": share, "answer": answer, "target": target},
        {"method": tuple(reports)},
        "Row right, column wrong.",
        (Sanity("share that some method has right", float(right.max(0).mean()), float(right.mean(1).max())),),
    )


def _same(a: Report, b: Report) -> None:
    if not np.array_equal(a.predictions["row"], b.predictions["row"]) or a.protocol["task"] != b.protocol["task"]:
        raise BadData(f"the two reports are about different pictures ('{a.name}' and '{b.name}'); compare runs on the same test set.")


EXHIBITS = {"curves": curves, "live": live}
OF_RUNS = ("curves",)
