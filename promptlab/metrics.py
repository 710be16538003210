"""Metrics: plain functions of saved predictions (torch or numpy), by torchmetrics wherever it has them.

All shares are of 1, not percent. A class that the test set does not hold scores None, not 0, and is left out of means.
torchmetrics is imported where it is used: its import takes longer than everything else here.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

UNKNOWN = -1


def _tensors(*arrays: Any) -> list[Tensor]:
    tensors = [torch.as_tensor(a).detach().cpu() for a in arrays]
    # a collapsed run answers nan: it scores like one that answers nothing, and :func:`_not_finite` says how often
    return [t.nan_to_num(nan=0.0) if t.is_floating_point() else t for t in tensors]


def _not_finite(logits: Any) -> dict[str, int]:
    bad = int((~torch.as_tensor(logits).isfinite()).flatten(1).any(1).sum())
    return {"not_finite": bad} if bad else {}


def _wide(scores: Tensor) -> Tensor:
    """At least two columns, as torchmetrics wants; the added one never wins."""
    return scores if scores.shape[1] > 1 else torch.cat([scores, torch.full_like(scores, float(scores.min()) - 1)], 1)


def _none(values: Tensor, names: Sequence[str]) -> dict[str, float | None]:
    return {name: None if value != value else value for name, value in zip(names, values.tolist(), strict=True)}


def accuracy(logits: Any, target: Any) -> float:
    """Share of rows of [B, C] whose largest logit is at the target [B]."""
    from torchmetrics.functional.classification import multiclass_accuracy

    logits, target = _tensors(logits, target)
    logits = _wide(logits)
    return float(multiclass_accuracy(logits, target, logits.shape[1], average="micro"))


def confusion(logits: Any, target: Any) -> Tensor:
    """Counts [C true, C predicted]."""
    from torchmetrics.functional.classification import multiclass_confusion_matrix

    logits, target = _tensors(logits, target)
    n = logits.shape[1]
    return multiclass_confusion_matrix(logits.argmax(1), target, max(2, n), ignore_index=UNKNOWN)[:n, :n]


def per_class(logits: Any, target: Any) -> Tensor:
    """Share of each class's rows that got its name [C]; nan where the class has no row."""
    counts = confusion(logits, target).float()
    return counts.diag() / counts.sum(1)


def macro_f1(logits: Any, target: Any) -> float:
    """Unweighted mean of the classes' F1, over classes that occur in targets or predictions."""
    from torchmetrics.functional.classification import multiclass_f1_score

    logits, target = _tensors(logits, target)
    return float(multiclass_f1_score(logits.argmax(1), target, max(2, logits.shape[1]), average="macro"))


def ece(probabilities: Any, target: Any, bins: int = 15) -> float:
    """Expected calibration error of [B, C] probabilities: mean |confidence - accuracy| over equal-width bins."""
    from torchmetrics.functional.classification import multiclass_calibration_error

    probabilities, target = _tensors(probabilities, target)
    if probabilities.shape[1] == 1:  # one class is always right and always sure
        return 0.0
    return float(multiclass_calibration_error(probabilities.float(), target, probabilities.shape[1], bins))


def average_precision(scores: Any, target: Any) -> Tensor:
    """Area under precision-recall of each class [C] from scores and targets [B, C]; -1 left out; nan without a positive."""
    from torchmetrics.functional.classification import binary_average_precision

    scores, target = _tensors(scores, target)
    out = torch.full((scores.shape[1],), torch.nan)
    for c in range(scores.shape[1]):
        known = target[:, c] != UNKNOWN
        if (target[:, c] == 1).any():
            # ranks instead of scores: torchmetrics would put logits through a sigmoid, which is 1 for all large ones
            rank = scores[known, c].unique(return_inverse=True)[1].double()
            out[c] = binary_average_precision(rank / len(rank), target[known, c].long())
    return out


