"""Answers for people: names with probabilities, plain rows, small HTML."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.errors import BadData
from promptlab.method import Method, sandbox


def predict(method: Method, images: Any, names: ClassSet, k: int | None = None) -> Any:
    """What :meth:`promptlab.runs.Run.predict` describes."""
    batch, single = batch_of(images, method.backbone.spec)
    with sandbox(method), torch.no_grad():
        bank = method.bank(names)
        parts = [batch.row(i) for i in range(len(batch))] if method.card.stream else [batch]
        pred = torch.cat([method.predict(part, bank).pred for part in parts])
        found = method.kind.probabilities(pred).cpu()
    rows = [_map(p, names) if p.ndim == 3 else _named(p, names, k) for p in found]
    return rows[0] if single else rows


def batch_of(images: Any, spec: Any) -> tuple[Batch, bool]:
    """(batch, whether a single picture came): paths, PIL images, arrays [H, W, 3] or tensors [3, H, W] / [B, 3, H, W]."""
    from promptlab.data.sources import loose

    single = not isinstance(images, list | tuple) and not (isinstance(images, Tensor) and images.ndim == 4)
    items = [images] if single else list(images)
    if not items:
        raise BadData("no picture came; give a path, a PIL image, an array, a tensor or a list of them.")
    source = loose(items)
    return Batch(source, tuple(range(len(source)))), single


def _named(probabilities: Tensor, names: ClassSet, k: int | None) -> dict[str, float]:
    order = probabilities.argsort(descending=True, stable=True)[:k].tolist()
    return {names.names[i]: float(probabilities[i]) for i in order}


def _map(probabilities: Tensor, names: ClassSet) -> dict[str, Any]:
    return {"labels": probabilities.argmax(0).numpy(), "names": names.names, "confidence": probabilities.amax(0).numpy()}


def scalars(found: Mapping[str, Any]) -> dict[str, float]:
    """Only the single numbers of a metrics dict."""
    return {k: v for k, v in found.items() if isinstance(v, int | float)}


def frame(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A pandas frame where pandas is installed, else the rows."""
    try:
        import pandas
    except ImportError:
        return [dict(r) for r in rows]
    return pandas.DataFrame(list(rows))


def table_html(columns: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "") -> str:
    """A plain HTML table; every cell is escaped."""
    head = "".join(f"<th>{html.escape(str(c))}</th>" for c in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>" for row in rows)
    above = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{above}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def run_html(run: Any) -> str:
    """A run in a notebook: what it is, and one row a test set."""
    rows = [(name, f"{100 * r.headline:.1f} %", r.protocol["headline"], r.protocol["pictures"], f"{r.seconds:.1f} s")
            for name, r in run.reports.items()]
    if (h := run.summary["scores"].get("H")) is not None:
        rows.append(("H", f"{100 * h:.1f} %", "", "", ""))
    caption = f"{run.key} on {run.meta['task']['name']} · {run.status} · {run.meta['trainable']:,} trainable · run {run.id}"
    return table_html(("test set", "score", "metric", "pictures", "time"), rows, caption)


class Table(list):
    """Rows of plain data that show themselves in a notebook."""

    def to_frame(self) -> Any:
        return frame(self)

    def _repr_html_(self) -> str:
        columns = list(self[0]) if self else []
        return table_html(columns, [["" if row[c] is None else row[c] for c in columns] for row in self])
