"""Short clips with known motion, and pairs of the same picture well lit and against the light."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from promptlab.errors import BadData
from promptlab.world.atlas import load_atlas
from promptlab.world.draw import BRIGHT, FLIP, GLOW, OBJECT, SIZE, TURN, X, Y, placements
from promptlab.world.render import scene, seeded_draws
from promptlab.world.scene import COLOURS, MAX_OBJECTS, PATTERNS, STYLES, Plan, Scene

# motion -> (column of the object's draws, value in the first frame, value in the last)
MOTIONS = {"left": (X, 1.0, 0.0), "right": (X, 0.0, 1.0), "up": (Y, 1.0, 0.0), "down": (Y, 0.0, 1.0), "growing": (SIZE, 0.0, 1.0),
           "shrinking": (SIZE, 1.0, 0.0), "turning": (TURN, -2.0, 2.0), "still": (FLIP, 0.0, 0.0)}


@dataclass
class Clip:
    """T frames of one object: the drawn `frames` with their truth, the `motion` in a word, centres [T, 2] (x, y in 0..1), a caption."""

    frames: Scene
    motion: str
    centres: Tensor
    caption: str


def _one_object(key: str, index: list[int], name: str | None, style: str) -> Plan:
    """Pictures of one object alone, each a function of (key, number); a random seen name if none is given."""
    if style not in STYLES:
        raise BadData(f"The picture world has the styles {', '.join(STYLES)}; {style!r} came.")
    atlas = load_atlas()
    if name is not None and name not in atlas.names:
        raise BadData(f"The picture world has no object called {name!r}; its names are in promptlab.world.load_atlas().names.")
    draws, choices = seeded_draws(key, index)
    objects = torch.full((len(index), MAX_OBJECTS), -1)
    seen = torch.tensor(atlas.seen)
    objects[:, 0] = seen[(choices[:, 2] * len(seen)).long()] if name is None else atlas.index(name)
    return Plan(draws, objects, torch.full((len(index),), STYLES.index(style)), (choices[:, 0] * len(PATTERNS)).long(),
                (choices[:, 1] * len(COLOURS)).long())


def clip(index: int, motion: str, *, name: str | None = None, style: str = "photo", frames: int = 8, size: int = 64) -> Clip:
    """Clip number `index`: one object on a still ground, changing in one way; the same number is the same clip everywhere."""
    if motion not in MOTIONS:
        raise BadData(f"The picture world has the motions {', '.join(MOTIONS)}; {motion!r} came.")
    one = _one_object("clips", [index], name, style)
    plan = Plan(*(t.repeat_interleave(frames, 0) for t in (one.draws, one.objects, one.style, one.pattern, one.colour)))
    plan.draws[:, OBJECT + SIZE] *= 0.3  # small enough to have room
    column, first, last = MOTIONS[motion]
    plan.draws[:, OBJECT + column] = torch.linspace(first, last, frames)
    made = scene(plan, size)
    x, y, _ = placements(plan)
    words = "standing still" if motion == "still" else motion if motion in ("growing", "shrinking", "turning") else f"moving {motion}"
    return Clip(made, motion, torch.stack([x[:, 0], y[:, 0]], 1) / 2 + 0.5, f"{made.names[0][0]} {words}")


def backlit_pairs(index: list[int], *, name: str | None = None, style: str = "photo", size: int = 64) -> tuple[Scene, Scene]:
    """The same pictures well lit, and against the light: the object nearly a silhouette before a bright ground."""
    lit = _one_object("backlit", index, name, style)
    lit.draws[:, OBJECT + GLOW] = 0.6
    dark = replace(lit, draws=lit.draws.clone())
    dark.draws[:, OBJECT + GLOW] = -2.3  # objects at 0.16 of their light: below the range that pictures are drawn from
    dark.draws[:, BRIGHT] = 1.0
    return scene(lit, size), scene(dark, size)
