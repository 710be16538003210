"""Averages of learnables over a fit."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from promptlab.fit.events import Epoch, Event
from promptlab.fit.state import restore, snapshot


def gaussian_weights(epochs: int, mean: float, std: float) -> list[float]:
    """Weights of epochs 1..E, proportional to a normal density and summing to 1 (PromptSRC's GPA)."""
    logs = [-((e - mean) ** 2) / (2 * std**2) for e in range(1, epochs + 1)]
    raw = [math.exp(log - max(logs)) for log in logs]  # the nearest epoch counts, however far from the mean it is
    return [w / sum(raw) for w in raw]


def epochs(method: Any, events: Iterator[Event], weights: Sequence[float], ctx: Any = None) -> Iterator[Event]:
    """Pass ``events`` on; at the end the learnables are the weighted mean of their values after each epoch.

    A fit that stops early averages the epochs it has, with their weights scaled to sum to 1. With ``ctx`` the mean so far is a
    phase of the fit in its checkpoint, so that a resumed fit averages the earlier epochs too.
    """
    slot, total, mean = getattr(ctx, "checkpoint", None), 0.0, None
    stage = ctx.next_stage() if slot else 0
    if slot and (saved := slot.load(stage)):
        _, mean, meta = saved
        total = meta["total"]
    for event in events:
        if isinstance(event, Epoch):
            weight, now = weights[event.i - 1], snapshot(method)
            total += weight
            mean = {k: v * weight if mean is None else mean[k].to(v.device) + v * weight for k, v in now.items()}
            if slot:
                slot.save(stage, event.i, mean, {"total": total})
        yield event
    if mean is not None and total > 0:
        restore(method, {k: v / total for k, v in mean.items()})
