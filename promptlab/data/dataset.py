"""A data set: class names and its splits, before any protocol has drawn shots from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from promptlab.data.batch import Split
from promptlab.data.classes import ClassSet
from promptlab.data.gallery import check
from promptlab.data.images import Report
from promptlab.errors import BadData


@dataclass(frozen=True)
class DataSet:
    """``test`` is None where the data came without splits: the protocol then sets pictures aside from ``train``.

    ``kind``: "single", "multi" or "dense". ``report``: what opening found. ``captions``: sentences that came with it, for methods
    that learn from texts. ``others``: further tasks that are learned along by methods for several tasks, and never tested on;
    ``shots``: how many a class are drawn from such a further task, where not as many as from the task itself.
    """

    name: str
    classes: ClassSet
    kind: str
    train: Split | None
    val: Split | None
    test: Split | None
    report: Report = field(default_factory=Report)
    captions: tuple[str, ...] = ()
    others: tuple["DataSet", ...] = ()
    shots: int | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Pictures a split."""
        return {part: len(split) for part in ("train", "val", "test") if (split := getattr(self, part)) is not None}

    def named(self, name: str) -> "DataSet":
        return replace(self, name=name)


@dataclass(frozen=True)
class Item:
    """One picture file of a listing: where it is, how messages call it, its class and its split."""

    path: object
    name: str
    label: int
    part: str = "train"


PARTS = ("train", "val", "test")


def assemble(name: str, classes: ClassSet, items: Sequence[Item], report: Report, keep: object = None) -> DataSet:
    """Check the files of a listing and build the splits; a class without a usable picture is an error that names it."""
    checked = check([i.path for i in items], [i.name for i in items], report, keep)
    listed, items = items, [items[i] for i in checked.index]
    refuse_empty(name, classes, items, listed, report)
    say_twins(items, checked.source.contents, report)
    splits = {}
    for part in PARTS:
        rows = [r for r, item in enumerate(items) if item.part == part]
        labels = torch.tensor([items[r].label for r in rows], dtype=torch.long)
        splits[part] = Split(checked.source, tuple(rows), labels) if rows else None
    return DataSet(name, classes, "single", splits["train"], splits["val"], splits["test"], report)


def refuse_empty(name: str, classes: ClassSet, items: Sequence[Item], listed: Sequence[Item], report: Report) -> None:
    """:class:`BadData` that names the classes left without a picture to learn from (or, in a test-only set, to test on)."""
    needed = "train" if any(item.part == "train" for item in listed) else "test"
    have = {item.label for item in items if item.part == needed}
    empty = [label for label in range(len(classes)) if label not in have]
    if not empty:
        return
    theirs = {item.name for item in listed if item.label == empty[0]}
    why = next((f" ({p.rstrip('.')})" for p in report.problems if p.split(": ")[0] in theirs), "")
    named = ", ".join(f"'{classes.names[label]}'" for label in empty[:3]) + (f" and {len(empty) - 3} more" if len(empty) > 3 else "")
    who, them = (f"class {named} of {name} has", "it") if len(empty) == 1 else (f"classes {named} of {name} have", "them")
    raise BadData(f"{who} no usable picture{why}; add one or remove {them}.")


def say_twins(items: Sequence[Item], contents: Sequence[str] | None, report: Report) -> None:
    """A note for every picture that is there twice with different labels."""
    first: dict[str, Item] = {}
    for item, content in zip(items, contents or (), strict=False):
        twin = first.setdefault(content, item)
        if twin.label != item.label:
            report.notes.append(f"{twin.name} and {item.name} are the same picture in two classes; move or remove one of them.")
