"""Sentences about scenes that nobody drew: captions with the names that are in them, for learning from texts alone."""

from collections.abc import Sequence
from random import Random

from promptlab.world.atlas import load_atlas
from promptlab.world.captions import Facts, caption, size_word
from promptlab.world.scene import COLOURS, MAX_OBJECTS, PATTERNS, SEEN_STYLES

OTHERS = 0.25  # share of the things named that are none of the classes


def write(names: Sequence[str], count: int, seed: int) -> list[tuple[str, tuple[str, ...]]]:
    """``count`` captions of 1 to 4 things, each with the names that it speaks of: mostly of ``names``, some of other seen sprites."""
    rng, atlas = Random(f"captions/{seed}"), load_atlas()
    known = [n for n in names if n in atlas.names]
    rest = [atlas.names[i] for i in atlas.seen if atlas.names[i] not in set(names)]
    return [_sentence(known or rest, rest, rng) for _ in range(count)]


def _sentence(names: Sequence[str], rest: Sequence[str], rng: Random) -> tuple[str, tuple[str, ...]]:
    things: list[str] = []
    for _ in range(rng.randint(1, MAX_OBJECTS)):
        name = rng.choice(rest if rng.random() < OTHERS else names)
        things += [] if name in things else [name]
    size = size_word(rng.uniform(0.4, 1.0)) if len(things) == 1 else ""
    facts = Facts(tuple(things), rng.choice(SEEN_STYLES), rng.choice(PATTERNS), rng.choice(list(COLOURS)), size)
    text = caption(facts, style=rng.random() < 0.5, place=rng.randrange(4), size=rng.random() < 0.3, variant=rng.randrange(6))
    return text, facts.names
