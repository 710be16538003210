"""What a method is fitted on (:class:`Episode`) and what only the evaluation sees (:class:`TestSet`)."""

from dataclasses import dataclass, field, replace
from typing import Any

from promptlab.data.batch import Split
from promptlab.data.classes import ClassSet


@dataclass(frozen=True)
class Task:
    """``kind``: a key of :mod:`promptlab.data.kinds` ("single", "multi", "dense"); ``name``: how the user asked for it."""

    kind: str
    classes: ClassSet
    name: str = ""


@dataclass(frozen=True)
class Episode:
    """Few shots to fit on. There is no test split here, and the labels of ``pool`` are absent, not hidden.

    ``support``: labelled shots; ``val``: labelled, for selection only; ``pool``: unlabelled pictures of the same task;
    ``others``: episodes of further tasks, each with its own classes, which methods for several tasks learn along.
    """

    task: Task
    support: Split | None
    val: Split | None = None
    pool: Split | None = None
    shots: int | None = None
    seed: int = 1
    others: tuple["Episode", ...] = ()

    def __post_init__(self) -> None:
        assert self.pool is None or self.pool.targets is None, "an unlabelled pool carries no targets"

    def replace(self, **changes: Any) -> "Episode":
        return replace(self, **changes)


@dataclass(frozen=True)
class TestSet:
    """A labelled test split over ``task.classes``; ``name`` says which ("base", "new", "all", "sketch", ...)."""

    __test__ = False  # not a pytest class

    task: Task
    split: Split
    name: str = "test"
    notes: dict[str, Any] = field(default_factory=dict)
