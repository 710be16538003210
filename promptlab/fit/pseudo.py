"""Pseudo-labels: the most confident pictures of each predicted class (UPL's rule)."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Chosen:
    """Positions in the pool [m], their labels [m] and confidences [m]."""

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
