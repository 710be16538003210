"""Averages of learnables over a fit."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from promptlab.fit.events import Epoch, Event
from promptlab.fit.state import restore, snapshot


def gaussian_weights(epochs: int, mean: float, std: float) -> list[float]:
    """Weights of epochs 1..E, proportional to a normal density and summing to 1 (PromptSRC's GPA)."""
    raw = [math.exp(-((e - mean) ** 2) / (2 * std**2)) for e in range(1, epochs + 1)]
    return [w / sum(raw) for w in raw]


def epochs(method: Any, events: Iterator[Event], weights: Sequence[float]) -> Iterator[Event]:
    """Pass ``events`` on; at the end the learnables are the weighted mean of their values after each epoch.

    A fit that stops early averages the epochs it has, with their weights scaled to sum to 1.
    """
    total, mean = 0.0, None
    for event in events:
        if isinstance(event, Epoch):
            weight, now = weights[event.i - 1], snapshot(method)
            total += weight
            mean = {k: v * weight if mean is None else mean[k] + v * weight for k, v in now.items()}
        yield event
    if mean is not None and total > 0:
        restore(method, {k: v / total for k, v in mean.items()})
