"""Learned changes of frozen weights, as edits: low-rank updates and full differences. The weights themselves are never written."""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.backbones.points import Edit
from promptlab.errors import BadHyper


def blocks(text: str, count: int) -> list[int]:
    """Block numbers from "all" or a list such as "0,3,6-11"; :class:`BadHyper` where one is not in 0 ... count - 1."""
    if text == "all":
        return list(range(count))
    try:
        ends = [(part.partition("-")[0], part.partition("-")[2] or part) for part in text.replace(" ", "").split(",")]
        found = sorted({i for low, high in ends for i in range(int(low), int(high) + 1)})
    except ValueError:
        raise BadHyper(f"block numbers must be 'all' or a list such as '0,1,6-11'; got {text!r}.") from None
    if not found or found[-1] >= count:
        raise BadHyper(f"block numbers must lie in 0 ... {count - 1}, the blocks of this tower; got {text!r}.")
    return found


class LowRank(nn.Module):
    """Low-rank change of linear maps: y = W x + b + (alpha / sqrt(r)) B A drop(x) (Hu et al., arXiv:2106.09685; rank-stabilised scale).

    ``shapes``: weight name → (out, in). A [r, in] Kaiming-uniform(sqrt 5), B [out, r] zero, so it starts as no change.
    Without dropout (always in eval mode) the change is the weight edit W + (alpha / sqrt r) B A. With dropout, which each map
    draws for itself on its own input, it is a branch edit; ``mask(x, name)`` makes the dropped input.
    """

    def __init__(self, shapes: Mapping[str, Sequence[int]], rank: int, alpha: float = 1.0, dropout: float = 0.0):
        super().__init__()
        self.names, self.scale, self.dropout = tuple(shapes), alpha / math.sqrt(rank), dropout
        self.A = nn.ParameterDict({_key(n): nn.Parameter(_kaiming(rank, w[1])) for n, w in shapes.items()})
        self.B = nn.ParameterDict({_key(n): nn.Parameter(torch.zeros(w[0], rank)) for n, w in shapes.items()})

    def mask(self, x: Tensor, name: str) -> Tensor:
        """The branch's input after dropout."""
        return F.dropout(x, self.dropout)

    def delta(self, name: str) -> Tensor:
        """The change of one weight [out, in]."""
        return self.scale * self.B[_key(name)] @ self.A[_key(name)]

    def branch(self, x: Tensor, name: str) -> Tensor:
        """The value that the change adds for inputs x [..., in] → [..., out]."""
        x = self.mask(x.to(self.A[_key(name)].dtype), name)
        return self.scale * (x @ self.A[_key(name)].T) @ self.B[_key(name)].T

    def edits(self) -> list[Edit]:
        if self.training and self.dropout:
            return [Edit(n, lambda x, n=n: self.branch(x, n), branch=True) for n in self.names]
        return [Edit(n, lambda w, n=n: w + self.delta(n)) for n in self.names]


class Delta(nn.Module):
    """One full-size difference for each named weight, zero at first: w + a · delta."""

    def __init__(self, weights: Mapping[str, Tensor], names: Iterable[str] | None = None):
        super().__init__()
        self.names = tuple(weights if names is None else names)
        self.delta = nn.ParameterDict({_key(n): nn.Parameter(torch.zeros(weights[n].shape)) for n in self.names})

    def __getitem__(self, name: str) -> nn.Parameter:
        return self.delta[_key(name)]

    def edits(self, a: float = 1.0) -> list[Edit]:
        """w + a · delta; nothing at all for a = 0, so that the frozen model comes out bit for bit (and from the cache)."""
        return [Edit(n, lambda w, n=n: w + a * self[n]) for n in self.names] if a else []


def _key(name: str) -> str:
    """Weight names as parameter names, which must not hold a dot."""
    return name.replace(".weights.", ".").replace(".", "/")


def _kaiming(rank: int, width: int) -> Tensor:
    return nn.init.kaiming_uniform_(torch.empty(rank, width), a=math.sqrt(5))
