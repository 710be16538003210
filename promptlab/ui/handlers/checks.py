"""Checks of Compare that are made on request: new classes, number of shots; and calibration."""

from typing import Any

import numpy as np

from promptlab import registry
from promptlab.errors import BadData
from promptlab.inspect import reliability
from promptlab.plots import linked
from promptlab.ui import core, says
from promptlab.ui.handlers import frame, train
from promptlab.ui.handlers.views import Up, View
from promptlab.ui.pieces import note, percent, t, table
from promptlab.ui.session import Session

SHOTS = (1, 2, 4, 8, 16)


def novel(session: Session, method: str | None) -> View:
    """Train on the first half of the classes, test on both halves, beside zero-shot."""
    _need(session, method)
    for key in dict.fromkeys(("zero_shot", method)):
        train.submit(session, key, session.data.seed, "novel", protocol="base_to_new")
    return show(session)


def shots_curve(session: Session, method: str | None) -> View:
    """The method with 1, 2, 4, 8, 16 shots, as far as there are pictures."""
    _need(session, method)
    most = max(np.bincount(session.data.data.train.targets.numpy())) if session.data.data.train is not None else 1
    for shots in [s for s in SHOTS if s <= max(1, most - (session.data.data.test is None))]:
        train.submit(session, method, session.data.seed, "shots", shots=shots)
    return show(session)


def _need(session: Session, method: str | None) -> None:
    if session.data is None:
        raise BadData(says.GATE)
    if not method or method not in registry.ids():
        raise BadData("choose a method first; train one and it is listed here.")


def show(session: Session) -> View:
    """The checks that are made on request: new classes, number of shots, calibration."""
    keys = list(dict.fromkeys(r.key for r in session.runs)) or ["zero_shot"]
    wanted = session.view.get("check")
    return {
        "check_method": Up(choices=[(core.title(k), k) for k in keys], value=wanted if wanted in keys else keys[0]),
        "novel": _novel(session),
        "shots_plot": _shots(session),
        "calibration": _calibration(session),
    }


def _novel(session: Session) -> str:
    rows = []
    for x in (x for x in session.tickets if x.purpose == "novel"):
        scores = x.run.summary["scores"] if x.run is not None else {}
        waits = x.error or ("" if x.run is not None else "training …")
        rows.append([t(core.title(x.method)), *(percent(scores.get(k)) for k in ("base", "new", "H")), t(waits)])
    return (
        table(["method", "base %", "new %", "H %", ""], rows, label="New-class check")
        if rows
        else note(
            "Trains on the first half of the classes and tests on both halves: does the method help with names that it never trained on?"
        )
    )


def _shots(session: Session) -> Any:
    found: dict[str, list[tuple[int, float]]] = {}
    for x in session.tickets:
        if x.purpose == "shots" and x.run is not None and x.run.report is not None:
            found.setdefault(core.title(x.method), []).append((x.shots, 100 * x.run.report.headline))
    if not found:
        return None
    reach = sorted({s for v in found.values() for s, _ in v})
    series = {"zero-shot": (reach, [100 * session.zero.report.headline] * len(reach))} | {
        k: ([s for s, _ in sorted(v)], [a for _, a in sorted(v)]) for k, v in found.items()
    }
    made = linked.lines(
        series, title="Accuracy by number of shots", x_title="shots a class", y_title="accuracy, %", log=True, dashed=("zero-shot",)
    )
    return linked.safe(made, ())


def _calibration(session: Session) -> Any:
    runs = {"perfect": None, "zero-shot": session.zero, **{frame.name(session, i): r for i, r in enumerate(session.runs) if r.report}}
    series: dict[str, Any] = {}
    for label, run in list(runs.items())[-6:] if len(runs) > 6 else runs.items():
        if run is None:
            series[label] = ([0, 1], [0, 1])
            continue
        e = reliability(run.report)
        keep = ~np.isnan(e.arrays["accuracy"])
        series[f"{label} (ECE {100 * e.sanity[0].value:.1f} %)"] = (
            e.arrays["confidence"][keep].tolist(),
            e.arrays["accuracy"][keep].tolist(),
        )
    made = linked.lines(
        series,
        title="Calibration: below the diagonal is over-confident",
        x_title="confidence",
        y_title="accuracy",
        dashed=("perfect",),
        grey=[n for n in series if n.startswith("zero-shot")],
    )
    return linked.safe(made, ())
