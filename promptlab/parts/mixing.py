"""How much of two further terms to add to logits: a search over both weights at once."""

from typing import NamedTuple

import torch
from torch import Tensor


class Mixed(NamedTuple):
    """The first strictly best pair (first weight in the outer loop), its accuracy, and all accuracies [I, J] (shares of 1)."""

    first: float
    second: float
    accuracy: float
    grid: Tensor


def ladder(low: float, high: float, steps: int) -> Tensor:
    """``steps`` values low + i (high - low) / steps: ``high`` itself is never reached."""
    return torch.tensor([low + i * (high - low) / steps for i in range(steps)], dtype=torch.float64)


@torch.no_grad()
def search_pair(plain: Tensor, one: Tensor, two: Tensor, target: Tensor, firsts: Tensor, seconds: Tensor, rows: int = 2**22) -> Mixed:
    """Accuracy of plain + a · one + b · two (each [B, C]) on ``target`` [B], for all a in ``firsts`` [I] and b in ``seconds`` [J].

    ``rows``: numbers held at a time.
    """
    chunk = max(1, rows // max(1, plain.numel()))
    grid = torch.empty(len(firsts), len(seconds))
    for i, a in enumerate(firsts.tolist()):
        base = plain + a * one
        for j in range(0, len(seconds), chunk):
            b = seconds[j : j + chunk].to(base)[:, None, None]
            grid[i, j : j + chunk] = (base + b * two).argmax(-1).eq(target).float().mean(-1).cpu()
    i, j = divmod(int(grid.flatten().argmax()), len(seconds))  # the first of the equal ones
    return Mixed(float(firsts[i]), float(seconds[j]), float(grid[i, j]), grid)
