"""Toy episodes for checks: tiny pictures whose classes differ by a fixed pattern, so that any method can learn them."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.data.batch import Pixels, Split
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task, TestSet

NAMES = ("cat", "dog", "red panda", "car", "tree", "boat", "sun_flower", "ice cream")


@dataclass(frozen=True)
class Toy:
    """What the checks need of a kind: an episode to fit on, and a test set drawn the same way."""

    episode: Episode
    test: TestSet


def patterns(classes: int, size: int, seed: int) -> Tensor:
    """One coarse random pattern a class [C, 3, size, size]; 4x4 cells survive any patch size and any resize."""
    generator = torch.Generator().manual_seed(1000 + seed)
    return F.interpolate(1.5 * torch.randn(classes, 3, 4, 4, generator=generator), size=(size, size), mode="nearest")


def names_of(classes: int) -> ClassSet:
    """The first ``classes`` toy names, numbered beyond the stock of eight."""
    return ClassSet(tuple(NAMES[i % len(NAMES)] + (f" {i // len(NAMES)}" if i >= len(NAMES) else "") for i in range(classes)))


def split(kind: str, part: str, pixels: Tensor, targets: Tensor, seed: int) -> Split:
    """A split over pixels [n, 3, H, W]; equal arguments give equal cache keys."""
    key = f"toy-{kind}-{part}-{'x'.join(map(str, pixels.shape))}-{seed}"
    return Split(Pixels(pixels, key), tuple(range(len(pixels))), targets)


def assemble(kind: str, classes: int, shots: int, seed: int, parts: dict[str, tuple[Tensor, Tensor]]) -> Toy:
    """Episode and test set from {"support" | "val" | "test": (pixels, targets)}; the pool is the support without labels."""
    task = Task(kind, names_of(classes), f"toy-{kind}")
    made = {name: split(kind, name, *tensors, seed) for name, tensors in parts.items()}
    pool = Split(made["support"].source, made["support"].rows)
    return Toy(Episode(task, made["support"], made["val"], pool, shots, seed), TestSet(task, made["test"], "test"))
