"""Tasks of the procedural world as data sets: pictures are drawn when they are needed, at the size that is asked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from promptlab.data.batch import PixelSpec, Split, View
from promptlab.data.classes import ClassSet
from promptlab.data.dataset import DataSet
from promptlab.data.gallery import parallel
from promptlab.data.images import Report
from promptlab.data.transforms import render, to_pixels
from promptlab.world import task_spec
from promptlab.world.taxonomy import ancestors

BLOCK = 128  # pictures drawn at a time
CROP_SIDE = 256  # crops are cut from a drawing twice as large as they are, up to this side
DISPLAY_SIDE = 192
MASK_SIDE = 64  # height and width of dense targets
TOPICS = {"animals": "animal", "food": "food", "vehicles": "vehicle", "faces": "face", "textures": "texture"}


class WorldPictures:
    """One split of a world task. Picture ``row`` at one size is the same in every process, so every drawing is kept (uint8)."""

    def __init__(self, task: Any, split: str):
        self.task, self.split = task, split
        self.key = f"world:{task.name}@{task.style}/{split}"
        self._drawn: dict[int, dict[int, Tensor]] = {}  # side → row → uint8 [3, side, side]

    def __len__(self) -> int:
        return self.task.count(self.split)

    def draw(self, rows: Sequence[int], side: int) -> list[Tensor]:
        """uint8 [3, side, side] of the rows; only those not drawn before are drawn."""
        drawn = self._drawn.setdefault(side, {})
        new = [row for row in dict.fromkeys(rows) if row not in drawn]
        for start in range(0, len(new), BLOCK):
            block = new[start:start + BLOCK]
            drawn.update(zip(block, self.task.render(self.split, block, side).pixels.cpu().unbind(0), strict=True))
        return [drawn[row] for row in rows]

    def image(self, row: int) -> Image.Image:
        """The picture large enough to look at."""
        return _image(self.draw([row], DISPLAY_SIDE)[0])

    def name(self, row: int) -> str:
        return f"{self.key}/{row}"

    def pixels(self, rows: Sequence[int], spec: PixelSpec, view: View = View()) -> Tensor:
        """Normalised float32 pixels [B, 3, size, size]; the plain view is drawn at that size, as in pretraining."""
        if view.index == 0:
            return to_pixels([_array(drawn) for drawn in self.draw(rows, spec.size)], spec)
        drawn = self.draw(rows, max(spec.size, min(2 * spec.size, CROP_SIDE)))
        jobs = list(zip(rows, drawn, strict=True))
        return to_pixels(parallel(lambda job: render(_image(job[1]), spec, view, job[0]), jobs), spec)


def open_world(spec: str) -> DataSet:
    """``TASK@STYLE`` with the world's own splits."""
    task = task_spec(spec)
    classes = ClassSet(tuple(task.classes), tuple(task.templates), topic=TOPICS.get(task.name, ""),
                       tree=ancestors(task.classes) if task.kind == "single" else {})
    splits = {part: _split(task, part) for part in ("train", "val", "test")}
    return DataSet(f"{task.name}@{task.style}", classes, task.kind, report=Report(), **splits)


def _split(task: Any, part: str) -> Split:
    source, n = WorldPictures(task, part), task.count(part)
    if task.kind == "single":
        return Split(source, tuple(range(n)), torch.arange(n) % len(task.classes))
    side = MASK_SIDE if task.kind == "dense" else 8  # which objects are there does not depend on the size
    labels = [task.render(part, range(i, min(i + BLOCK, n)), side).labels for i in range(0, n, BLOCK)]
    return Split(source, tuple(range(n)), torch.cat(labels).long())


def _array(pixels: Tensor) -> np.ndarray:
    return pixels.permute(1, 2, 0).numpy()


def _image(pixels: Tensor) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(_array(pixels)))
