"""Which methods and which of their knobs the page offers, all read from the cards: grouped, filtered, greyed out with a reason."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from promptlab import registry
from promptlab.card import FAMILIES, SUPERVISION, Card, Knob, Train, knobs
from promptlab.docs import found_cards
from promptlab.errors import PromptlabError
from promptlab.ui.session import LANE

MOST = 6  # own knobs of a method that are shown at once; all others are behind "All knobs"
SHOWN = {"lr", "batch", "epochs", "steps"}  # training knobs that matter first


@dataclass(frozen=True)
class Control:
    """One knob as the page draws it; ``slider``: its range is short enough for one; ``training``: all methods have it;
    ``first``: shown at once."""

    name: str
    label: str
    help: str
    type: type
    value: Any
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple = ()
    slider: bool = False
    training: bool = False
    first: bool = True


def cards() -> list[Card]:
    """All methods that load, by family and year; zero-shot is the reference and always on."""
    return [c for c in found_cards()[0] if c.id != "zero_shot"]


def groups(families: list[str] | None = None, supervision: list[str] | None = None, search: str = "") -> list[tuple[str, list[Card]]]:
    """(family, its methods) of the survey's taxonomy after the filters; empty filters let everything pass."""
    words = search.casefold().split()

    def fits(c: Card) -> bool:
        text = f"{c.id} {c.name} {c.difference} {c.trains} {c.venue} {c.year}".casefold()
        return (
            (not families or c.family in families) and (not supervision or c.supervision in supervision) and all(w in text for w in words)
        )

    found = [c for c in cards() if fits(c)]
    return [(f, [c for c in found if c.family == f]) for f in FAMILIES if any(c.family == f for c in found)]


def lacks(card: Card, clip: Any, kind: str, support: int, protocol: str = "few_shot") -> str:
    """Why a method cannot be trained here, in one sentence; empty when it can."""
    if kind not in card.kinds:
        return f"{card.name} is for {' and '.join(card.kinds)} tasks; these shots have one class a picture."
    if missing := sorted(set(card.needs) - set(clip.offers)):
        return f"{card.name} needs {', '.join(missing)}, which the backbone {clip.name} does not offer."
    if protocol not in card.protocols and card.protocols:
        return f"{card.name} is for {', '.join(card.protocols)}; choose it on the command line."
    if support == 0 and card.supervision == "supervised":
        return f"{card.name} learns from labelled shots and there are none."
    return ""


def filters() -> tuple[list[str], list[str]]:
    """Families and kinds of supervision that occur."""
    found = cards()
    return [f for f in FAMILIES if any(c.family == f for c in found)], [s for s in SUPERVISION if any(c.supervision == s for c in found)]


def controls(key: str, preset: str | None = "demo") -> list[Control]:
    """All knobs of a method, its own first, with the values of a preset."""
    cls = registry.get(key)
    start = cls.card.presets.get(preset or "", {})
    known, training = knobs(cls.Hyper), knobs(Train)
    own = [n for n in known if n not in training]
    if cls.card.supervision in ("test-time", "training-free") and all(known[n].type is not bool for n in own):
        first = set(own[:MOST])
    else:
        first = set(own[:MOST]) | (SHOWN - {"epochs" if start.get("steps") is not None else "steps"})
    return [_control(k, start.get(k.name, k.default), n in training, n in first) for n, k in known.items() if n != "seed"]


def _control(knob: Knob, value: Any, training: bool, first: bool) -> Control:
    span = None if knob.low is None or knob.high is None else knob.high - knob.low
    slider = knob.type in (int, float) and not knob.optional and span is not None and span <= (64 if knob.type is int else 20)
    step = 1 if knob.type is int else (0.01 if span is not None and span <= 1 else 0.1)
    if knob.type is tuple and isinstance(value, tuple):
        value = ", ".join(map(str, value))
    kind = str if knob.optional else knob.type  # a number box cannot be empty, a text box can
    return Control(
        knob.name, knob.name.replace("_", " "), knob.help, kind, value, knob.low, knob.high, step, knob.choices, slider, training, first
    )


@lru_cache(maxsize=512)
def _count(key: str, clip: Any, names: tuple[str, ...]) -> str:
    from promptlab.create import create

    card = registry.card(key)
    try:
        count = create(
            key, clip, names, kind="single" if "single" in card.kinds else None, preset="demo" if "demo" in card.presets else None
        ).trainable()
    except (PromptlabError, RuntimeError, ValueError, AttributeError):
        return "–"
    return f"{count:,}"


def trainable(card: Card, clip: Any, names: tuple[str, ...]) -> str:
    """Number of learnables at the actual sizes. Making a method draws random numbers, so it waits while a fit uses them."""
    if not LANE.free.acquire(blocking=False):
        return "…"
    try:
        return _count(card.id, clip, names)
    finally:
        LANE.free.release()
