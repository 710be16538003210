"""Exhibits: plain data behind pictures of what a method learned and does. ``promptlab.plots.draw`` turns any of them into a figure.

Each function takes a run or a method first. An exhibit that a method cannot have is refused in one sentence. A new exhibit is a new
file here (see ``promptlab.inspect.found``): :func:`show`, the command line, the app and the tests find it.
"""

import inspect as _signature
from collections.abc import Callable, Sequence
from typing import Any

from promptlab.errors import BadData, PromptlabError
from promptlab.inspect.attention import attention, text_attention
from promptlab.inspect.curves import confusion, curves, disagreement, gain, live, reliability
from promptlab.inspect.evidence import evidence
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.found import find as _find
from promptlab.inspect.masks import masks
from promptlab.inspect.replay import drift, replay
from promptlab.inspect.shift import shift
from promptlab.inspect.transport import transport
from promptlab.inspect.views import views
from promptlab.inspect.weights import conditioning, memory, norms, pixels, residuals
from promptlab.inspect.words import words

SHOWN = 64  # pictures of a split that exhibits of many pictures show
_FOUND = _find(__name__, __path__)
EXHIBITS: dict[str, Callable[..., Exhibit]] = _FOUND.exhibits
"""What can be asked of one fitted method by name (the command line and the app ask this way)."""
COMPARISONS: dict[str, Callable[..., Exhibit]] = _FOUND.comparisons
"""What can be asked of one or several runs that were judged on the same pictures."""
SHOWS: dict[str, str] = _FOUND.shows
"""What a card exposes something as → the exhibit that shows it."""
globals().update({what: make for what, make in EXHIBITS.items() if not callable(globals().get(what))})  # also those of newer files

__all__ = [
    "COMPARISONS", "EXHIBITS", "SHOWS", "Exhibit", "Sanity", "attention", "available", "compare", "conditioning", "confusion", "curves",
    "disagreement", "drift", "evidence", "gain", "live", "masks", "memory", "norms", "of_runs", "pictures_for", "pixels", "reliability",
    "replay", "residuals", "shift", "show", "takes", "text_attention", "transport", "views", "words",
]


def show(subject: Any, what: str, image: Any = None, **settings: Any) -> Exhibit:
    """The exhibit of that name; ``image`` is handed to those that look at pictures."""
    if what not in EXHIBITS:
        raise BadData(f"there is no exhibit '{what}'; the exhibits are {', '.join([*EXHIBITS, *COMPARISONS])}.")
    make = EXHIBITS[what]
    if what in _FOUND.of_runs and not hasattr(subject, "events"):
        raise BadData(f"the exhibit '{what}' is made of the events and epochs of a run, and a method alone came; pass the run.")
    if looks_at_pictures(what):
        if image is None:
            raise BadData(f"the exhibit '{what}' looks at a picture, and none came; pass one.")
        return make(subject, image, **settings)
    return make(subject, **settings)


def compare(runs: Sequence[Any], what: str, **settings: Any) -> Exhibit:
    """The comparison of that name (``COMPARISONS``) of one or several runs."""
    if what not in COMPARISONS:
        raise BadData(f"there is no comparison '{what}'; the comparisons are {', '.join(COMPARISONS)}.")
    return COMPARISONS[what](list(runs), **settings)


def takes(*parameters: str) -> tuple[str, ...]:
    """The exhibits that take any of these parameters: ``takes("image", "images")`` look at pictures, ``takes("name")`` at a class."""
    return tuple(what for what, make in {**EXHIBITS, **COMPARISONS}.items()
                 if set(parameters) & set(_signature.signature(make).parameters))


def looks_at_pictures(what: str) -> bool:
    """True for exhibits that are made of a picture."""
    return what in takes("image", "images")


def pictures_for(what: str, split: Any) -> Any:
    """The batch of a split that the exhibit shows: its first picture, or up to ``SHOWN``, spread over it, for exhibits of many."""
    step = max(1, len(split) // SHOWN)
    rows = range(0, len(split), step)[:SHOWN] if what in takes("images") else [0]
    return next(split.take(rows).batches(SHOWN))


def of_runs(what: str) -> bool:
    """True for exhibits that need a run (its events, its epochs), not only its method."""
    return what in _FOUND.of_runs


def available(subject: Any, image: Any) -> dict[str, Exhibit | str]:
    """Every exhibit that a method yields for one picture, and the sentence that says why for those that it cannot have."""
    found: dict[str, Exhibit | str] = {}
    for what in EXHIBITS:
        if of_runs(what) and not hasattr(subject, "events"):
            continue
        try:
            found[what] = show(subject, what, image)
        except PromptlabError as e:
            found[what] = str(e)
    return found
