"""A key-value memory of features, and the search for how much to trust it (Tip-Adapter, arXiv:2207.09519)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Cache(nn.Module):
    """M keys [M, E] with their values [M, C]; an empty memory votes for nothing.

    The state is born in ``fill`` and a checkpoint brings its own size. ``learn_keys``: the keys are learnable.
    """

    def __init__(self, width: int, classes: int, learn_keys: bool = False):
        super().__init__()
        self.register_buffer("keys", torch.zeros(0, width))
        if learn_keys:
            del self.keys
            self.keys = nn.Parameter(torch.zeros(0, width))
        self.register_buffer("values", torch.zeros(0, classes))

    def __len__(self) -> int:
        return self.keys.shape[0]

    def fill(self, keys: Tensor, values: Tensor) -> None:
        """Remember ``keys`` [M, E] and ``values`` [M, C] instead of what was there."""
        keys = keys.detach().clone()
        self.keys = nn.Parameter(keys) if isinstance(self.keys, nn.Parameter) else keys
        self.values = values.detach().clone()

    def affinity(self, query: Tensor) -> Tensor:
        """Inner products of unit-length ``query`` [B, E] with the keys as they are (learned keys are not renormalised): [B, M]."""
        return query @ self.keys.T

    def votes(self, affinity: Tensor, beta: float | Tensor) -> Tensor:
        """exp(-beta (1 - affinity)) values: [B, M] → [B, C] (eq. 6)."""
        return (-beta * (1 - affinity)).exp() @ self.values

    def _load_from_state_dict(self, state: dict, prefix: str, *args) -> None:
        for name in ("keys", "values"):
            if (value := state.get(prefix + name)) is not None and value.shape != (old := getattr(self, name)).shape:
                fresh = old.detach().new_empty(value.shape)
                setattr(self, name, nn.Parameter(fresh) if isinstance(old, nn.Parameter) else fresh)
        super()._load_from_state_dict(state, prefix, *args)


class Found(NamedTuple):
    """Result of :func:`search`: the first strictly best pair, its accuracy and all accuracies [beta, alpha] (shares of 1)."""

    beta: float
    alpha: float
    accuracy: float
    grid: Tensor


def ticks(top: float, steps: int) -> Tensor:
    """``steps`` values i (top - 0.1) / steps + 0.1: ``top`` itself is never reached."""
    return torch.tensor([i * (top - 0.1) / steps + 0.1 for i in range(steps)])


def search(cache: Cache, plain: Tensor, affinity: Tensor, target: Tensor, betas: Tensor, alphas: Tensor) -> Found:
    """Accuracy of plain + alpha · votes(beta) on ``target`` [B] for all pairs, beta in the outer loop; no gradient.

    ``plain``: zero-shot logits [B, C]; ``affinity`` [B, M] (-inf where a key must not vote).
    """
    with torch.no_grad():
        rows = [_row(plain, cache.votes(affinity, b), target, alphas) for b in betas.tolist()]
    grid = torch.stack(rows)
    best = int(grid.flatten().argmax())  # the first of the equal ones
    i, j = divmod(best, len(alphas))
    return Found(float(betas[i]), float(alphas[j]), float(grid[i, j]), grid)


def _row(plain: Tensor, votes: Tensor, target: Tensor, alphas: Tensor) -> Tensor:
    """Accuracies of one beta, [alpha]."""
    right = [(plain + a * votes).argmax(-1).eq(target).float().mean() for a in alphas.tolist()]
    return torch.stack(right).cpu()


def one_hot(target: Tensor, classes: int) -> Tensor:
    """Labels [M] → float32 [M, C]."""
    return F.one_hot(target.long(), classes).float()
