"""Which exhibits there are: read from the files of this folder, so that a new one needs its own file only.

A file may declare ``EXHIBITS`` {name: function of a run or method first, then maybe of a picture}, ``SHOWS`` {what a card exposes
something as: the exhibit that shows it} (an exhibit's own name needs no line), ``OF_RUNS`` (names that need a run, not only its method)
and ``COMPARISONS`` {name: function of a list of runs}. Without any of them, a function of the file's own name is its exhibit.
"""

import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any

TOOLS = ("exhibit", "found", "subject")  # files that make no exhibits


@dataclass
class Found:
    exhibits: dict[str, Callable[..., Any]] = field(default_factory=dict)
    shows: dict[str, str] = field(default_factory=dict)
    of_runs: set[str] = field(default_factory=set)
    comparisons: dict[str, Callable[..., Any]] = field(default_factory=dict)


def find(package: str, path: Iterable[str]) -> Found:
    """All that the files of a package declare; names in the order of the alphabet."""
    found = Found()
    for info in sorted(pkgutil.iter_modules(path), key=lambda i: i.name):
        if info.name not in TOOLS and not info.name.startswith("_"):
            _read(import_module(f"{package}.{info.name}"), info.name, found)
    found.exhibits = dict(sorted(found.exhibits.items()))
    found.shows = {**{what: what for what in found.exhibits}, **found.shows}
    found.comparisons = dict(sorted(found.comparisons.items()))
    return found


def _read(module: ModuleType, name: str, found: Found) -> None:
    declared = [hasattr(module, k) for k in ("EXHIBITS", "SHOWS", "OF_RUNS", "COMPARISONS")]
    own = {name: getattr(module, name)} if not any(declared) and callable(getattr(module, name, None)) else {}
    found.exhibits |= getattr(module, "EXHIBITS", own)
    found.shows |= getattr(module, "SHOWS", {})
    found.of_runs |= set(getattr(module, "OF_RUNS", ()))
    found.comparisons |= getattr(module, "COMPARISONS", {})