def ranked_precision(scores: Any, target: Any) -> Tensor:
    """DualCoOp's AP: sum_i precision@i · rel_i / (positives + 1e-8) in sorted order, ties broken by position [C].

    Equal to :func:`average_precision` without ties.
    """
    scores, target = _tensors(scores, target)
    out = torch.full((scores.shape[1],), torch.nan)
    for c in range(scores.shape[1]):
        known = target[:, c] != UNKNOWN
        relevant = target[known, c][scores[known, c].argsort(descending=True, stable=True)] == 1
        if relevant.any():
            at = relevant.cumsum(0) / torch.arange(1, len(relevant) + 1)
            out[c] = (at * relevant).sum() / (relevant.sum() + 1e-8)
    return out


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def threshold_scores(hits: Tensor, target: Tensor) -> dict[str, float]:
    """Precision, recall and F1 of decisions [B, C], overall (op, or, of1) and as means of classes (cp, cr, cf1)."""
    known = target != UNKNOWN
    hits, truth = hits & known, target == 1
    tp, said, there = (hits & truth).sum(0).float(), hits.sum(0).float(), truth.sum(0).float()
    op, orr = float(tp.sum() / said.sum().clamp(min=1)), float(tp.sum() / there.sum().clamp(min=1))
    cp, cr = float((tp / said.clamp(min=1)).mean()), float((tp / there.clamp(min=1)).mean())
    return {"cp": cp, "cr": cr, "cf1": _f1(cp, cr), "op": op, "or": orr, "of1": _f1(op, orr)}


def f1_at(scores: Any, target: Any, k: int = 3) -> float:
    """F1 of the k best-scored classes of every picture, counted over all pictures together."""
    scores, target = _tensors(scores, target)
    hits = torch.zeros(scores.shape, dtype=torch.bool).scatter_(1, scores.topk(min(k, scores.shape[1])).indices, True)
    return threshold_scores(hits, target)["of1"]


def iou(logits: Any, target: Any) -> Tensor:
    """Intersection over union of each class [C], from [B, C, H, W] and [B, H, W]; nan where neither has it."""
    counts = confusion(logits, target).float()
    return counts.diag() / (counts.sum(0) + counts.sum(1) - counts.diag())


def harmonic(base: float, new: float) -> float:
    """H = 2ab / (a + b) of base and new accuracy; 0 when both are 0."""
    return _f1(base, new)


def single(logits: Any, target: Any, names: Sequence[str]) -> dict[str, Any]:
    """Everything for one class a picture: logits [B, C], target [B]."""
    bad = _not_finite(logits)
    logits, target = _tensors(logits, target)
    return {
        "accuracy": accuracy(logits, target),
        "macro_f1": macro_f1(logits, target),
        "ece": ece(logits.float().softmax(-1), target),
        "per_class": _none(per_class(logits, target), names),
        "confusion": confusion(logits, target).tolist(),
        **bad,
    }


def multi(logits: Any, target: Any, names: Sequence[str]) -> dict[str, Any]:
    """Everything for any number of classes a picture: logits [B, C], target [B, C] in {1, 0, -1}."""
    bad = _not_finite(logits)
    logits, target = _tensors(logits, target)
    each = average_precision(logits, target)
    ranked = ranked_precision(logits, target)
    return {"map": float(each.nanmean()), "map_ranked": float(ranked.nanmean()), **threshold_scores(logits > 0, target),
            "f1_at_3": f1_at(logits, target), "per_class": _none(each, names), **bad}


def dense(logits: Any, target: Any, names: Sequence[str]) -> dict[str, Any]:
    """Everything for one class a pixel: logits [B, C, H, W], target [B, H, W]."""
    bad = _not_finite(logits)
    logits, target = _tensors(logits, target)
    each, judged = iou(logits, target), target != UNKNOWN
    right = (logits.argmax(1) == target)[judged].float().mean()
    return {"miou": float(each.nanmean()), "pixel_accuracy": float(right), "per_class": _none(each, names), **bad}
