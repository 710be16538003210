"""Additive pixel prompts: one picture, the same for all inputs, added to the normalised pixels.

Source: Bahng et al., "Exploring Visual Prompts for Adapting Large-Scale Models" (arXiv:2203.17274), ``models/prompters.py``.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.backbones.points import Edit
from promptlab.errors import BadHyper

INIT = ("normal", "zeros")


def _fresh(*shape: int, init: str) -> nn.Parameter:
    return nn.Parameter(torch.randn(1, 3, *shape) if init == "normal" else torch.zeros(1, 3, *shape))


class Frame(nn.Module):
    """A border of ``width`` px around a picture of ``size`` px; the centre stays untouched.

    ``pad_up``, ``pad_down`` [1, 3, width, size] span the picture, ``pad_left``, ``pad_right`` [1, 3, size - 2 width, width]
    only the inner rows: together 3 (size^2 - (size - 2 width)^2) numbers.
    """

    def __init__(self, size: int, width: int, init: str = "normal"):
        super().__init__()
        if 2 * width > size:
            raise BadHyper(f"a frame of {width} px does not fit a picture of {size} px; choose at most {size // 2}.")
        inner = size - 2 * width
        self.pad_up, self.pad_down = _fresh(width, size, init=init), _fresh(width, size, init=init)
        self.pad_left, self.pad_right = _fresh(inner, width, init=init), _fresh(inner, width, init=init)

    def forward(self) -> Tensor:
        """The whole prompt [1, 3, size, size]."""
        hole = self.pad_left.new_zeros(1, 3, self.pad_left.shape[2], self.pad_up.shape[3] - 2 * self.pad_left.shape[3])
        return torch.cat([self.pad_up, torch.cat([self.pad_left, hole, self.pad_right], 3), self.pad_down], 2)

    def edits(self) -> list[Edit]:
        return add(self)


class Patch(nn.Module):
    """A square ``patch`` [1, 3, side, side] in a picture of ``size`` px.

    In the top-left corner, or (``wander``) at a place drawn anew for every forward pass, the same for the whole batch: row
    first, then column, each from 0 ... size - side - 1 (so the very last place is never used, as in the original).
    ``place``: (row, column) that overrides both.
    """

    def __init__(self, size: int, side: int, init: str = "normal", wander: bool = False):
        super().__init__()
        if side > size:
            raise BadHyper(f"a patch of {side} px does not fit a picture of {size} px; choose at most {size}.")
        self.patch = _fresh(side, side, init=init)
        self.size, self.wander, self.place = size, wander, None

    def forward(self) -> Tensor:
        """The whole prompt [1, 3, size, size]."""
        room = self.size - self.patch.shape[2]
        row, column = self.place or (torch.randint(max(room, 1), (2,)).tolist() if self.wander else (0, 0))
        return F.pad(self.patch, (column, room - column, row, room - row))

    def edits(self) -> list[Edit]:
        return add(self)


def add(prompt: nn.Module) -> list[Edit]:
    """Add what ``prompt()`` returns ([1, 3, H, W]) to the normalised pixels, without clamping."""
    return [Edit("image.pixels", lambda x: x + prompt().to(x.dtype))]
