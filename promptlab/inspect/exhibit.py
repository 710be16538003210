"""An exhibit: plain data behind a picture, with the number that says whether to trust it."""

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

KINDS = ("attention", "bars", "curve", "heat", "images", "maps", "matrix", "shift", "transport", "words")
INLINE = 12  # rows shown by the HTML of a long table


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
    """``kind`` chooses the plot; ``arrays``: name → array; ``labels``: name → strings for an axis of an array; ``note``: one sentence
    on how to read it; ``sanity``: numbers that say whether to trust it; ``settings``: what it was made with.

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
        assert self.kind in KINDS, f"unknown exhibit kind {self.kind}"

    def rows(self) -> Iterator[dict[str, Any]]:
        """The longest-named 1-D or 2-D arrays as records, one a row (columns of a 2-D array are named by ``labels`` or numbered)."""
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

    def _repr_html_(self) -> str:
        rows = list(self.rows())
        head = "".join(f"<th>{html.escape(str(k))}</th>" for k in (rows[0] if rows else ()))
        body = "".join("<tr>" + "".join(f"<td>{html.escape(_short(v))}</td>" for v in r.values()) + "</tr>" for r in rows[:INLINE])
        more = f"<p>{len(rows) - INLINE} more rows</p>" if len(rows) > INLINE else ""
        trust = " · ".join(html.escape(str(s)) for s in self.sanity)
        return (
            f"<div><strong>{html.escape(self.title)}</strong><p>{html.escape(self.note)}</p><p><em>{trust}</em></p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}</div>"
        )


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
