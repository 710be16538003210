"""What pretraining sees: batches of distinct objects in seen styles with captions; held-out names and styles never occur here."""

from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from promptlab.world.atlas import Atlas
from promptlab.world.captions import TEMPLATES, Facts, false_caption, random_caption, size_word
from promptlab.world.draw import draw, placements
from promptlab.world.scene import COLOURS, DRAWS, MAX_OBJECTS, PATTERNS, SEEN_STYLES, STYLES, Plan

PHOTO_SHARE = 0.64
COUNT_SHARES = (0.82, 0.09, 0.05, 0.04)  # of pictures with 1, 2, 3, 4 objects
EMPTY = 4  # pictures without any object in a batch of 192


@dataclass
class PretrainBatch:
    """B pictures uint8 [B, 3, S, S] with B captions, then captions that are true of none of them."""

    pixels: Tensor
    captions: list[str]
    distractors: list[str]
    plan: Plan


def random_plan(objects: Tensor, styles: Tensor, generator: torch.Generator) -> Plan:
    """Pictures of given objects [B, 4] and styles [B] with random backgrounds and places."""
    b = len(objects)
    return Plan(torch.rand(b, DRAWS, generator=generator), objects, styles,
                torch.randint(len(PATTERNS), (b,), generator=generator), torch.randint(len(COLOURS), (b,), generator=generator))


def facts_of(plan: Plan, atlas: Atlas) -> list[Facts]:
    """The facts that captions may mention, for each picture of a plan."""
    colours, size = list(COLOURS), placements(plan)[2][:, 0].tolist()
    rows = zip(plan.objects.tolist(), plan.style.tolist(), plan.pattern.tolist(), plan.colour.tolist(), size)
    return [Facts(tuple(atlas.names[o] for o in objects if o >= 0), STYLES[s], PATTERNS[p], colours[c], size_word(z))
            for objects, s, p, c, z in rows]


def _objects(atlas: Atlas, batch: int, generator: torch.Generator) -> tuple[Tensor, list[int]]:
    """Objects [B, 4], no name twice in the batch, and the seen names that are left over."""
    seen = torch.tensor(atlas.seen)
    order = seen[torch.randperm(len(seen), generator=generator)]
    objects = torch.full((batch, MAX_OBJECTS), -1)
    objects[:, 0] = order[:batch]
    extra = torch.multinomial(torch.tensor(COUNT_SHARES), batch, replacement=True, generator=generator)
    used = batch
    for i in extra.nonzero()[:, 0].tolist():
        n = min(int(extra[i]), len(order) - used)
        objects[i, 1:1 + n] = order[used:used + n]
        used += n
    objects[:EMPTY * batch // 192] = -1
    return objects, order[used:].tolist()


def plan_batch(atlas: Atlas, batch: int, seed: int, step: int, *, names: int = 96, false: int = 64) -> tuple[Plan, list[str], list[str]]:
    """What batch number `step` of a run shows and says, not drawn yet: the plan, its captions, and captions that are true of no picture."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    objects, rest = _objects(atlas, batch, generator)
    styles = torch.randint(1, len(SEEN_STYLES), (batch,), generator=generator)
    styles[torch.rand(batch, generator=generator) < PHOTO_SHARE] = 0
    plan = random_plan(objects, styles, generator)
    empty = (plan.count == 0).nonzero()[:, 0]
    mix = torch.randperm(len(PATTERNS) * len(COLOURS), generator=generator)[:len(empty)]  # distinct, so captions tell them apart
    plan.pattern[empty], plan.colour[empty] = mix % len(PATTERNS), mix // len(PATTERNS)
    rng = Random(seed * 1_000_003 + step)
    facts = facts_of(plan, atlas)
    captions = [random_caption(f, rng) for f in facts]
    distractors = [rng.choice(TEMPLATES).format(atlas.names[i]) for i in rest[:names]]
    distractors += [false_caption(f, rng) for f in rng.sample(facts[len(empty):], min(false, batch - len(empty)))]
    return plan, captions, distractors


def pretrain_batch(atlas: Atlas, batch: int, seed: int, step: int, *, names: int = 96, false: int = 64, side: int = 64) -> PretrainBatch:
    """Batch number `step` of a run; a function of (seed, step) alone, so a resumed run sees the same pictures."""
    plan, captions, distractors = plan_batch(atlas, batch, seed, step, names=names, false=false)
    return PretrainBatch(draw(plan, atlas, side, truth=False)[0], captions, distractors, plan)
