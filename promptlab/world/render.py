"""From a plan to pictures with their whole truth, and repeatable plans for tasks: one seed per picture, whatever the batch."""

import hashlib

import torch
from torch import Tensor

from promptlab.world.atlas import Atlas, load_atlas
from promptlab.world.captions import full_caption
from promptlab.world.draw import brightness, draw, placements
from promptlab.world.sampler import facts_of
from promptlab.world.scene import COLOURS, DRAWS, PATTERNS, STYLES, Plan, Scene, boxes


def scene(plan: Plan, side: int = 64, labels: Tensor | None = None, atlas: Atlas | None = None) -> Scene:
    """Pictures of a plan with masks, boxes, names, captions; labels -1 [B] if none are given."""
    atlas = atlas or load_atlas()
    pixels, mask = draw(plan, atlas, side)
    present = [[o for o in row if o >= 0] for row in plan.objects.tolist()]
    size = torch.where(plan.objects >= 0, placements(plan)[2], 0.0)
    colours, styles = list(COLOURS), plan.style.tolist()
    return Scene(
        pixels=pixels, labels=torch.full((len(pixels),), -1) if labels is None else labels, objects=plan.objects, mask=mask,
        box=boxes(mask), size=size, brightness=brightness(plan),
        names=[[atlas.names[o] for o in row] for row in present], groups=[[atlas.groups[o] for o in row] for row in present],
        subgroups=[[atlas.subgroups[o] for o in row] for row in present], colours=[colours[c] for c in plan.colour.tolist()],
        patterns=[PATTERNS[p] for p in plan.pattern.tolist()], styles=[STYLES[s] for s in styles], counts=[len(row) for row in present],
        captions=[full_caption(f) for f in facts_of(plan, atlas)])


def seed_of(*words: object) -> int:
    """A seed that depends on the words only, the same in every process."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, words)).encode()).digest()[:7], "big")


def seeded_draws(key: str, index: list[int]) -> tuple[Tensor, Tensor]:
    """For each picture of a task: DRAWS uniform numbers that place and light it, and 16 more that choose what is in it."""
    rows = [torch.rand(DRAWS + 16, generator=torch.Generator().manual_seed(seed_of(key, i))) for i in index]
    both = torch.stack(rows) if rows else torch.empty(0, DRAWS + 16)
    return both[:, :DRAWS], both[:, DRAWS:]
