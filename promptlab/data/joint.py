"""Several tasks learned together: their pictures as one source, their labels one after another (union of classes).

Label y of task i becomes y + offset_i, where offset_i counts the classes of the tasks before it; so a label says its task.
"""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from promptlab.data.batch import PixelSpec, Source, Split, View
from promptlab.data.task import Episode, Task
from promptlab.errors import BadData


class Joint:
    """Pictures of several sources, those of the first at the lowest rows."""

    def __init__(self, sources: Sequence[Source]):
        self.sources = tuple(sources)
        keys = [s.key for s in self.sources]
        self.key = "joint:" + hashlib.sha256("|".join(keys).encode()).hexdigest()[:24] if all(keys) else ""
        self.start = torch.tensor([0, *(len(s) for s in self.sources)]).cumsum(0).tolist()

    def __len__(self) -> int:
        return self.start[-1]

    def of(self, row: int) -> tuple[int, int]:
        """Number of the source, and the row in it."""
        i = next(i for i, end in enumerate(self.start[1:]) if row < end)
        return i, row - self.start[i]

    def pixels(self, rows: Sequence[int], spec: PixelSpec, view: View = View()) -> Tensor:
        found: dict[int, Tensor] = {}
        places = [self.of(r) for r in rows]
        for i in sorted({i for i, _ in places}):
            own = [at for at, (j, _) in enumerate(places) if j == i]
            made = self.sources[i].pixels([places[at][1] for at in own], spec, view)
            found |= dict(zip(own, made, strict=True))
        return torch.stack([found[at] for at in range(len(rows))])


def join(episodes: Sequence[Episode]) -> Split:
    """The supports of several single-label episodes as one split with joined labels."""
    for e in episodes:
        if e.support is None or e.support.targets is None or not len(e.support):
            raise BadData(f"'{e.task.name}' is learned along and has no labelled pictures; give every task shots.")
    source = Joint([e.support.source for e in episodes])
    rows = tuple(start + r for start, e in zip(source.start, episodes, strict=False) for r in e.support.rows)
    targets = torch.cat([e.support.targets + o for e, o in zip(episodes, offsets([len(e.task.classes) for e in episodes]), strict=True)])
    return Split(source, rows, targets)


def offsets(sizes: Sequence[int]) -> list[int]:
    """First label of each task."""
    return torch.tensor([0, *sizes]).cumsum(0).tolist()[:-1]


def group_of(target: Tensor, sizes: Sequence[int]) -> Tensor:
    """Number of the task that each joined label [B] belongs to."""
    ends = torch.tensor(list(sizes), device=target.device).cumsum(0)
    return torch.bucketize(target, ends, right=True)


def own_classes(target: Tensor, sizes: Sequence[int]) -> Tensor:
    """bool [B, sum of sizes]: the classes of the label's own task."""
    owner = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(list(sizes))).to(target.device)
    return group_of(target, sizes)[:, None] == owner


def task_words(task: Task) -> str:
    """A task's name as words: "animals@pixel-art (base)" → "animals, pixel art"."""
    name = task.name.removesuffix(" (base)").removesuffix(" (new)").replace("@", ", ")
    return " ".join(name.replace("-", " ").replace("_", " ").split()) or "things"
