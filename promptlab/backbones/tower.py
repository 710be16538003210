"""Towers: a frozen encoder as a pure function of its input, edits and taps."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from promptlab.backbones.points import Edit, Encoding
from promptlab.backbones.session import Session
from promptlab.errors import BadData


class Tower(Protocol):
    """``points``: name → dims, in firing order; ``weights``: canonical name → frozen tensor (never write to it)."""

    points: Mapping[str, str]
    weights: Mapping[str, Tensor]

    def run(self, x: Any, edits: Sequence[Edit] = (), taps: Sequence[str] = ()) -> Encoding: ...


def check_pixels(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Refuse pixels that are not [B, 3, H, W] of the size that the tower was made for."""
    if x.ndim != 4 or x.shape[1] != 3 or tuple(x.shape[-2:]) != size:
        raise BadData(f"the image tower takes pixels [B, 3, {size[0]}, {size[1]}]; got {list(x.shape)}: resize them, or use clip.at(size).")
    return x


class Opaque:
    """An image tower whose inside we do not name: pixels in, pooled out, nothing between."""

    offers = frozenset({"pixels"})

    def __init__(self, module: nn.Module, size: tuple[int, int], width: int, dtype: torch.dtype):
        self.module, self.size, self.width, self.layers, self.dtype = module, size, width, 0, dtype
        self.points = {"image.pixels": "B 3 H W", "image.pooled": "B E"}
        self.weights: dict[str, Tensor] = {}

    def at(self, size: int) -> "Opaque":
        raise BadData(f"this image tower only takes {self.size[0]} px pictures; use a native or timm ViT for {size} px.")

    def run(self, x: Tensor, edits: Sequence[Edit] = (), taps: Sequence[str] = (), *, tokens: bool = False) -> Encoding:
        if tokens:
            raise BadData("this image tower offers no local features; use a backbone that offers 'tokens'.")
        s = Session(self.points, self.weights, edits, taps)
        x = s.at("image.pixels", check_pixels(x, self.size))
        pooled = s.at("image.pooled", first(self.module(x.to(self.dtype))).float())
        return Encoding(pooled, taps=s.seen)


class OpaqueText:
    """A text tower that takes token ids only: sentences can be encoded, prompts cannot be learned."""

    offers: frozenset[str] = frozenset()

    def __init__(self, module: nn.Module, encode: Callable[[Tensor], Tensor], width: int):
        self.module, self.encode, self.width, self.layers = module, encode, width, 0
        self.points = {"text.pooled": "N E"}
        self.weights: dict[str, Tensor] = {}

    def run(self, ids: Tensor, edits: Sequence[Edit] = (), taps: Sequence[str] = (), **_: Any) -> Encoding:
        """ids [N, L] → pooled [N, E]."""
        s = Session(self.points, self.weights, edits, taps)
        return Encoding(s.at("text.pooled", self.encode(ids).float()), taps=s.seen)


def first(out: Any) -> Tensor:
    """The pooled output of a module that may also return its tokens."""
    return out[0] if isinstance(out, tuple) else out
