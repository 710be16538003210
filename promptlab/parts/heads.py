"""Learned pieces behind the towers: a bottleneck on features, a residual on the classifier, a linear head."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Bottleneck(nn.Module):
    """ReLU(W2 ReLU(W1 f)) without biases, f [..., E] → [..., E], never negative (CLIP-Adapter, arXiv:2110.04544, eq. 2).

    ``fc.0.weight`` [E / reduction, E], ``fc.2.weight`` [E, E / reduction]; PyTorch's default initialisation.
    """

    def __init__(self, width: int, reduction: int = 4):
        super().__init__()
        hidden = max(width // reduction, 1)
        self.fc = nn.Sequential(nn.Linear(width, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, width, bias=False), nn.ReLU())

    def forward(self, f: Tensor) -> Tensor:
        return self.fc(f)


class Residual(nn.Module):
    """base + alpha · residual, zero at first: ``residual`` [C, E] (TaskRes, arXiv:2211.10277, eq. 4)."""

    def __init__(self, classes: int, width: int):
        super().__init__()
        self.residual = nn.Parameter(torch.zeros(classes, width))

    def forward(self, base: Tensor, alpha: float | Tensor, rows: list[int] | slice = slice(None)) -> Tensor:
        """``base`` [C, E] of the classes ``rows`` → unit-length classifier [C, E]."""
        return F.normalize(base + alpha * self.residual[rows], dim=-1)


class LinearHead(nn.Module):
    """A linear classifier stored as its change from a given start: (W0 + a · weight) f + (b0 + a · bias), zero change at first."""

    def __init__(self, classes: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(classes, width))
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, f: Tensor, start: tuple[Tensor, Tensor | float], a: float = 1.0, rows: list[int] | slice = slice(None)) -> Tensor:
        """``f`` [B, E], ``start`` = (W0 [C, E], b0 [C] or a number) of the classes ``rows`` → logits [B, C]."""
        weight, bias = start
        return f @ (weight + a * self.weight[rows]).T + (bias + a * self.bias[rows])
