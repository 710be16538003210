"""Pictures of the widgets as HTML and SVG text: plain numbers in, escaped text out. They need no style sheet and no script."""

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from promptlab.inspect.exhibit import Exhibit
from promptlab.plots import paper
from promptlab.plots.curves import BASELINE, PALETTE, thin

FAINT = "rgba(138,143,152,0.35)"
HEAT = "213,94,0"
TEXT = 'fill="currentColor" font-family="system-ui, sans-serif"'


def esc(value: Any) -> str:
    return html.escape(str(value))


def colour(index: int) -> str:
    return PALETTE[index % len(PALETTE)]


def uri(picture: Any, side: int | None = None) -> str:
    """A Pillow image, or an array [H, W, 3] (uint8 or 0..1), as a data address; ``side``: enlarged or reduced to that width."""
    if not isinstance(picture, Image.Image):
        array = np.asarray(picture)
        picture = Image.fromarray(array if array.dtype == np.uint8 else (np.clip(array, 0, 1) * 255 + 0.5).astype(np.uint8))
    if side and picture.width != side:
        how = Image.Resampling.NEAREST if side > 2 * picture.width else Image.Resampling.LANCZOS
        picture = picture.resize((side, max(1, round(picture.height * side / picture.width))), how)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def exhibit(e: Exhibit, width: float = 9.0) -> str:
    """An exhibit as a picture; its note and checks stand on it."""
    file = io.BytesIO()
    paper(e, width=width).savefig(file, format="png", dpi=100)
    source = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    said = ". ".join([e.title, e.note, *map(str, e.sanity)])  # the picture says it too, but not to a screen reader
    return f'<img src="{source}" alt="{esc(said)}"/>'


def curves(runs: Sequence[dict[str, Any]], baseline: float | None = None, width: int = 620, height: int = 190) -> str:
    """Loss by step on the left, accuracy on held-out shots on the right. runs: dicts ``name, steps, loss, val_steps, val``."""
    half, top = width // 2, 24
    last = max([s[-1] for r in runs for s in (r["steps"], r["val_steps"]) if s] or [1])
    most = max([v for r in runs for v in r["loss"]] or [1.0]) or 1.0
    body = [_axes(40, top, half - 60, height - 52, f"{most:.2g}", "0", "training loss", last),
            _axes(half + 40, top, half - 60, height - 52, "100", "0", "accuracy on held-out shots, %", last)]
    for i, r in enumerate(runs):
        x, y = thin(r["steps"], r["loss"])
        body.append(_line(x, y, 40, top, half - 60, height - 52, last, most, colour(i)))
        body.append(_line(r["val_steps"], r["val"], half + 40, top, half - 60, height - 52, last, 1.0, colour(i), dots=True))
    if baseline is not None:
        y = top + (height - 52) * (1 - baseline)
        body.append(f'<line x1="{half + 40}" x2="{width - 20}" y1="{y:.1f}" y2="{y:.1f}" stroke="{BASELINE}" stroke-dasharray="5 4"/>'
                    f'<text x="{width - 20}" y="{top + height - 56}" font-size="10" text-anchor="end" {TEXT}>'
                    f"- - zero-shot {100 * baseline:.0f}</text>")
    legend = " ".join(f'<tspan fill="{colour(i)}">● </tspan><tspan>{esc(r["name"])}  </tspan>' for i, r in enumerate(runs))
    body.append(f'<text x="40" y="{height - 3}" font-size="11" {TEXT}>{legend}</text>')
    return svg(width, height, "".join(body), "learning curves")


def _axes(x: int, y: int, w: int, h: int, high: str, low: str, title: str, last: int) -> str:
    return (f'<text x="{x}" y="{y - 9}" font-size="12" {TEXT}>{esc(title)}</text>'
            f'<path d="M{x} {y}V{y + h}H{x + w}" fill="none" stroke="{FAINT}"/>'
            f'<text x="{x - 4}" y="{y + 8}" font-size="10" text-anchor="end" {TEXT}>{high}</text>'
            f'<text x="{x - 4}" y="{y + h}" font-size="10" text-anchor="end" {TEXT}>{low}</text>'
            f'<text x="{x + w}" y="{y + h + 12}" font-size="10" text-anchor="end" {TEXT}>step {last}</text>')


