"""Evaluation: predictions first, metrics from them."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from promptlab.data.task import TestSet
from promptlab.errors import BadData
from promptlab.fit.context import FitContext
from promptlab.fit.score import outputs
from promptlab.method import Method, sandbox


@dataclass(frozen=True)
class Report:
    """What a method answered on one test set.

    ``predictions``: "pred" float32 [n, C] (or [n, C, h, w]), "target" [n] (or [n, C], [n, H, W]), "row" [n].
    ``metrics``: the kind's, as plain data. ``protocol``: what was asked, and how.
    """

    name: str
    metrics: dict[str, Any]
    seconds: float
    protocol: dict[str, Any]
    predictions: dict[str, np.ndarray] = field(repr=False)

    @property
    def headline(self) -> float:
        """The kind's main number (accuracy, map, miou)."""
        return self.metrics[self.protocol["headline"]]

    def _repr_html_(self) -> str:
        from promptlab.answers import scalars, table_html

        shown = [(k, f"{v:.4g}") for k, v in scalars(self.metrics).items()]
        caption = f"{self.protocol['task']}, {self.name}: {self.protocol['pictures']} pictures, {self.protocol['classes']} classes"
        return table_html(("metric", "value"), shown, caption)

    def to_json(self) -> dict[str, Any]:
        """All but the arrays."""
        return {"metrics": self.metrics, "seconds": self.seconds, "protocol": self.protocol}


def evaluate(method: Method, test_set: TestSet, ctx: FitContext | None = None, *, batch: int = 100) -> Report:
    """Run ``method`` over a labelled test set inside ``sandbox`` and judge the saved predictions by the task's kind."""
    split, task = test_set.split, test_set.task
    if split.targets is None or not len(split):
        raise BadData(f"test set '{test_set.name}' of '{task.name}' has no labelled pictures, so there is nothing to judge.")
    start, halt = time.perf_counter(), ctx.halt if ctx else lambda: None
    with sandbox(method):
        pred = [o.pred.detach().float().cpu() for o in outputs(method, split, names=task.classes, batch=batch, halt=halt)]
    if not pred:
        raise BadData(f"the evaluation on '{test_set.name}' was stopped before its first picture.")
    found = torch.cat(pred)
    seconds = time.perf_counter() - start
    predictions = {"pred": found.numpy(), "target": split.targets[: len(found)].numpy(), "row": np.asarray(split.rows[: len(found)])}
    protocol = {"set": test_set.name, "task": task.name, "kind": task.kind, "headline": method.kind.headline, "pictures": len(found),
                "of": len(split), "classes": len(task.classes), "one_by_one": method.card.stream, **test_set.notes}
    return Report(test_set.name, judge(method.kind, predictions, task.classes.names), seconds, protocol, predictions)


def judge(kind: Any, predictions: dict[str, np.ndarray], names: tuple[str, ...]) -> dict[str, Any]:
    """The kind's metrics of saved predictions."""
    return dict(kind.metrics(torch.from_numpy(predictions["pred"]), torch.from_numpy(predictions["target"]), names))
