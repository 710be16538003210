"""A replay: the frames' own panels, on one scale over all frames."""

from dataclasses import replace

import numpy as np

from promptlab.inspect.exhibit import Exhibit
from promptlab.plots.panels import Panel, Slides, panels


def frames(e: Exhibit) -> list[list[Panel]]:
    """The panels of every frame, as many in each, with colour ranges and axes that all frames share."""
    every = [panels(one) for one in e.frames()]
    n = min(map(len, every))
    scales = [_scale([f[i] for f in every]) for i in range(n)]
    return [[replace(p, **s) for p, s in zip(f[:n], scales)] for f in every]


def _scale(over: list[Panel]) -> dict[str, object]:
    if over[0].what == "heat":
        return {"low": min(p.low for p in over), "high": max(p.high for p in over)}
    if over[0].what == "picture":
        return {}
    y = _ends([np.asarray(s[2], float) for p in over for s in p.series])
    if over[0].what == "bars":
        dots = bool(over[0].series[0][3].get("dot"))
        marks = [m for p in over for m in p.marks]
        low, high = ([y[0 if dots else 1], *(m[i] for m in marks)] for i in (1, 2))
        return {"x_range": (min(low) if dots else min(0.0, y[0]), max([y[1], *high]))}
    if over[0].what == "points":
        return {"x_range": _ends([np.asarray(s[1], float) for p in over for s in p.series]), "y_range": y}
    return {"y_range": over[0].y_range or y}


def _ends(values: list[np.ndarray]) -> tuple[float, float]:
    """Least and largest, with a little room."""
    every = np.concatenate([v[np.isfinite(v)] for v in values]) if values else np.zeros(1)
    if not every.size:
        return 0.0, 1.0
    low, high = float(every.min()), float(every.max())
    room = 0.06 * (high - low) or 0.5
    return low - room, high + room


def slides(e: Exhibit) -> list[Slides]:
    """One place a frame."""
    return [Slides("after", tuple(e.labels["frame"]), tuple(frames(e)), len(e.labels["frame"]) - 1)]


PANELS = {"replay": lambda e: frames(e)[-1]}
SLIDES = {"replay": slides}
