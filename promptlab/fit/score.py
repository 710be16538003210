"""Predictions of a method over a split, without learning: what validation, searches and the evaluation share."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from promptlab.data.batch import Split


def outputs(method: Any, split: Split, *, names: Any = None, batch: int = 100,
            halt: Callable[[], str | None] = lambda: None) -> Iterator[Any]:
    """One ``Out`` a batch, in the order of the split; the class side is computed once. The caller holds the sandbox.

    Modes are entered and left around each batch, never across a yield. Methods that adapt to a stream
    (``card.stream``) get one picture at a time and may switch gradients on inside ``predict``.
    """
    with torch.no_grad():
        bank = method.bank(names)
    for part in split.batches(1 if method.card.stream else batch):
        if halt():
            return
        with torch.no_grad():
            out = method.predict(part, bank)
        yield out


def predictions(method: Any, split: Split, *, names: Any = None, batch: int = 100) -> Tensor:
    """All ``pred`` of a split, float32 on the CPU: [n, C] (single, multi) or [n, C, h, w] (dense)."""
    was = method.training
    method.eval()
    try:
        return torch.cat([out.pred.detach().float().cpu() for out in outputs(method, split, names=names, batch=batch)])
    finally:
        method.train(was)


def score(method: Any, split: Split, *, names: Any = None) -> dict[str, float]:
    """The kind's metrics (those that are single numbers) of a method on a labelled split; select by ``method.kind.headline``."""
    classes = names or method.task.classes
    found = method.kind.metrics(predictions(method, split, names=names), split.targets, classes.names)
    return {k: v for k, v in found.items() if isinstance(v, float)}


def headline(method: Any, split: Split) -> float:
    """Only the metric to select by (searches ask for it thousands of times)."""
    if method.kind.headline == "accuracy":
        return float((predictions(method, split).argmax(1) == split.targets).float().mean())
    return score(method, split)[method.kind.headline]
