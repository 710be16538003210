"""Several runs beside each other, from their saved predictions: calibration, confusion, gain per class, disagreement."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from promptlab.errors import BadData, WrongKind
from promptlab.evaluate import Report
from promptlab.inspect.curves import confusion as confusion_of
from promptlab.inspect.curves import disagreement as disagreement_of
from promptlab.inspect.curves import gain as gain_of
from promptlab.inspect.curves import reliability as reliability_of
from promptlab.inspect.exhibit import Exhibit, Sanity


def reports_of(runs: Sequence[Any], on: str | None = None) -> dict[str, Report]:
    """One report a run by the run's name (its method, with seed or id where several have one), all on one test set: ``on``, or the
    first that all of them answered."""
    if not runs:
        raise BadData("no run came; give the ids of one or several.")
    shared = [s for s in runs[0].reports if all(s in r.reports for r in runs)]
    if (on and on not in shared) or not shared:
        raise BadData(f"the runs were not all judged on {f'the set {on!r}' if on else 'one test set'}; "
                      f"the sets that all of them answered are {', '.join(shared) or 'none'}.")
    found = {n: r.reports[on or shared[0]] for n, r in zip(names_of(runs), runs, strict=True)}
    if any("pred" not in r.predictions for r in found.values()):
        raise BadData("the predictions of a run are not there (a .plab file holds none); compare runs of a folder of runs.")
    if any(r.protocol["kind"] != "single" for r in found.values()):
        raise WrongKind("this comparison is about one label a picture; runs of multi-label and segmentation tasks have other metrics.")
    return found


def names_of(runs: Sequence[Any]) -> list[str]:
    """A short name a run: the method, its seed where methods come twice, its id where that does not tell them apart either."""
    for name in (lambda r: r.key, lambda r: f"{r.key}, seed {r.meta['seed']}", lambda r: f"{r.key} {r.id}"):
        names = [name(r) for r in runs]
        if len(set(names)) == len(names):
            return names
    raise BadData(f"the run {runs[0].id} came twice; give each run once.")


def classes_of(run: Any, report: Report) -> Sequence[str]:
    """The class names of a report (those of its test set, which may be other ones than the run was fitted on)."""
    listed = run.meta.get("tests", {}).get(report.name)
    return listed[1] if listed else run.classes.names


def reliability(runs: Sequence[Any], on: str | None = None, bins: int = 15) -> Exhibit:
    """Confidence against accuracy, one line a run.

    arrays: ``confidence``, ``accuracy`` [R, bins] (nan in empty bins), ``count`` [R, bins], ``ece`` [R]. sanity: expected calibration
    error of each run beside the one that perfectly calibrated answers of the same confidences would show by chance.
    """
    made = {n: reliability_of(r, bins) for n, r in reports_of(runs, on).items()}
    first = next(iter(made.values()))
    arrays = {k: np.stack([e.arrays[k] for e in made.values()]) for k in ("confidence", "accuracy", "count")}
    arrays["ece"] = np.array([e.sanity[0].value for e in made.values()])
    checks = tuple(Sanity(f"expected calibration error, {n}", e.sanity[0].value, e.sanity[0].control) for n, e in made.items())
    return Exhibit("curve", first.title, arrays, {"run": tuple(made)}, first.note, checks, {})


def confusion(runs: Sequence[Any], on: str | None = None) -> Exhibit:
    """``counts`` (or one ``counts of <run>`` a run) [C, C], row: true class, column: answer."""
    found = reports_of(runs, on)
    made = {n: confusion_of(r, classes_of(run, r)) for run, (n, r) in zip(runs, found.items(), strict=True)}
    if len(made) == 1:
        return next(iter(made.values()))
    first = next(iter(made.values()))
    arrays = {f"counts of {n}": e.arrays["counts"] for n, e in made.items()}
    checks = tuple(Sanity(f"accuracy, {n}", e.sanity[0].value, e.sanity[0].control) for n, e in made.items())
    return Exhibit("matrix", first.title, arrays, first.labels, first.note, checks, {})


def gain(runs: Sequence[Any], on: str | None = None, baseline: Any = None) -> Exhibit:
    """Accuracy per class against ``baseline`` (a run; by default the zero-shot run among them, or else the first).

    arrays: ``before`` [C]; for one run ``after`` and ``gain`` [C], for several ``gain of <run>`` [C].
    """
    if baseline is None:
        if len(runs) < 2:
            raise BadData("a gain needs a run to be compared with; give the run of zero_shot on the same pictures as well.")
        baseline = next((r for r in runs if r.key == "zero_shot"), runs[0])
    others = [r for r in runs if r is not baseline]
    found = reports_of([*others, baseline], on)
    *names, base = found
    made = {n: gain_of(found[n], found[base], classes_of(baseline, found[base])) for n in names}
    first = next(iter(made.values()))
    if len(made) == 1:
        return first
    arrays = {"before": first.arrays["before"], **{f"gain of {n}": e.arrays["gain"] for n, e in made.items()}}
    checks = tuple(Sanity(f"mean gain of {n} (standard error)", e.sanity[0].value, e.sanity[0].control) for n, e in made.items())
    return Exhibit("bars", f"Gain over {base} per class on {found[base].name}", arrays, first.labels, first.note, checks,
                   {"baseline": base, "pair": "gain of "})


def disagreement(runs: Sequence[Any], on: str | None = None) -> Exhibit:
    """Where runs differ: ``share`` [R, R] of pictures that the row has right and the column wrong."""
    if len(runs) < 2:
        raise BadData("a disagreement is between runs, and one came; give two or more.")
    return disagreement_of(reports_of(runs, on))


COMPARISONS = {"confusion": confusion, "disagreement": disagreement, "gain": gain, "reliability": reliability}
EXHIBITS: dict[str, Any] = {}
