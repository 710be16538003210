"""An exhibit: plain data behind a picture, with the number that says whether to trust it."""

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

KINDS = ("attention", "bars", "curve", "heat", "images", "maps", "matrix", "replay", "shift", "transport",
         "words")  # those with a plot of their own
INLINE = 12  # rows shown by the HTML of a long table
PAINTER = "promptlab.plots"  # looked up when a picture is wanted: exhibits are plain data and import no plots


@dataclass(frozen=True)
class Sanity:
    """A check of a picture: ``value`` of what is named, beside the ``control`` it should be compared with (None: an error, best 0)."""

    name: str
    value: float
    control: float | None = None

    def __str__(self) -> str:
        beside = "" if self.control is None else f" (control {self.control:.3g})"
        return f"{self.name}: {self.value:.3g}{beside}"


@dataclass(frozen=True)
class Exhibit:
    """``kind`` chooses the plot (one of KINDS, or any other word for the plain plot of each array); ``arrays``: name → array;
    ``labels``: name → strings for an axis of an array; ``note``: one sentence on how to read it; ``sanity``: numbers that say whether
    to trust it; ``settings``: what it was made with.

    Arrays are NumPy; shapes are said by the function in ``promptlab.inspect`` that makes the exhibit.
    """

    kind: str
    title: str
    arrays: Mapping[str, np.ndarray]
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    note: str = ""
    sanity: tuple[Sanity, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.kind.isidentifier(), f"an exhibit's kind is a word; got {self.kind!r}"

    def rows(self) -> Iterator[dict[str, Any]]:
        """The longest-named 1-D or 2-D arrays as records, one a row (columns of a 2-D array are named by ``labels`` or numbered)."""
        if self.kind == "replay":
            for name, one in zip(self.labels["frame"], self.frames(), strict=True):
                yield from ({"frame": name, **row} for row in one.rows())
            return
        n = max((a.shape[0] for a in self.arrays.values() if 0 < a.ndim <= 2), default=0)
        columns: dict[str, Sequence[Any]] = {k: v for k, v in self.labels.items() if len(v) == n}
        for name, a in self.arrays.items():
            if a.ndim == 1 and len(a) == n:
                columns[name] = a.tolist()
            elif a.ndim == 2 and len(a) == n:
                heads = next((v for v in self.labels.values() if len(v) == a.shape[1] != n), range(a.shape[1]))
                columns |= {f"{name} {h}": a[:, j].tolist() for j, h in enumerate(heads)}
        for i in range(n):
            yield {k: v[i] for k, v in columns.items()}

    def to_frame(self) -> Any:
        """The rows as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(list(self.rows()))

    def to_json(self) -> str:
        """Everything as JSON text; :meth:`from_json` gives the exhibit back."""
        return json.dumps(
            {
                "kind": self.kind,
                "title": self.title,
                "note": self.note,
                "settings": dict(self.settings),
                "labels": {k: list(v) for k, v in self.labels.items()},
                "sanity": [[s.name, s.value, s.control] for s in self.sanity],
                "arrays": {
                    k: {"dtype": str(a.dtype), "shape": list(a.shape), "values": a.ravel().tolist()} for k, a in self.arrays.items()
                },
            }
        )

    @staticmethod
    def from_json(text: str) -> "Exhibit":
        d = json.loads(text)
        arrays = {k: np.array(a["values"], dtype=a["dtype"]).reshape(a["shape"]) for k, a in d["arrays"].items()}
        return Exhibit(d["kind"], d["title"], arrays, d["labels"], d["note"], tuple(Sanity(*s) for s in d["sanity"]), d["settings"])

    @staticmethod
    def replay(names: Sequence[str], frames: Sequence["Exhibit"], title: str, note: str) -> "Exhibit":
        """Exhibits of one thing at several times as one of kind "replay"; :meth:`frames` gives them back."""
        arrays = {f"{i}/{k}": v for i, e in enumerate(frames) for k, v in e.arrays.items()}
        said = [{"kind": e.kind, "title": e.title, "note": e.note, "settings": dict(e.settings), "sanity": [_triple(s) for s in e.sanity],
                 "labels": {k: list(v) for k, v in e.labels.items()}} for e in frames]
        return Exhibit("replay", title, arrays, {"frame": tuple(names)}, note, frames[-1].sanity, {"frames": said})

    def frames(self) -> list["Exhibit"]:
        """The exhibits that a replay goes through; any other exhibit is its only frame."""
        if self.kind != "replay":
            return [self]
        arrays: list[dict[str, np.ndarray]] = [{} for _ in self.settings["frames"]]
        for key, value in self.arrays.items():
            i, name = key.split("/", 1)
            arrays[int(i)][name] = value
        return [Exhibit(d["kind"], d["title"], a, d["labels"], d["note"], tuple(Sanity(*s) for s in d["sanity"]), d["settings"])
                for d, a in zip(self.settings["frames"], arrays, strict=True)]

    def _repr_html_(self) -> str:
        """The picture itself, as a file within the page, with its numbers folded away under it."""
        try:
            picture = import_module(PAINTER).inline(self)
        except ImportError:  # without matplotlib: the numbers alone
            return self.table_html()
        return f"<div>{picture}<details><summary>the numbers</summary>{self.table_html()}</details></div>"

    def table_html(self) -> str:
        """Title, note, checks and the first rows as an HTML table."""
        rows = list(self.rows())
        head = "".join(f"<th>{html.escape(str(k))}</th>" for k in (rows[0] if rows else ()))
        body = "".join("<tr>" + "".join(f"<td>{html.escape(_short(v))}</td>" for v in r.values()) + "</tr>" for r in rows[:INLINE])
        more = f"<p>{len(rows) - INLINE} more rows</p>" if len(rows) > INLINE else ""
        trust = " · ".join(html.escape(str(s)) for s in self.sanity)
        return (
            f"<div><strong>{html.escape(self.title)}</strong><p>{html.escape(self.note)}</p><p><em>{trust}</em></p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}</div>"
        )


def _triple(s: Sanity) -> list[Any]:
    return [s.name, s.value, s.control]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
