"""Finding methods: the files of :mod:`promptlab.methods` and the entry points of other packages. Nothing to edit here.

A method's id is its file's name (or its entry point's name in the group ``promptlab.methods``); modules load when asked for.
"""

import difflib
import hashlib
import inspect
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from pkgutil import iter_modules
from types import CodeType, FunctionType, ModuleType

from promptlab.card import Card
from promptlab.errors import PromptlabError
from promptlab.method import Method

GROUP = "promptlab.methods"
_ADDED: dict[str, type[Method]] = {}  # typed by a person in this process


class NoSuchMethod(PromptlabError):
    """No method goes by that id."""


def ids() -> tuple[str, ...]:
    """Ids of all methods, ours first, without importing any of them."""
    own = _own()
    return (*own, *(name for name in sorted({**_foreign(), **_ADDED}) if name not in own))


def add(cls: type[Method]) -> type[Method]:
    """Let a method that was typed in a notebook be found by its card's id until the process ends: by the app, the widgets, ``pl.fit``.
    Adding another class with the same id replaces it. Also a decorator."""
    if cls.card.id in _own():
        raise PromptlabError(f"the library has a method '{cls.card.id}' already; give yours another id.")
    _ADDED[cls.card.id] = cls
    return cls


def get(key: str) -> type[Method]:
    """The method class of an id."""
    if key in _own():
        return _class_in(import_module(f"promptlab.methods.{key}"), key)
    if key in _ADDED:
        return _ADDED[key]
    found = _foreign().get(key)
    if found is None:
        near = difflib.get_close_matches(key, ids(), 3, 0.3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"the methods are {', '.join(ids())}."
        raise NoSuchMethod(f"there is no method '{key}'; {hint}")
    thing = found.load()
    cls = _class_in(thing, key) if isinstance(thing, ModuleType) else thing
    if cls.card.id != key:
        raise PromptlabError(f"entry point '{key}' holds the method '{cls.card.id}'; give both the same id.")
    return cls


def card(key: str) -> Card:
    """The card of an id."""
    return get(key).card


def source_hash(cls: type[Method]) -> str:
    """Digest of the file that defines a method: two runs with equal hashes ran the same text."""
    try:
        text = Path(inspect.getfile(cls)).read_bytes()
    except (OSError, TypeError):  # typed in a notebook cell or a prompt: what its functions do
        text = "\n".join([cls.__qualname__, repr(cls.card), *(_code(f.__code__) for f in vars(cls).values()
                                                             if isinstance(f, FunctionType))]).encode()
    return hashlib.sha256(text).hexdigest()[:16]


def _code(code: CodeType) -> str:
    """A function's instructions, names and constants, without where it stands."""
    inner = [_code(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {inner}"


def _own() -> tuple[str, ...]:
    package = import_module("promptlab.methods")  # the attribute promptlab.methods is the public function
    return tuple(sorted(m.name for m in iter_modules(package.__path__) if not m.name.startswith("_")))


@lru_cache(maxsize=1)
def _foreign() -> dict[str, EntryPoint]:
    return {e.name: e for e in entry_points(group=GROUP)}


def _class_in(module: ModuleType, key: str) -> type[Method]:
    found = [c for c in vars(module).values()
             if inspect.isclass(c) and issubclass(c, Method) and c.__module__ == module.__name__ and "card" in vars(c)]
    match = [c for c in found if c.card.id == key]
    if not match:
        has = ", ".join(repr(c.card.id) for c in found) or "none"
        raise PromptlabError(f"{module.__name__} must define one Method whose card has the id '{key}'; it defines {has}.")
    return match[0]
