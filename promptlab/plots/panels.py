"""Any exhibit as a list of panels: what both libraries draw. Numbers in, nothing drawn here.

The makers stand in ``promptlab.plots.kinds``, one file a family of kinds; a file there with ``PANELS`` {kind: exhibit → panels} (and
``SLIDES`` {kind: exhibit → slides}, where a slider makes sense) is found by itself. A kind without a maker has the plain plot.
"""

import pkgutil
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import import_module

import numpy as np

from promptlab.inspect.exhibit import Exhibit

WIDE = 8  # names on the horizontal axis
MOST_BARS = 20  # bars under one another
COVER = 0.72  # how much of a picture the map over it hides
WRITTEN = (8, 4)  # rows and columns of a matrix whose numbers stand in its cells
LETTERS, ALONE = 26, 20  # letters of a line of a name on an axis; with more than so many the panel has its row for itself
MOST = 6  # panels of one row of maps; more would not be readable at 400 px


@dataclass(frozen=True)
class Panel:
    """One pair of axes. ``what``: "heat" (z [h, w], optional ``under`` [H, W, 3]), "picture" (z [H, W, 3]), "lines", "bars" or "points".

    ``series``: (name, x, y, extras) of lines, bars and points; ``low``/``high``: colour range, shared where two panels compare;
    ``diverging``: zero is the middle of the colours; ``log``: the horizontal axis; ``x_range``/``y_range``: fixed ends of the axes.
    """

    what: str
    title: str = ""
    z: np.ndarray | None = None
    under: np.ndarray | None = None
    series: tuple = ()
    x_names: tuple[str, ...] = ()
    y_names: tuple[str, ...] = ()
    x_title: str = ""
    y_title: str = ""
    low: float | None = None
    high: float | None = None
    diverging: bool = False
    marks: tuple = field(default=())
    log: bool = False
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Slides:
    """A slider: the panels of the figure at each of its places."""

    title: str
    labels: tuple[str, ...]
    frames: tuple[list[Panel], ...]
    start: int = 0


Maker = Callable[[Exhibit], list[Panel]]


@lru_cache(maxsize=1)
def makers() -> tuple[dict[str, Maker], dict[str, Callable[[Exhibit], list[Slides]]]]:
    """The makers of panels and of slides that the files in ``kinds`` declare."""
    package = import_module("promptlab.plots.kinds")
    panels_of: dict[str, Maker] = {}
    slides_of: dict[str, Callable[[Exhibit], list[Slides]]] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = import_module(f"{package.__name__}.{info.name}")
        panels_of |= getattr(module, "PANELS", {})
        slides_of |= getattr(module, "SLIDES", {})
    return panels_of, slides_of


def panels(e: Exhibit) -> list[Panel]:
    """The panels of an exhibit, left to right."""
    return makers()[0].get(e.kind, plain)(e)


def slides(e: Exhibit) -> list[Slides]:
    """The sliders of an exhibit; each place has as many panels as the figure."""
    return makers()[1].get(e.kind, lambda _: [])(e)


def is_wide(p: Panel) -> bool:
    """Whether a panel needs half a page or more."""
    return p.what in ("points", "bars", "lines") or len(p.x_names) > WIDE


def ends_of(p: Panel) -> tuple[float, float]:
    """Least and largest height of a panel's lines."""
    every = np.concatenate([np.asarray(s[2], float) for s in p.series])
    return (float(np.nanmin(every)), float(np.nanmax(every))) if every.size else (0.0, 1.0)


