"""Description stores: sentences and descriptors of classes as one JSON file, with where they came from.

    {"format": "promptlab-descriptions/1",
     "about": {"written_by": ..., "model": ..., "date": ..., "questions": {...}, "licence": ..., ...},
     "classes": {"fox": {"descriptors": ["pointed ears", ...], "sentences": ["A fox has orange fur.", ...]}, ...}}

``descriptors`` are phrases that complete "a fox, which has ..." (VCD); ``sentences`` stand by themselves and name the class (CuPL).
The plain files of the public repositories, {class: [text, ...]}, are read too: their texts serve as either. Classes are matched by
name, never by their order; _ reads as a space and capital letters do not matter.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from promptlab.assets import asset
from promptlab.data.classes import ClassSet
from promptlab.errors import BadData
from promptlab.files import write_json

FORMAT = "promptlab-descriptions/1"
KINDS = ("descriptors", "sentences")
STORES = ("foggy",)  # shipped beside the general one: the world's textures, in the fog
Texts = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Descriptions:
    """``descriptors`` and ``sentences``: class → texts; ``about``: who wrote them, when, how they were asked for."""

    descriptors: Texts = field(default_factory=dict)
    sentences: Texts = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def of(self, names: Sequence[str], kind: str) -> list[tuple[str, ...]]:
        """The texts of each name; () where there are none."""
        known = {plain(k): v for k, v in getattr(self, kind).items()}
        return [tuple(known.get(plain(n), ())) for n in names]

    @property
    def classes(self) -> list[str]:
        """All classes that have texts of either kind."""
        return list(dict.fromkeys([*self.descriptors, *self.sentences]))

    def to_json(self) -> dict[str, Any]:
        """The file's content."""
        rows = {c: {k: list(getattr(self, k)[c]) for k in KINDS if c in getattr(self, k)} for c in self.classes}
        return {"format": FORMAT, "about": dict(self.about), "classes": rows}


def plain(name: str) -> str:
    """A class name as it is looked up."""
    return " ".join(name.replace("_", " ").lower().split())


def read(path: Path | str) -> Descriptions:
    """The store in a file; :class:`BadData` in one sentence for anything else."""
    path = Path(path)
    if not path.is_file():
        raise BadData(f"there is no file of descriptions at {path}; give a JSON file, or write one with `promptlab describe`.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise BadData(f"{path.name} is not JSON text{where}; a file of descriptions is {{class: [text, ...]}}, or what "
                      f"`promptlab describe` writes.") from None
    return parse(content, path.name)


def parse(content: Any, name: str = "descriptions") -> Descriptions:
    """A store from the content of its file."""
    if not isinstance(content, Mapping) or not content:
        raise BadData(f"{name} must hold a JSON object of classes; it holds {type(content).__name__}.")
    if "format" not in content:
        rows = {str(c): _texts(t, c, name) for c, t in content.items()}
        return Descriptions(rows, rows, {"written_by": "unknown"})
    if content["format"] != FORMAT:
        raise BadData(f"{name} has the format {content['format']!r}; this version of promptlab reads {FORMAT!r}.")
    rows = content.get("classes")
    if not isinstance(rows, Mapping) or not all(isinstance(r, Mapping) for r in rows.values()):
        raise BadData(f"{name} must have 'classes', an object of {{class: {{\"descriptors\": [...], \"sentences\": [...]}}}}.")
    if odd := sorted({k for r in rows.values() for k in r} - set(KINDS)):
        raise BadData(f"{name} has classes with {odd[0]!r}; a class has {' and '.join(KINDS)} only.")
    parts = {k: {c: _texts(r[k], c, name) for c, r in rows.items() if k in r} for k in KINDS}
    return Descriptions(**parts, about=dict(content.get("about") or {}))


def _texts(value: Any, owner: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(t, str) for t in value):
        raise BadData(f"{name}: the texts of '{owner}' must be a list of strings.")
    return tuple(t.strip() for t in value)


def write(path: Path | str, found: Descriptions) -> None:
    """Write a store, whole or not at all."""
    write_json(Path(path), found.to_json())


@lru_cache(maxsize=1)
def shipped() -> Descriptions:
    """Descriptions of the classes of the picture world."""
    return read(asset("descriptions.json"))


@lru_cache(maxsize=8)
def _read(path: str, changed: float) -> Descriptions:
    return read(path)


def texts_of(names: ClassSet, kind: str, path: str | None = None) -> list[tuple[str, ...]]:
    """The texts of each class, () where there are none: from the file if one is given (or the shipped store of that name, "foggy"),
    else those of the class set, else shipped ones."""
    if path:
        path = path if Path(path).is_file() or path not in STORES else str(asset(f"descriptions-{path}.json"))
        return _read(path, Path(path).stat().st_mtime if Path(path).is_file() else 0.0).of(names.names, kind)
    if names.descriptions:
        return Descriptions(**{kind: names.descriptions}).of(names.names, kind)
    return shipped().of(names.names, kind)


def lacking(names: ClassSet, texts: Sequence[Sequence[str]], kind: str) -> str:
    """One sentence on the classes without texts; "" where all have some."""
    without = [n for n, t in zip(names.names, texts, strict=True) if not t]
    if not without:
        return ""
    return (f"{len(without)} of {len(names)} classes have no {kind} ('{without[0]}', ...), so their name alone speaks for them; "
            f"`promptlab describe` writes some.")
