"""Controls of a method, from its card: one for each knob, with the range and the help that the card gives."""

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as ipw

from promptlab import registry
from promptlab.card import Knob, Train, build_hyper, knobs

USUAL = ("lr", "epochs", "steps", "batch", "augment", "seed")  # of the training knobs; all others stay in code


def listed(kind: str, clip: Any) -> list[tuple[str, str]]:
    """(name, id) of every method that can answer such a task with this backbone, by name."""
    cards = [registry.card(key) for key in registry.ids()]
    return sorted((c.name, c.id) for c in cards if kind in c.kinds and set(c.needs) <= set(clip.offers))


def start_values(key: str, preset: str) -> dict[str, Any]:
    """All knob values of a method under a preset ("" or one it has not: the paper's)."""
    cls = registry.get(key)
    hyper = build_hyper(key, cls.Hyper, {}, cls.card.presets, preset if preset in cls.card.presets else None)
    return {name: getattr(hyper, name) for name in knobs(cls.Hyper)}


def shown(key: str) -> dict[str, Knob]:
    """The method's own knobs, then the usual ones of training."""
    known = knobs(registry.get(key).Hyper)
    own = [n for n in known if n not in knobs(Train)]
    return {n: known[n] for n in (*own, *USUAL)}


def control(k: Knob, value: Any, changed: Callable[[Knob, Any], None]) -> ipw.Widget:
    """One control; ``changed(knob, value)`` hears of every new value, as text where it is typed (:meth:`Knob.read` reads it)."""
    look: dict[str, Any] = {"description": k.name, "tooltip": k.help, "style": {"description_width": "130px"},
                            "layout": ipw.Layout(width="330px")}
    if k.choices:
        made: ipw.Widget = ipw.Dropdown(options=k.choices, value=value, **look)
    elif k.type is bool:
        made = ipw.Checkbox(value=bool(value), indent=True, **look)
    elif k.type is int and not k.optional:
        made = ipw.BoundedIntText(value=value, min=int(k.low or 0), max=int(k.high if k.high is not None else 2**31 - 1), **look)
    else:  # floats of many magnitudes, tuples, words, and whatever may be empty: typed, read as the command line reads it
        made = ipw.Text(value=typed(value), continuous_update=False, **look)
    made.observe(lambda c: changed(k, c["new"]), names="value")
    return made


def typed(value: Any) -> str:
    """A knob's value as a person would type it."""
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def changes(key: str, preset: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What differs from the preset: what a person would write in code."""
    first = start_values(key, preset)
    return {k: v for k, v in values.items() if v != first.get(k)}
