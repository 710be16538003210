"""Pseudo-labels: which unlabelled pictures a prediction is trusted on, and as what.

Source of the rules: UPL, arXiv:2204.03649, ``tonyhuang2022/UPL: trainers/utils.py``.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from promptlab.errors import BadHyper

RULES = ("per_class", "overall", "threshold", "threshold_per_class")


@dataclass(frozen=True)
class Chosen:
    """Positions in the pool [m], their labels [m] and confidences [m] (the label's probability)."""

    index: Tensor
    label: Tensor
    confidence: Tensor


def top_k(pred: Tensor, k: int) -> Chosen:
    """Of logits [n, C], the ``k`` largest max-probabilities of every *predicted* class; ties by position.

    A class that is never predicted gets none and every picture is used at most once (``trainers/utils.py`` of UPL).
    """
    return top_k_of(pred.float().softmax(-1), k)


def top_k_of(probabilities: Tensor, k: int) -> Chosen:
    """:func:`top_k` for probabilities [n, C] (UPL* averages those of several backbones)."""
    confidence, label = probabilities.max(-1)
    order = confidence.argsort(descending=True, stable=True)
    kept = [order[label[order] == c][:k] for c in range(probabilities.shape[1])]
    index = torch.cat(kept)
    return Chosen(index, label[index], confidence[index])


def select(probabilities: Tensor, rule: str = "per_class", k: int = 16, threshold: float = 0.8) -> Chosen:
    """Choose pictures by probabilities [n, C], in ascending order of position; the label is the argmax.

    "per_class": :func:`top_k_of`; "overall": the k most confident of all; "threshold" and "threshold_per_class": confidence
    strictly above ``threshold`` (the public code writes two loops that give the same set).
    """
    if rule not in RULES:
        raise BadHyper(f"there is no pseudo-label rule '{rule}'; choose one of {', '.join(RULES)}.")
    confidence, label = probabilities.max(-1)
    if rule == "per_class":
        index = top_k_of(probabilities, k).index
    elif rule == "overall":
        index = confidence.argsort(descending=True, stable=True)[:k]
    else:
        index = (confidence > threshold).nonzero()[:, 0]
    index = index.sort().values
    return Chosen(index, label[index], confidence[index])
