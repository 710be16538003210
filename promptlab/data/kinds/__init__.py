"""Task kinds: what a prediction looks like, its loss and its metrics. One file each."""

from importlib import import_module
from typing import Any

from promptlab.errors import WrongKind

KINDS = ("single", "multi", "dense")


def kind_of(name: str) -> Any:
    """The kind module's ``KIND`` object (``loss(pred, target)``, ``metrics(pred, target)``, ``toy(...)``)."""
    if name not in KINDS:
        raise WrongKind(f"'{name}' is no task kind; the kinds are {', '.join(KINDS)}.")
    return import_module(f"promptlab.data.kinds.{name}").KIND
