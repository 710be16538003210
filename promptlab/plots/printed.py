"""An exhibit as a matplotlib figure (for print and files). Never pyplot, whose global figure threads would share."""

import textwrap
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from promptlab.inspect.exhibit import Exhibit
from promptlab.plots.curves import BASELINE, PALETTES
from promptlab.plots.panels import COVER, Panel, grey, panels, placed, short, slides, written_in

NAMED = 24
SHEET = 4  # frames of a replay on paper
INK = {False: "#374151", True: "#D1D5DB"}
CAPTION = {False: "#6B7280", True: "#9CA3AF"}
PAGE = {False: "white", True: "#111827"}


def figure(e: Exhibit, *, width: float = 9.0, dark: bool = False) -> Figure:
    """``width`` in inches. A replay is a sheet of small multiples: one row (or one picture) for each of a few of its frames."""
    shown = panels(e) if e.kind != "replay" else _sheet(e)
    places, rows, columns = placed(shown, width, 1.75, 3.8)
    side = width / columns
    heights = [max(_height(p, side * n) for p, (at, _, n) in zip(shown, places) if at == r) for r in range(rows)]
    caption = textwrap.wrap(" · ".join([e.note, *map(str, e.sanity)]), int(width * 18))
    drawn = Figure((width, sum(heights) + 0.7 + 0.13 * len(caption)), layout="constrained", facecolor=PAGE[dark])
    grid = drawn.add_gridspec(rows, columns, height_ratios=heights)
    for p, (row, column, n) in zip(shown, places):
        axis = drawn.add_subplot(grid[row, column : column + n])
        _PAINT[p.what](axis, p, PALETTES[dark])
        _dress(axis, p, dark, side * n)
    drawn.suptitle("\n".join(textwrap.wrap(e.title, int(width * 11))), x=0.01, ha="left", fontsize=11, color=INK[dark])
    drawn.supxlabel("\n".join(caption), x=0.01, ha="left", fontsize=7, color=CAPTION[dark])
    return drawn


def _sheet(e: Exhibit) -> list[Panel]:
    """The panels of a few frames, evenly apart, each named after its frame; pictures stand there once."""
    moving = slides(e)[0]
    chosen = sorted(set(np.linspace(0, len(moving.frames) - 1, min(SHEET, len(moving.frames))).round().astype(int).tolist()))
    out = []
    for i in chosen:
        kept = [p for p in moving.frames[i] if p.what != "picture" or i == chosen[0]]
        out += [p if p.what == "picture" else replace(p, title=f"{moving.labels[i]}: {p.title}") for p in kept]
    return out


def _height(p: Panel, side: float) -> float:
    if p.what in ("heat", "picture"):
        return min(side, 3.5)
    if p.what == "bars":
        return max(2.2, 0.6 + (0.3 if p.marks or _long(p) else 0.22) * max(len(x) for _, x, _, _ in p.series))
    return 4.0 if p.what == "points" else 2.8


def _long(p: Panel) -> bool:
    return any("\n" in short(n) for _, x, _, _ in p.series for n in x)


def _heat(axis: Axes, p: Panel, palette: tuple[str, ...]) -> None:
    extent = None
    if p.under is not None:
        h, w = p.under.shape[:2]
        extent = (0, w, h, 0)
        axis.imshow(grey(p.under), extent=extent)
    axis.imshow(
        p.z,
        vmin=p.low,
        vmax=p.high,
        cmap="RdBu" if p.diverging else "cividis",
        alpha=COVER if extent else 1,
        extent=extent,
        interpolation="nearest",
        aspect="equal" if p.z.shape[0] == p.z.shape[1] or not p.x_names else "auto",
    )
    if extent is None and written_in(p):
        middle = (p.low + p.high) / 2 if p.low is not None else 0.0
        for i, j in zip(*np.nonzero(~np.isnan(p.z))):
            light = abs(p.z[i, j]) < p.high / 2 if p.diverging else p.z[i, j] > middle
            axis.text(j, i, f"{p.z[i, j]:.2g}", ha="center", va="center", fontsize=7, color="black" if light else "white", gid="cell")
    axis.set_xticks(
        range(len(p.x_names)) if 0 < len(p.x_names) <= NAMED else [],
        p.x_names if 0 < len(p.x_names) <= NAMED else [],
        rotation=60,
        ha="right",
    )
    axis.set_yticks(range(len(p.y_names)) if 0 < len(p.y_names) <= NAMED else [], p.y_names if 0 < len(p.y_names) <= NAMED else [])


