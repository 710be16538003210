"""Exhibits: plain data behind pictures of what a method learned and does. ``promptlab.plots.draw`` turns any of them into a figure.

Each function takes a run or a method first. An exhibit that a method cannot have is refused in one sentence.
"""

import inspect as _signature
from collections.abc import Callable
from typing import Any

from promptlab.errors import BadData, PromptlabError
from promptlab.inspect.attention import attention, text_attention
from promptlab.inspect.curves import confusion, curves, disagreement, gain, live, reliability
from promptlab.inspect.evidence import evidence
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.masks import masks
from promptlab.inspect.shift import shift
from promptlab.inspect.transport import transport
from promptlab.inspect.views import views
from promptlab.inspect.weights import conditioning, memory, norms, pixels, residuals
from promptlab.inspect.words import words

EXHIBITS: dict[str, Callable[..., Exhibit]] = {
    "attention": attention,
    "conditioning": conditioning,
    "curves": curves,
    "evidence": evidence,
    "masks": masks,
    "memory": memory,
    "norms": norms,
    "pixels": pixels,
    "residuals": residuals,
    "shift": shift,
    "text_attention": text_attention,
    "transport": transport,
    "views": views,
    "words": words,
}
"""What can be asked of one fitted method by name (the command line and the app ask this way)."""

__all__ = [
    "EXHIBITS", "Exhibit", "Sanity", "attention", "available", "conditioning", "confusion", "curves", "disagreement", "evidence",
    "gain", "live",
    "masks", "memory", "norms", "pixels", "reliability", "residuals", "shift", "show", "takes", "text_attention", "transport",
    "views", "words",
]


def show(subject: Any, what: str, image: Any = None, **settings: Any) -> Exhibit:
    """The exhibit of that name; ``image`` is handed to those that look at pictures."""
    if what not in EXHIBITS:
        raise BadData(f"there is no exhibit '{what}'; the exhibits are {', '.join(EXHIBITS)}.")
    make = EXHIBITS[what]
    if looks_at_pictures(what):
        if image is None:
            raise BadData(f"the exhibit '{what}' looks at a picture, and none came; pass one.")
        return make(subject, image, **settings)
    return make(subject, **settings)


def takes(*parameters: str) -> tuple[str, ...]:
    """The exhibits that take any of these parameters: ``takes("image", "images")`` look at pictures, ``takes("name")`` at a class."""
    return tuple(what for what, make in EXHIBITS.items() if set(parameters) & set(_signature.signature(make).parameters))


def looks_at_pictures(what: str) -> bool:
    """True for exhibits that are made of a picture."""
    return what in takes("image", "images")


def available(subject: Any, image: Any) -> dict[str, Exhibit | str]:
    """Every exhibit that a method yields for one picture, and the sentence that says why for those that it cannot have."""
    found: dict[str, Exhibit | str] = {}
    for what in EXHIBITS:
        if what == "curves" and not hasattr(subject, "events"):
            continue
        try:
            found[what] = show(subject, what, image)
        except PromptlabError as e:
            found[what] = str(e)
    return found
