"""Descriptors that mean nothing: random words and random characters, as long as the class names are (WaffleCLIP, ICCV 2023)."""

from collections.abc import Sequence
from random import Random
from statistics import fmean

from promptlab.assets import asset

CHARACTERS = "abcdefghijklmnopqrstuvwxyz"
ARTICLES = ("a", "an", "used")
VERBS = ("has", "often", "typically", "may", "can")


def clause(descriptor: str) -> str:
    """A descriptor as a relative clause, by its first letters only (VCD's rule): "which is a ...", "which can ...", "which has ..."."""
    if descriptor.startswith(ARTICLES):
        return f"which is {descriptor}"
    return f"which {descriptor}" if descriptor.startswith(VERBS) else f"which has {descriptor}"


def frequent_words() -> list[str]:
    """Common English words, one a line of the shipped file."""
    return asset("words.txt").read_text(encoding="utf-8").split()


def noise(names: Sequence[str], pairs: int, seed: int, kinds: Sequence[str] = ("words", "characters")) -> list[str]:
    """``pairs`` random descriptors of each of ``kinds``, the same for all classes; a function of the seed and of how long the names are.

    Words are cut to the mean length of the names' words and there are as many as the names have on average; characters come in as many
    chunks, as long as the longest words are on average, with ", " between them.
    """
    split = [n.split(" ") for n in names]
    words = max(1, round(fmean(len(s) for s in split)))
    length = max(1, round(fmean(fmean(map(len, s)) for s in split)))
    longest = -(-sum(max(map(len, s)) for s in split) // len(split))  # rounded up
    per_chunk = max(1, (longest + words - longest % words) // words)
    stock, rng, out = [w[:length] for w in frequent_words()], Random(seed), []
    for _ in range(pairs):
        made = {"words": " ".join(rng.choice(stock) for _ in range(words)),
                "characters": ", ".join("".join(rng.choice(CHARACTERS) for _ in range(per_chunk)) for _ in range(words))}
        out += [made[k] for k in kinds]
    return out