def _line(x: Sequence[float], y: Sequence[float], x0: int, y0: int, w: int, h: int, last: float, most: float, stroke: str,
          dots: bool = False) -> str:
    points = [(x0 + w * a / max(last, 1), y0 + h * (1 - min(b / most, 1))) for a, b in zip(x, y)]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    marks = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.5" fill="{stroke}"/>' for a, b in points) if dots else ""
    return f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="1.8"/>{marks}' if points else ""


def bars(rows: Sequence[tuple[str, float, Sequence[float]]], chosen: int | None = None, width: int = 620) -> str:
    """One bar a method (0..1), a dot a seed. rows: (name, mean, values)."""
    left, step = max(150, min(260, 16 + 7 * max([len(name) for name, _, _ in rows] or [0]))), 26
    body = []
    for i, (name, mean, dots) in enumerate(rows):
        y = 8 + i * step
        fill = BASELINE if name == "zero_shot" else colour(i)
        weight = ' font-weight="bold"' if i == chosen else ""
        span = width - left - 60
        body.append(
            f'<g data-pick="{i}"><rect x="0" y="{y - 3}" width="{width}" height="{step - 2}" fill="transparent"/>'
            f'<text x="{left - 8}" y="{y + 13}" font-size="12" text-anchor="end"{weight} {TEXT}>{esc(name)}</text>'
            f'<rect x="{left}" y="{y}" width="{span * mean:.1f}" height="16" fill="{fill}" opacity="0.75"/>'
            + "".join(f'<circle cx="{left + span * v:.1f}" cy="{y + 8}" r="3.5" fill="#fff" stroke="#111" stroke-width="1"/>' for v in dots)
            + f'<text x="{left + span * max([mean, *dots]) + 8:.1f}" y="{y + 13}" font-size="12" {TEXT}>{100 * mean:.1f}</text></g>')
    return svg(width, 16 + step * len(rows), "".join(body), "scores of the methods")


