"""Data and how shots are drawn from it, before a seed is chosen: what ``folder``, ``zip``, ``arrays`` and ``dataset`` return."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from promptlab.data import captions, protocols, taxonomy
from promptlab.data.dataset import DataSet
from promptlab.data.sources import open_data
from promptlab.data.task import Episode, Task, TestSet
from promptlab.errors import BadData

PROTOCOLS: dict[str, Callable[..., tuple[Episode, list[TestSet]]]] = {
    "few_shot": protocols.few_shot,
    "base_to_new": protocols.base_to_new,
    "unlabelled": lambda data, shots, seed: protocols.unlabelled(data, seed),
    "captions": captions.caption_only,
    "taxonomy": taxonomy.taxonomy,
}
TRANSFERS: dict[str, Callable[..., tuple[Episode, list[TestSet]]]] = {
    "cross_dataset": protocols.cross_dataset,
    "domain_shift": protocols.domain_shift,
}
DEFAULT_SHOTS = 16


@dataclass(frozen=True)
class Shots:
    """``shots`` a class (None: all pictures), drawn with ``seed`` (None: the seed of the fit) by ``protocol``.

    ``targets``: further data that is only tested on, for the protocols "cross_dataset" (other classes) and "domain_shift" (other style).
    """

    data: DataSet
    shots: int | None = DEFAULT_SHOTS
    seed: int | None = None
    protocol: str = "few_shot"
    targets: tuple[DataSet, ...] = ()

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS | TRANSFERS:
            raise BadData(f"there is no protocol '{self.protocol}'; the protocols are {', '.join(PROTOCOLS | TRANSFERS)}.")
        if (self.protocol in TRANSFERS) != bool(self.targets):
            raise BadData(f"targets go with the protocols {' and '.join(TRANSFERS)}, which need at least one; {self.protocol} came with "
                          f"{len(self.targets)}.")

    @property
    def name(self) -> str:
        return self.data.name

    def draw(self, seed: int = 1) -> tuple[Episode, tuple[TestSet, ...]]:
        """Episode and test sets; the same seed draws the same shots."""
        chosen = seed if self.seed is None else self.seed
        if self.protocol in TRANSFERS:
            episode, tests = TRANSFERS[self.protocol](self.data, self.targets, self.shots, chosen)
        else:
            episode, tests = PROTOCOLS[self.protocol](self.data, self.shots, chosen)
        return episode, tuple(tests)

    def everything(self, name: str = "test") -> TestSet:
        """All labelled pictures that are meant for judging (the test split, or all where there are no splits)."""
        split = self.data.test or self.data.train
        return TestSet(Task(self.data.kind, self.data.classes, self.data.name), split, name)

    def _repr_html_(self) -> str:
        from promptlab.answers import table_html

        counts = self.data.counts
        problems = [("note", p) for p in (*self.data.report.problems, *self.data.report.notes)]
        rows = [("classes", len(self.data.classes)), *counts.items(), ("shots", self.shots or "all"), ("protocol", self.protocol)]
        return table_html(("", self.name), [*rows, *problems])


@dataclass(frozen=True)
class Fixed:
    """An episode and test sets that are already drawn."""

    episode: Episode
    tests: tuple[TestSet, ...] = ()
    protocol: str = "given"

    @property
    def name(self) -> str:
        return self.episode.task.name

    def draw(self, seed: int = 1) -> tuple[Episode, tuple[TestSet, ...]]:
        """What was given, whatever the seed."""
        return self.episode, self.tests


def shots_of(task: Any, shots: int | None = None, protocol: str | None = None) -> Shots | Fixed:
    """Anything that names data → something to draw from: a spec string or path (``world:TASK@STYLE``, a folder, a zip), a
    ``DataSet``, a world task, ``Shots``, an ``Episode`` or ``(Episode, tests)``."""
    if isinstance(task, Episode):
        return Fixed(task)
    if isinstance(task, tuple) and len(task) == 2 and isinstance(task[0], Episode):
        return Fixed(task[0], tuple(task[1]))
    if hasattr(task, "style") and hasattr(task, "render"):
        task = f"world:{task.name}@{task.style}"
    found = task if isinstance(task, Shots | Fixed) else Shots(open_data(task))
    if isinstance(found, Fixed):
        return found
    changes = {**({} if shots is None else {"shots": shots}), **({} if protocol is None else {"protocol": protocol})}
    return replace(found, **changes)