def placed(shown: Sequence[Panel], width: float, cell: float, wide: float) -> tuple[list[tuple[int, int, int]], int, int]:
    """(row, first column, columns) of each panel, and the numbers of rows and columns: small panels of about ``cell`` beside each
    other, wide ones of at least ``wide``, in reading order, in ``width``."""
    beside = max(1, int(width // wide))
    span = max(1, int(width / beside // cell))
    spans = [span if is_wide(p) else 1 for p in shown]
    columns = min(sum(spans), beside * span)
    places, row, at = [], 0, 0
    for n in (columns if names_are_long(p) else min(s, columns) for p, s in zip(shown, spans)):
        if at + n > columns:
            row, at = row + 1, 0
        places.append((row, at, n))
        at += n
    for i, (r, first, n) in enumerate(places):  # the last wide panel of a row takes the room that is left
        if is_wide(shown[i]) and (i + 1 == len(places) or places[i + 1][0] > r):
            places[i] = (r, first, min(columns - first, 2 * n))
    return places, row + 1, columns


def written_in(p: Panel) -> bool:
    """Whether the cells of a heat map are large enough for their numbers."""
    return bool(p.x_names) and p.z.shape[0] <= WRITTEN[0] and p.z.shape[1] <= WRITTEN[1]


def apart(names: Sequence[str]) -> list[str]:
    """Names that differ, by invisible letters where one comes twice: an axis draws equal names at one place."""
    seen: dict[str, int] = {}
    out = []
    for n in names:
        seen[n] = seen.get(n, 0) + 1
        out.append(n + chr(0x200B) * (seen[n] - 1))
    return out


def names_are_long(p: Panel) -> bool:
    """Bars whose names would reach into a panel at their left."""
    return p.what == "bars" and any(len(line) > ALONE for s in p.series for n in s[1] for line in short(str(n)).split("\n"))


def grey(picture: np.ndarray) -> np.ndarray:
    """A picture [H, W, 3] without colour, so that colour belongs to the map over it alone."""
    light = 0.25 + 0.75 * (np.clip(picture, 0, 1) @ np.array([0.299, 0.587, 0.114]))
    return np.repeat(light[..., None], 3, -1)


def shared(*arrays: np.ndarray) -> dict[str, float]:
    """One colour range for several maps."""
    return {"low": float(min(np.nanmin(a) for a in arrays)), "high": float(max(np.nanmax(a) for a in arrays))}


def colours(z: np.ndarray) -> dict[str, float | bool]:
    """The colour range of one array: even around zero where it has both signs."""
    if not z.size or np.isnan(z).all():
        return {"low": 0.0, "high": 1.0}
    if np.nanmin(z) >= 0:
        return dict(shared(z))
    bound = float(np.nanmax(np.abs(z))) or 1.0
    return {"low": -bound, "high": bound, "diverging": True}


def largest(z: np.ndarray) -> np.ndarray:
    """Indices of the values of [n] that are largest in size, at most MOST_BARS, without those that are not a number."""
    order = np.argsort(-np.abs(np.nan_to_num(z)), kind="stable")
    return order[~np.isnan(z[order])][:MOST_BARS]


def counted(title: str, order: np.ndarray, z: np.ndarray) -> str:
    """The title, saying so where not all are shown."""
    n = int((~np.isnan(z)).sum())
    return title if len(order) == n else f"{title} ({len(order)} largest of {n})"


def distinct(names: Sequence[str]) -> np.ndarray:
    """Names with their number in front where one comes twice (bars of one name would lie on each other)."""
    twice = len(set(names)) < len(names)
    return np.array([f"{i + 1}. {n}" if twice else n for i, n in enumerate(names)])


def one_bar_each(title: str, z: np.ndarray, names: Sequence[str]) -> Panel:
    """Bars of [n], the largest where there are too many."""
    order = np.sort(largest(z))
    at = distinct(names)[order] if len(names) == len(z) else np.array([str(i + 1) for i in order])
    return Panel("bars", counted(title, order, z), series=((title, at, z[order], {}),))


def pair_of_bars(e: Exhibit, names: Sequence[str]) -> list[Panel]:
    """ "before" and "after" [n] of an exhibit side by side, where it has both."""
    both = [e.arrays.get(k) for k in ("before", "after")]
    if any(z is None or z.ndim != 1 for z in both) or len(both[0]) != len(both[1]):
        return []
    change = both[1] - both[0]
    order = np.sort(largest(change)) if len(change) > MOST_BARS else np.arange(len(change))
    at = distinct(names)[order] if len(names) == len(change) else np.array([str(i + 1) for i in order])
    pair = tuple((said, at, z[order], {}) for z, said in zip(both, ("before", "after")))
    return [Panel("bars", counted("before and after", order, change) if len(order) < len(change) else "before and after", series=pair)]


def short(name: str) -> str:
    """A name of an axis on at most two lines."""
    lines = textwrap.wrap(name, LETTERS)
    return "\n".join(lines if len(lines) < 3 else [lines[0], lines[1][: LETTERS - 1] + "…"]) or name


def one_matrix(title: str, z: np.ndarray, rows: Sequence[str] = (), columns: Sequence[str] = ()) -> Panel:
    """A heat map of [n, m] with names where they fit."""
    return Panel("heat", title, z, x_names=tuple(columns) if len(columns) == z.shape[1] else (),
                 y_names=tuple(rows) if len(rows) == z.shape[0] else (), **colours(z))


def plain(e: Exhibit) -> list[Panel]:
    """A panel for each array, by its shape and the labels whose lengths fit."""
    fits = {len(v): v for v in reversed(list(e.labels.values()))}
    out = pair_of_bars(e, fits.get(len(e.arrays.get("before", ())), ()))
    paired = ("before", "after") if out else ()
    for name, z in ((k, v) for k, v in e.arrays.items() if k not in paired):
        if z.ndim == 3 and z.shape[-1] == 3:
            out.append(Panel("picture", name, z))
        elif z.ndim == 1 and len(z):
            own = e.labels.get(name, fits.get(len(z), ()))
            if not own and len(z) > MOST_BARS:
                out.append(Panel("lines", name, series=((name, np.arange(1, len(z) + 1), z, {}),)))
            else:
                out.append(one_bar_each(name, z, own))
        elif z.ndim == 2 and z.size:
            out.append(one_matrix(name, z, fits.get(z.shape[0], ()), fits.get(z.shape[1], ())))
        elif z.ndim == 3 and z.size:
            scale, names = colours(z), e.labels.get(name, ())
            said = names if len(names) == len(z) else [str(i + 1) for i in range(len(z))]
            out += [replace(one_matrix(f"{name} {n}", part), **scale) for n, part in zip(said[:MOST], z)]
    return out or [Panel("lines", "nothing to show", series=(("", np.zeros(0), np.zeros(0), {}),))]