def _picture(axis: Axes, p: Panel, palette: tuple[str, ...]) -> None:
    axis.imshow(np.clip(p.z, 0, 1))
    axis.set_axis_off()


def _lines(axis: Axes, p: Panel, palette: tuple[str, ...]) -> None:
    used = 0
    for name, x, y, how in p.series:
        faint = how.get("faint")
        colour = BASELINE if faint else palette[used % len(palette)]
        used += not faint
        if size := how.get("markers"):
            axis.plot(x, y, "o", label=name, color=colour, markersize=size / 2, zorder=2 if faint else 3)
            continue
        axis.plot(x, y, label=name, color=colour, linestyle="--" if faint else "-", marker="o" if len(x) < 25 and not faint else None,
                  markersize=3)
    for at, text in p.marks:
        axis.axvline(at, color=BASELINE, linestyle=":")
        axis.annotate(text, (at, 1), xycoords=("data", "axes fraction"), xytext=(3, -9), textcoords="offset points", fontsize=7)


def _bars(axis: Axes, p: Panel, palette: tuple[str, ...]) -> None:
    stacked, used = p.series[0][3].get("stack"), 0
    names = list(p.series[0][1])
    base, size = np.zeros(len(names)), 0.8 if stacked else 0.8 / len(p.series)
    for i, (name, x, y, how) in enumerate(p.series):
        faint = name in ("zero-shot", "before", "before the step")
        colour = BASELINE if faint else palette[used % len(palette)]
        used += not faint
        if how.get("dot"):
            axis.plot(y, np.arange(len(x)), "o", label=name, color=colour, markersize=5, zorder=3)
            for j, text in enumerate(how.get("text", ())):
                axis.annotate(_printable(text), (y[j], j), xytext=(0, 5), textcoords="offset points", ha="center", fontsize=7)
            continue
        at = np.arange(len(x)) + (0 if stacked else (i - (len(p.series) - 1) / 2) * size)
        axis.barh(at, y, size, left=base if stacked else None, label=name, color=colour)
        base = base + y if stacked else base
    axis.set_yticks(range(len(names)), [_printable(short(n)) for n in names])
    axis.set_ylim(len(names) - 0.4, -0.7)
    for i, (_, low, high) in enumerate(p.marks):
        axis.plot([low, high], [i, i], color=BASELINE, linewidth=5, alpha=0.6, solid_capstyle="butt")


def _printable(text: str) -> str:
    """Letters that the font has; others as a square would warn and say nothing."""
    return "".join(c if ord(c) < 0x0500 else "?" for c in text).replace("$", r"\$")


def _points(axis: Axes, p: Panel, palette: tuple[str, ...]) -> None:
    for name, x, y, how in p.series:
        tuned = palette[0] if how["small"] else palette[1]
        axis.scatter(
            x,
            y,
            8 if how["small"] else 40,
            label=name,
            marker="o" if how["small"] else "D",
            color=BASELINE if how["faint"] else tuned,
            alpha=0.6 if how["small"] else 1,
        )
        if not how["small"] and not how["faint"] and len(x) <= NAMED:
            for a, b, text in zip(x, y, how["text"]):
                axis.annotate(text, (a, b), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=7)
    for x0, y0, x1, y1 in p.marks:
        axis.plot([x0, x1], [y0, y1], color=palette[1], linewidth=0.8)


def _dress(axis: Axes, p: Panel, dark: bool, side: float) -> None:
    axis.set_title("\n".join(textwrap.wrap(p.title, max(14, int(side * 13)))), fontsize=9, color=INK[dark])
    if p.log:
        axis.set_xscale("log")
    if p.x_range:
        axis.set_xlim(*p.x_range)
    if p.y_range:
        axis.set_ylim(*p.y_range)
    axis.set_xlabel(p.x_title, fontsize=8, color=INK[dark])
    axis.set_ylabel(p.y_title, fontsize=8, color=INK[dark])
    axis.tick_params(labelsize=7, colors=INK[dark])
    axis.set_facecolor(PAGE[dark])
    for spine in axis.spines.values():
        spine.set_color(BASELINE)
    for text in (t for t in axis.texts if t.get_gid() != "cell"):
        text.set_color(INK[dark])
    if len(p.series) > 1:
        axis.legend(fontsize=7, frameon=False, labelcolor=INK[dark])


_PAINT = {"heat": _heat, "picture": _picture, "lines": _lines, "bars": _bars, "points": _points}
