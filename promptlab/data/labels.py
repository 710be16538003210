"""What the targets of a split say, for every task kind: which pictures hold a class, and what is left with fewer classes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from promptlab.data.batch import Split
from promptlab.data.classes import ClassSet
from promptlab.losses import UNKNOWN


def holders(split: Split, kind: str, classes: int) -> list[tuple[int, list[int]]]:
    """(class, positions of the pictures that hold it): by first appearance where a picture has one class, else in class order."""
    if kind == "single":
        by_class: dict[int, list[int]] = {}
        for i, label in enumerate(split.targets.tolist()):
            by_class.setdefault(label, []).append(i)
        return list(by_class.items())
    there = split.targets == 1 if kind == "multi" else torch.stack([(split.targets == c).flatten(1).any(1) for c in range(classes)], 1)
    return [(c, there[:, c].nonzero()[:, 0].tolist()) for c in range(classes)]


def restrict(split: Split, kind: str, classes: Sequence[int]) -> Split:
    """Only the pictures that hold one of ``classes``, re-numbered in their order; other classes' pixels are not judged."""
    classes = list(classes)
    if kind == "multi":
        targets = split.targets[:, classes]
        keep = (targets == 1).any(1)
    else:
        targets = renumber(split.targets, classes)
        keep = (targets != UNKNOWN).flatten(1).any(1) if kind == "dense" else targets != UNKNOWN
    index = keep.nonzero()[:, 0].tolist()
    return Split(split.source, tuple(split.rows[i] for i in index), targets[index])


def renumber(targets: Tensor, classes: Sequence[int]) -> Tensor:
    """Class ids of any shape to positions in ``classes``; -1 for all others."""
    new = torch.full_like(targets, UNKNOWN)
    for position, old in enumerate(classes):
        new[targets == old] = position
    return new


def hide(split: Split, known: float, seed: int) -> Split:
    """Multi-label targets of which each is known with probability ``known``, the others -1 (DualCoOp's partial labels)."""
    drawn = torch.rand(split.targets.shape, generator=torch.Generator().manual_seed(seed))
    return Split(split.source, split.rows, split.targets.masked_fill(drawn >= known, UNKNOWN))


def columns(have: ClassSet, want: ClassSet) -> list[int] | None:
    """Positions in ``have`` of the names of ``want``; None if one is missing."""
    place = {name: i for i, name in enumerate(have.clean)}
    return [place[n] for n in want.clean] if set(want.clean) <= set(place) else None