def matrix(counts: np.ndarray, names: Sequence[str], picked: tuple[int, int] | None = None) -> str:
    """Counts [C, C] as cells that can be clicked; the diagonal is blue, errors are orange."""
    n = len(names)
    cell = max(9, min(26, 420 // n))
    left, top = 130, 8
    most = np.maximum(counts.sum(1, keepdims=True), 1)
    body = []
    for i, j in np.ndindex(n, n):
        share = counts[i, j] / most[i, 0]
        rgb = "0,114,178" if i == j else HEAT
        edge, wide = ("currentColor", 1.6) if picked == (i, j) else (FAINT, 0.5)
        said = f"{esc(names[i])} answered as {esc(names[j])}: {int(counts[i, j])}"
        body.append(f'<rect data-pick="{i},{j}" x="{left + j * cell}" y="{top + i * cell}" width="{cell}" height="{cell}" '
                    f'fill="rgba({rgb},{share:.2f})" stroke="{edge}" stroke-width="{wide}"><title>{said}</title></rect>')
    size = max(7, min(11, cell))
    for i, name in enumerate(names):
        at = f'x="{left - 5}" y="{top + (i + 0.75) * cell:.1f}"'
        body.append(f'<text {at} font-size="{size}" text-anchor="end" {TEXT}>{esc(name)}</text>')
    return svg(left + n * cell + 8, top + n * cell + 8, "".join(body), "confusion: row true class, column answer")


def gallery(items: Sequence[tuple[str, str, str]], picked: str = "", side: int = 72) -> str:
    """Pictures with captions: (address, caption, pick value or "")."""
    cells = []
    for source, caption, pick in items:
        ring = "outline:2px solid #0072B2;" if pick and pick == picked else ""
        mark = f' data-pick="{esc(pick)}"' if pick else ""
        box = f"display:inline-block;width:min-content;min-width:{side + 12}px;text-align:center;vertical-align:top;margin:2px;{ring}"
        cells.append(f'<span{mark} style="{box}">'
                     f'<img src="{source}" width="{side}" alt="{esc(caption)}"/><br/><small>{esc(caption)}</small></span>')
    return f'<div>{"".join(cells)}</div>' if cells else "<p>No pictures here.</p>"


def overlay(picture: str, values: np.ndarray, picked: int | None = None, side: int = 260, title: str = "", pick: bool = True,
            tag: str = "", first: int = 0) -> str:
    """A picture with a map [h, w] over it, a cell a patch; ``picked`` [cell] is outlined. Cells tell ``tag`` and their
    number, counted from ``first``."""
    h, w = values.shape
    scale = values / max(float(values.max()), 1e-12)
    body = [f'<image href="{picture}" x="0" y="0" width="{side}" height="{side}" preserveAspectRatio="none"/>']
    for m, (i, j) in enumerate(np.ndindex(h, w)):
        edge = ' stroke="#fff" stroke-width="2.5"' if m == picked else ""
        say = f' data-pick="{tag}{m + first}" data-hover="{tag}{m + first}"' if pick else ""
        body.append(f'<rect{say} x="{side * j / w:.2f}" y="{side * i / h:.2f}" width="{side / w:.2f}" height="{side / h:.2f}" '
                    f'fill="rgba({HEAT},{0.85 * float(scale[i, j]):.3f})"{edge}><title>{float(values[i, j]):.3g}</title></rect>')
    caption = f"<figcaption><small>{esc(title)}</small></figcaption>" if title else ""
    drawn = svg(side, side, "".join(body), title or "map over the picture")
    return f'<figure style="margin:4px;display:inline-block;vertical-align:top;width:{side}px">{drawn}{caption}</figure>'


def wipe(before: str, after: str, labels: tuple[str, str], side: int = 260) -> str:
    """Two pictures of equal size on one another with a slider; without script, half of each is seen."""
    style = f"position:relative;width:{side}px;--wipe:50%"
    clip = "position:absolute;left:0;top:0;clip-path:inset(0 calc(100% - var(--wipe)) 0 0)"
    return (f'<div class="pl-wipe" style="{style}"><div style="position:relative"><img src="{after}" width="{side}" alt="{esc(labels[1])}" '
            f'style="display:block"/><img src="{before}" width="{side}" alt="{esc(labels[0])}" style="{clip}"/></div>'
            f'<input type="range" min="0" max="100" value="50" aria-label="from {esc(labels[0])} to {esc(labels[1])}" style="width:100%"/>'
            f'<small>left: {esc(labels[0])} · right: {esc(labels[1])}</small></div>')


def table(head: Sequence[str], rows: Sequence[tuple[int, Sequence[str]]], picked: int | None = None, sort: str = "",
          down: bool = True) -> str:
    """A table whose heads (``sort:NAME``) and rows (number, cells) can be clicked."""
    arrow = " ▾" if down else " ▴"
    heads = "".join(f'<th data-pick="sort:{esc(h)}" style="text-align:left">{esc(h)}{arrow if h == sort else ""}</th>' for h in head)
    body = ""
    for i, row in rows:
        mark = ' style="background:rgba(0,114,178,0.14)"' if i == picked else ""
        body += f'<tr data-pick="{i}"{mark}>' + "".join(f"<td>{esc(c)}</td>" for c in row) + "</tr>"
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def thumbnail(picture: np.ndarray, values: np.ndarray, side: int = 260) -> str:
    """A picture [H, W, 3] in 0..1 with a heat map [h, w] blended over it, as one address (both halves of a slider need one)."""
    large = Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    base = np.asarray(large, float)
    heat = Image.fromarray((255 * np.clip(values, 0, 1)).astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST)
    a = 0.8 * np.asarray(heat, float)[..., None] / 255
    mixed = (1 - a) * base + a * np.array([float(c) for c in HEAT.split(",")])
    return uri(mixed.astype(np.uint8))


def svg(width: float, height: float, body: str, label: str) -> str:
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" style="max-width:100%;display:block" '
            f'role="img" aria-label="{esc(label)}">{body}</svg>')
