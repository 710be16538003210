"""Sets of pictures for the pointing game, with the box of the thing that is asked about.

*one*: single-object pictures. *small*: the same, the object at its smallest. On both, all that stands out of the ground is the object,
so that any map points at it and controls mean little. *decoys*: one object beside one to three others whose pixels were shuffled:
still one thing with a name, among as much colour and contrast. *several*: pictures with two to four objects, each asked for by name.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from promptlab.world import Plan, Scene, WorldTask, load_atlas, scene, task_spec
from promptlab.world.draw import OBJECT, SIZE
from promptlab.world.render import seeded_draws
from promptlab.world.scene import COLOURS, MAX_OBJECTS, PATTERNS, STYLES

SETS = {"one": "animals@photo", "small": "animals@photo", "decoys": "scenes@photo", "several": "scenes@photo"}
SMALL = -0.25  # in units of a picture's own draw of its size: the object is about a third of the picture wide


@dataclass(frozen=True)
class Sights:
    """``pixels`` [B, 3, S, S] uint8; ``asked``: (picture, class, box in px) triples; ``named``: whether zero-shot must be right first."""

    spec: WorldTask
    pixels: Tensor
    asked: list[tuple[int, int, Tensor]]
    named: bool


def sights(which: str, split: str, count: int, size: int) -> Sights:
    """At most ``count`` pictures of one set."""
    spec = task_spec(SETS[which])
    index = list(range(min(count, spec.count(split))))
    made = _small(spec, split, index, size) if which == "small" else spec.render(split, index, size)
    if which == "decoys":
        return _decoys(spec, made)
    if which == "several":
        return Sights(spec, made.pixels, list(_each(spec, made)), False)
    first = [i % len(spec.classes) for i in index]
    return Sights(spec, made.pixels, [(b, c, made.box[b, 0]) for b, c in enumerate(first)], True)


def _small(spec: WorldTask, split: str, index: list[int], size: int) -> Scene:
    draws, choices = seeded_draws(f"{spec.name}/{split}/small", index)
    draws[:, OBJECT + SIZE] = SMALL
    ids = torch.tensor([load_atlas().index(n) for n in spec.classes])
    objects = torch.full((len(index), MAX_OBJECTS), -1)
    objects[:, 0] = ids[torch.tensor(index) % len(ids)]
    style = torch.full((len(index),), STYLES.index(spec.style))
    return scene(Plan(draws, objects, style, (choices[:, 0] * len(PATTERNS)).long(), (choices[:, 1] * len(COLOURS)).long()), size)


def _decoys(spec: WorldTask, made: Scene) -> Sights:
    pixels, asked, generator = made.pixels.clone(), [], torch.Generator().manual_seed(0)
    for b, names in enumerate(made.names):
        if len(names) < 2:
            continue
        for box in made.box[b, 1 : len(names)].int().tolist():
            left, top, right, bottom = box
            part = pixels[b, :, top:bottom, left:right]
            flat = part.reshape(3, -1)
            pixels[b, :, top:bottom, left:right] = flat[:, torch.randperm(flat.shape[1], generator=generator)].reshape(part.shape)
        asked.append((b, spec.classes.index(names[0]), made.box[b, 0]))
    return Sights(spec, pixels, asked, True)


def _each(spec: WorldTask, made: Scene) -> Iterator[tuple[int, int, Tensor]]:
    for b, names in enumerate(made.names):
        for o, name in enumerate(names):
            if len(names) > 1 and name in spec.classes and names.count(name) == 1:
                yield b, spec.classes.index(name), made.box[b, o]
