"""Which methods and which of their knobs the page offers, read from the cards."""

from dataclasses import dataclass
from typing import Any

from promptlab import registry
from promptlab.card import FAMILIES, Knob, Train, knobs
from promptlab.docs import found_cards

MOST = 5  # own knobs of a method on the page; the command line has all
FAVOURITES = ("coop", "tip_adapter", "maple", "vp", "taskres")


@dataclass(frozen=True)
class Control:
    """One knob as the page draws it; ``slider``: its range is short enough for one; ``training``: all methods have it."""

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


def families() -> list[str]:
    """Families that have a method which a single-label task can use."""
    have = {c.family for c in _cards()}
    return [f for f in FAMILIES if f in have]


def methods_of(family: str) -> list[tuple[str, str]]:
    """(what the menu says, id) of the family's methods, oldest first."""
    found = sorted((c for c in _cards() if c.family == family), key=lambda c: (c.year, c.id))
    return [(f"{c.name} · {c.venue} {c.year}", c.id) for c in found]


def first_choice(choices: list[tuple[str, str]]) -> str:
    """The method to begin with in a family."""
    ids = [key for _, key in choices]
    return next((key for key in FAVOURITES if key in ids), ids[0])


def about(key: str) -> str:
    """What a method learns, in two lines."""
    card = registry.card(key)
    open_words = "answers for new class names too" if card.open_vocabulary else "answers only for the classes that it was trained on"
    return f"**{card.name}** ({card.supervision}): {card.difference}. Trains: {card.trains}; {open_words}."


def preset(key: str) -> str | None:
    """The preset for the pocket backbone, where the method has one."""
    return "demo" if "demo" in registry.card(key).presets else None


def controls(key: str) -> list[Control]:
    """The method's own knobs, then the training knobs that matter, with the values of the demo preset."""
    cls = registry.get(key)
    start = cls.card.presets.get("demo", {})
    known, training = knobs(cls.Hyper), knobs(Train)
    own = [k for name, k in known.items() if name not in training]
    own = [*own[:MOST], *(k for k in own[MOST:] if k.type is bool)]  # switches change what the method is
    length = "steps" if start.get("steps") is not None else "epochs"
    still = cls.card.supervision == "test-time" or (cls.card.supervision == "training-free" and all(k.type is not bool for k in own))
    wanted = ("seed",) if still else (length, "lr", "batch", "seed")
    shared = [known[n] for n in wanted]
    return [_control(k, start.get(k.name, k.default)) for k in [*own, *shared]]


def _control(knob: Knob, value: Any) -> Control:
    span = None if knob.low is None or knob.high is None else knob.high - knob.low
    slider = knob.type in (int, float) and not knob.optional and span is not None and span <= (64 if knob.type is int else 20)
    step = 1 if knob.type is int else (0.01 if span is not None and span <= 1 else 0.1)
    if knob.type is tuple and isinstance(value, tuple):
        value = ", ".join(map(str, value))
    kind = str if knob.optional else knob.type  # a number box cannot be empty, a text box can
    return Control(knob.name, knob.name.replace("_", " "), knob.help, kind, value, knob.low, knob.high, step, knob.choices, slider,
                   knob.name in knobs(Train))


def _cards() -> list[Any]:
    return [c for c in found_cards()[0] if "single" in c.kinds and c.id != "zero_shot"]
