"""Test pictures of widgets: where they come from, what they show, how they look."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from promptlab.data.batch import Split
from promptlab.data.sources import loose
from promptlab.data.task import TestSet
from promptlab.errors import BadData
from promptlab.shots import Fixed, Shots, shots_of
from promptlab.widgets import draw

FEW = 24


def split_of(pictures: Any, seed: int = 1) -> Split:
    """A split to look at: of a test set, of drawn or undrawn data (its test pictures, else its shots), or of a list of pictures."""
    if isinstance(pictures, Split):
        return pictures
    if isinstance(pictures, TestSet):
        return pictures.split
    if isinstance(pictures, Shots | Fixed):
        episode, tests = pictures.draw(seed)
        return tests[0].split if tests else episode.val or episode.support
    if isinstance(pictures, list | tuple) and pictures:
        if isinstance(pictures[0], TestSet):
            return pictures[0].split
        return _plain(loose(list(pictures)))
    if isinstance(pictures, str) and ":" in pictures:
        return split_of(shots_of(pictures), seed)
    raise BadData("no pictures came to look at; pass the task of the run, a test set, a split or a list of pictures.")


def _plain(source: Any) -> Split:
    return Split(source, tuple(range(len(source))))


def address(split: Split, position: int, side: int = 72) -> str:
    """The picture at a position as a data address."""
    return draw.uri(split.source.image(split.rows[position]), side)


def spread(split: Split, count: int = FEW) -> list[int]:
    """Positions of ``count`` pictures, the classes in turn."""
    if split.targets is None or split.targets.ndim != 1:
        return list(range(min(count, len(split))))
    seen: dict[int, int] = {}
    order = []
    for i, label in enumerate(split.targets.tolist()):
        seen[label] = seen.get(label, -1) + 1
        order.append((seen[label], i))
    return [i for _, i in sorted(order)[:count]]


def captions(split: Split, names: Sequence[str], positions: Sequence[int]) -> list[str]:
    """True class names; "" where a picture has no single label."""
    if split.targets is None or split.targets.ndim != 1:
        return ["" for _ in positions]
    return [names[int(split.targets[i])] for i in positions]


def where(split: Split, rows: np.ndarray, chosen: np.ndarray) -> list[int]:
    """Positions in the split of those rows of a report that are chosen (a mask)."""
    place = {row: i for i, row in enumerate(split.rows)}
    return [place[int(r)] for r in rows[chosen] if int(r) in place]

