"""Pictures on their way to a method: a lazily decoded source, a batch of its rows, and augmented views."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class PixelSpec:
    """How a backbone wants its pictures: side in px, channel mean and std (of values in [0, 1]), how to fit ("crop": shorter
    side resized bicubically, then centre crop; "squash": resized to the square)."""

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fit: str = "crop"
    interpolation: str = "bicubic"


@dataclass(frozen=True)
class View:
    """Which rendering of a picture: index 0 is the test transform, others are crops drawn from (seed, picture, index).

    ``crop_scale``: smallest area share of the random crop; ``flip``: mirror half of them; ``augmix``: mix the crop with
    chains of distortions (TPT's fine-grained recipe). ``randaugment``: instead of a crop, the picture squashed to the square and
    distorted twice (CoPrompt's recipe).
    """

    index: int = 0
    crop_scale: float = 0.08
    flip: bool = True
    seed: int = 0
    augmix: bool = False
    randaugment: bool = False

    @property
    def key(self) -> tuple:
        """Equal keys give equal pixels, so encodings may be cached under them."""
        if self.index == 0:
            return (0,)
        own = (self.index, self.crop_scale, self.flip, self.seed, self.augmix)
        return (*own, "randaugment") if self.randaugment else own


class Source(Protocol):
    """A set of pictures that can be rendered row by row."""

    key: str  # digest of what the pictures are; part of every cache key

    def __len__(self) -> int: ...

    def pixels(self, rows: Sequence[int], spec: PixelSpec, view: View = View()) -> Tensor:
        """Normalised float32 pixels [B, 3, size, size] of the rows."""
        ...


class Pixels:
    """A source over pixels that are already normalised for one backbone, [B, 3, H, W] (``logits(images)``, single uploads)."""

    def __init__(self, pixels: Tensor, key: str = ""):
        self._pixels, self.key = pixels, key

    def __len__(self) -> int:
        return self._pixels.shape[0]

    def pixels(self, rows: Sequence[int], spec: PixelSpec, view: View = View()) -> Tensor:
        return self._pixels if len(rows) == len(self) and list(rows) == list(range(len(self))) else self._pixels[list(rows)]


@dataclass(frozen=True)
class Batch:
    """Rows of a source with their targets: [B] class ids (single), [B, C] in {1, 0, -1 = unknown} (multi), [B, H, W] ids (dense)."""

    source: Source
    rows: tuple[int, ...]
    target: Tensor | None = None
    view: View = View()

    def __len__(self) -> int:
        return len(self.rows)

    def pixels(self, spec: PixelSpec) -> Tensor:
        """Normalised pixels [B, 3, size, size], float32, on the CPU (or wherever a ``Pixels`` source holds them)."""
        return self.source.pixels(self.rows, spec, self.view)

    @property
    def tracked(self) -> bool:
        """Whether somebody wants the gradient with respect to the pixels (``logits(images)`` of images that require one)."""
        pixels = getattr(self.source, "_pixels", None)
        return pixels is not None and pixels.requires_grad

    @property
    def keys(self) -> list[tuple] | None:
        """One cache key a row; None where the source has no identity."""
        return [(self.source.key, row, *self.view.key) for row in self.rows] if self.source.key else None

    def with_view(self, view: View) -> "Batch":
        return replace(self, view=view)

    def row(self, i: int) -> "Batch":
        """The batch of one that holds row ``i``."""
        return replace(self, rows=(self.rows[i],), target=None if self.target is None else self.target[i : i + 1])

    @staticmethod
    def of(pixels: Tensor, target: Tensor | None = None) -> "Batch":
        """A batch over normalised pixels [B, 3, H, W]."""
        return Batch(Pixels(pixels), tuple(range(pixels.shape[0])), target)


@dataclass(frozen=True)
class Split:
    """Rows of a source with targets ([n] class ids, [n, C] labels, [n, H, W] masks, or None where there are no labels)."""

    source: Source
    rows: tuple[int, ...]
    targets: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Sequence[int]) -> "Split":
        """The sub-split of the given positions."""
        index = list(index)
        return Split(self.source, tuple(self.rows[i] for i in index), None if self.targets is None else self.targets[index])

    def batches(self, size: int, *, order: Tensor | None = None, view: View = View(), drop_last: bool = False):
        """Yield batches in the given order ([n] positions; as stored by default)."""
        order = torch.arange(len(self)) if order is None else order
        for start in range(0, len(order), size):
            index = order[start : start + size].tolist()
            if drop_last and len(index) < size and start > 0:
                return
            part = self.take(index)
            yield Batch(part.source, part.rows, part.targets, view)
