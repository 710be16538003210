"""Named tasks `TASK@STYLE` with everything known: what the classes are, and any number of repeatable pictures of them."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from promptlab.errors import BadData
from promptlab.world import catalogue
from promptlab.world.atlas import load_atlas
from promptlab.world.captions import TEMPLATES
from promptlab.world.render import scene, seeded_draws
from promptlab.world.scene import COLOURS, MAX_OBJECTS, PATTERNS, STYLES, Plan, Scene

SIZES = {"train": 32, "val": 8, "test": 25}
TASKS = ["animals", "food", "vehicles", "faces", "textures", "scenes", "scenes-masks"]
KINDS = {"scenes": "multi", "scenes-masks": "dense"}


@dataclass(frozen=True)
class WorldTask:
    """One task in one style. `classes` names the C classes (a dense task's first is "background"); the first half are the base classes,
    the rest the new ones. `sizes` counts pictures per class and split; picture i of a single-label task shows class i mod C."""

    name: str
    style: str
    kind: str
    classes: list[str]
    templates: list[str]
    sizes: dict[str, int]

    @property
    def held_out(self) -> list[str]:
        """The classes that pretraining never showed."""
        atlas = load_atlas()
        never = {atlas.names[i] for i in atlas.unseen}
        return [name for name in self.classes if name in never]

    def count(self, split: str) -> int:
        """Pictures in a split."""
        return self.sizes[_split(split)] * len(self._things)

    @property
    def _things(self) -> list[str]:
        return self.classes[1:] if self.kind == "dense" else self.classes

    def render(self, split: str, index: Iterable[int], size: int = 64) -> Scene:
        """Pictures number `index` of a split, size x size. The same number is the same picture in every process, and the same things
        in the same places in every style."""
        chosen = [int(i) for i in index]
        if any(i < 0 for i in chosen):
            raise BadData(f"Pictures of a world task are numbered from 0; {min(chosen)} came.")
        draws, choices = seeded_draws(f"{self.name}/{_split(split)}", chosen)
        plan = self._plan(torch.tensor(chosen, dtype=torch.long) % len(self._things), draws, choices)
        made = scene(plan, size)
        made.labels = self._labels(made, torch.tensor(chosen, dtype=torch.long))
        return made

    def _plan(self, first: Tensor, draws: Tensor, choices: Tensor) -> Plan:
        """What each picture shows; `first` [B] is the class that must be in it."""
        objects = torch.full((len(first), MAX_OBJECTS), -1)
        pattern, colour = (choices[:, 0] * len(PATTERNS)).long(), (choices[:, 1] * len(COLOURS)).long()
        if self.name == "textures":
            cells = torch.tensor([(PATTERNS.index(p), list(COLOURS).index(c)) for p, c in catalogue.TEXTURES])
            pattern, colour = cells[first].T
        else:
            ids = torch.tensor([load_atlas().index(name) for name in self._things])
            objects[:, 0] = ids[first]
            if self.kind != "single":
                _companions(objects, ids, first, choices)
        return Plan(draws, objects, torch.full((len(first),), STYLES.index(self.style)), pattern, colour)

    def _labels(self, made: Scene, index: Tensor) -> Tensor:
        if self.kind == "single":
            return index % len(self.classes)
        ids = torch.tensor([load_atlas().index(name) for name in self._things])
        hit = made.objects[:, :, None] == ids  # [B, 4, C]
        if self.kind == "multi":
            return hit.any(1).long()
        return (made.mask * (hit.long().argmax(2) + 1)[:, :, None, None]).amax(1)  # visible masks do not overlap


def _companions(objects: Tensor, ids: Tensor, first: Tensor, choices: Tensor) -> None:
    """Adds 0 to 3 other objects of the vocabulary to each picture, in place."""
    more = (choices[:, 2] * MAX_OBJECTS).long()
    step = 1 + (choices[:, 3:6] * (len(ids) - 1) / 3).long() + torch.arange(3) * ((len(ids) - 1) // 3)  # three distinct non-zero steps
    for k in range(1, MAX_OBJECTS):
        objects[:, k] = torch.where(more >= k, ids[(first + step[:, k - 1]) % len(ids)], -1)


def _split(split: str) -> str:
    if split not in SIZES:
        raise BadData(f"A world task has the splits {', '.join(SIZES)}; {split!r} came.")
    return split


def task_spec(name: str) -> WorldTask:
    """The task called `TASK` or `TASK@STYLE` (photo if none is named); a leading `world:` is allowed."""
    task, _, style = name.removeprefix("world:").partition("@")
    style = style or "photo"
    if task not in TASKS:
        raise BadData(f"The picture world has the tasks {', '.join(TASKS)}; {task!r} came.")
    if style not in STYLES:
        raise BadData(f"The picture world has the styles {', '.join(STYLES)}; {style!r} came.")
    kind = KINDS.get(task, "single")
    classes = catalogue.classes(task)
    templates = [t for t in TEMPLATES if t.startswith("a ") or t.startswith("an ")] if task == "textures" else list(TEMPLATES)
    return WorldTask(task, style, kind, (["background"] if kind == "dense" else []) + classes, templates, dict(SIZES))
