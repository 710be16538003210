"""Single pictures for a cell: each function gives something that displays itself as plain HTML, with no kernel and no script."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from promptlab.data.batch import Split
from promptlab.inspect.exhibit import Exhibit
from promptlab.widgets import draw, pictures


class Shown:
    """HTML that shows itself."""

    def __init__(self, html: str, said: str = ""):
        self.html, self.said = html, said

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.said or "<promptlab picture>"


def exhibit(e: Exhibit, width: float = 9.0) -> Shown:
    """An exhibit of ``promptlab.inspect`` with its note and checks."""
    return Shown(draw.exhibit(e, width), f"<{e.title}>")


def bars(scores: Mapping[str, float | Sequence[float]]) -> Shown:
    """Name → share (0..1) or shares of several seeds; a dot a seed."""
    rows = []
    for name, value in scores.items():
        values = [float(v) for v in value] if isinstance(value, Sequence) else [float(value)]
        rows.append((name, float(np.mean(values)), values))
    return Shown(draw.bars(rows), ", ".join(f"{n} {100 * m:.1f} %" for n, m, _ in rows))


def gallery(split: Split, positions: Sequence[int], captions: Sequence[str] | None = None, side: int = 72) -> Shown:
    """Pictures of a split with captions."""
    captions = captions or ["" for _ in positions]
    return Shown(draw.gallery([(pictures.address(split, i, side), c, "") for i, c in zip(positions, captions, strict=True)], side=side))


def lines(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], x: str, y: str, width: int = 620, height: int = 240) -> Shown:
    """Name → (x values, y values), one line each."""
    xs, ys = ([float(v) for s in series.values() for v in s[i]] for i in (0, 1))
    low, high = min([*ys, 0.0] if min(ys) >= 0 and min(ys) < 0.5 * max(ys) else ys), max(ys)
    left, top, w, h = 54, 18, width - 100 - 7 * max(map(len, series)), height - 62

    def at(a: float, b: float) -> tuple[float, float]:
        return (left + w * (a - min(xs)) / max(max(xs) - min(xs), 1e-12), top + h * (1 - (b - low) / max(high - low, 1e-12)))

    body = [f'<path d="M{left} {top}V{top + h}H{left + w}" fill="none" stroke="{draw.FAINT}"/>']
    for value, place in ((low, top + h), (high, top + 8)):
        body.append(f'<text x="{left - 5}" y="{place}" font-size="10" text-anchor="end" {draw.TEXT}>{value:.3g}</text>')
    for value, place, anchor in ((min(xs), left, "start"), (max(xs), left + w, "end")):
        body.append(f'<text x="{place}" y="{top + h + 13}" font-size="10" text-anchor="{anchor}" {draw.TEXT}>{value:.3g}</text>')
    body.append(f'<text x="{left + w / 2}" y="{top + h + 28}" font-size="12" text-anchor="middle" {draw.TEXT}>{draw.esc(x)}</text>')
    body.append(f'<text x="{left}" y="{top - 6}" font-size="12" {draw.TEXT}>{draw.esc(y)}</text>')
    for i, (name, (a, b)) in enumerate(series.items()):
        points = [at(float(u), float(v)) for u, v in zip(a, b, strict=True)]
        path = " ".join(f"{u:.1f},{v:.1f}" for u, v in points)
        body.append(f'<polyline points="{path}" fill="none" stroke="{draw.colour(i)}" stroke-width="2"/>')
        body += [f'<circle cx="{u:.1f}" cy="{v:.1f}" r="2.6" fill="{draw.colour(i)}"/>' for u, v in points if len(points) < 40]
        y0 = top + 14 + 17 * i
        dot = f'<tspan fill="{draw.colour(i)}">● </tspan>'
        body.append(f'<text x="{left + w + 12}" y="{y0}" font-size="12" {draw.TEXT}>{dot}{draw.esc(name)}</text>')
    return Shown(draw.svg(width, height, "".join(body), f"{y} over {x}"))


def heat(values: Any, rows: Sequence[str] = (), columns: Sequence[str] = (), cell: int = 24) -> Shown:
    """A matrix as cells, dark = large; rows and columns may have names."""
    v = np.asarray(values, float)
    low, high = float(v.min()), float(v.max())
    left = 10 + max([7 * len(str(r)) for r in rows] or [0])
    top = 10 + max([5 * len(str(c)) for c in columns] or [0])
    body = []
    for i, j in np.ndindex(*v.shape):
        a = (v[i, j] - low) / max(high - low, 1e-12)
        body.append(f'<rect x="{left + j * cell}" y="{top + i * cell}" width="{cell}" height="{cell}" fill="rgba({draw.HEAT},{a:.3f})" '
                    f'stroke="{draw.FAINT}" stroke-width="0.5"><title>{v[i, j]:.3g}</title></rect>')
    for i, name in enumerate(rows):
        at = f'x="{left - 5}" y="{top + (i + 0.7) * cell:.1f}"'
        body.append(f'<text {at} font-size="11" text-anchor="end" {draw.TEXT}>{draw.esc(name)}</text>')
    for j, name in enumerate(columns):
        x = left + (j + 0.6) * cell
        at = f'x="{x:.1f}" y="{top - 5}" transform="rotate(-40 {x:.1f} {top - 5})"'
        body.append(f'<text {at} font-size="11" {draw.TEXT}>{draw.esc(name)}</text>')
    width = left + v.shape[1] * cell + 10 + max([5 * len(str(c)) for c in columns[-2:]] or [0])
    return Shown(draw.svg(width, top + v.shape[0] * cell + 10, "".join(body), f"matrix, {low:.3g} to {high:.3g}"))


def maps(picture: np.ndarray, found: Mapping[str, np.ndarray], side: int = 150) -> Shown:
    """Maps [h, w] over one picture [H, W, 3] in 0..1, each on its own scale."""
    source = draw.uri(picture, side)
    return Shown("".join(draw.overlay(source, np.asarray(v, float), side=side, title=k, pick=False) for k, v in found.items()))
