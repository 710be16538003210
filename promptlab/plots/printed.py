"""An exhibit as a matplotlib figure (for print and files). Never pyplot, whose global figure threads would share."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from promptlab.inspect.exhibit import Exhibit
from promptlab.plots.curves import BASELINE, PALETTE
from promptlab.plots.panels import Panel, is_wide, panels

NAMED = 24
INK = {False: "#374151", True: "#D1D5DB"}
CAPTION = {False: "#6B7280", True: "#9CA3AF"}
PAGE = {False: "white", True: "#111827"}


def figure(e: Exhibit, *, width: float = 9.0, dark: bool = False) -> Figure:
    """``width`` in inches."""
    shown = panels(e)
    wide = any(map(is_wide, shown))
    columns = min(len(shown), max(1, int(width // (4.2 if wide else 1.8))))
    rows = -(-len(shown) // columns)
    side = width / columns
    heights = [max(_height(p, side) for p in shown[r * columns : (r + 1) * columns]) for r in range(rows)]
    drawn = Figure((width, sum(heights) + 1.2), layout="constrained", facecolor=PAGE[dark])
    axes = np.atleast_1d(drawn.subplots(rows, columns, squeeze=False, height_ratios=heights)).ravel()
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    for axis, p in zip(axes, shown):
        _PAINT[p.what](axis, p)
        _dress(axis, p, dark)
    drawn.suptitle(e.title, x=0.01, ha="left", fontsize=11, color=INK[dark])
    drawn.supxlabel(" · ".join([e.note, *map(str, e.sanity)]), x=0.01, ha="left", fontsize=7, color=CAPTION[dark], wrap=True)
    return drawn


def _height(p: Panel, side: float) -> float:
    if p.what in ("heat", "picture"):
        return min(side, 3.5)
    if p.what == "bars" and not p.series[0][3].get("upright"):
        return max(2.2, 0.5 + 0.22 * max(len(x) for _, x, _, _ in p.series))
    return 4.0 if p.what == "points" else 2.8


def _heat(axis: Axes, p: Panel) -> None:
    extent = None
    if p.under is not None:
        h, w = p.under.shape[:2]
        extent = (0, w, h, 0)
        axis.imshow(np.clip(p.under, 0, 1), extent=extent)
    axis.imshow(
        p.z,
        vmin=p.low,
        vmax=p.high,
        cmap="RdBu" if p.diverging else "cividis",
        alpha=0.65 if extent else 1,
        extent=extent,
        interpolation="nearest",
        aspect="equal" if not p.x_names or p.y_names else "auto",
    )
    axis.set_xticks(
        range(len(p.x_names)) if 0 < len(p.x_names) <= NAMED else [],
        p.x_names if 0 < len(p.x_names) <= NAMED else [],
        rotation=60,
        ha="right",
    )
    axis.set_yticks(range(len(p.y_names)) if 0 < len(p.y_names) <= NAMED else [], p.y_names if 0 < len(p.y_names) <= NAMED else [])


def _picture(axis: Axes, p: Panel) -> None:
    axis.imshow(np.clip(p.z, 0, 1))
    axis.set_axis_off()


def _lines(axis: Axes, p: Panel) -> None:
    for i, (name, x, y, how) in enumerate(p.series):
        style = {"color": BASELINE, "linestyle": "--"} if how.get("faint") else {"color": PALETTE[i % len(PALETTE)]}
        axis.plot(x, y, label=name, marker="o" if len(x) < 25 and not how.get("faint") else None, markersize=3, **style)


def _bars(axis: Axes, p: Panel) -> None:
    up, stacked = p.series[0][3].get("upright"), p.series[0][3].get("stack")
    names = list(p.series[0][1])
    base, size = np.zeros(len(names)), 0.8 if stacked or up else 0.8 / len(p.series)
    for i, (name, x, y, how) in enumerate(p.series):
        colour = BASELINE if name in ("zero-shot", "before the step", "left out") else PALETTE[i % len(PALETTE)]
        if up:
            axis.bar(x, y, size, label=name, color=colour)
            continue
        if how.get("dot"):
            axis.plot(y, np.arange(len(x)), "o", label=name, color=colour, markersize=5, zorder=3)
            continue
        at = np.arange(len(x)) + (0 if stacked else (i - (len(p.series) - 1) / 2) * size)
        axis.barh(at, y, size, left=base if stacked else None, label=name, color=colour)
        base = base + y if stacked else base
    if not up:
        axis.set_yticks(range(len(names)), names)
        axis.invert_yaxis()
        for i, (_, low, high) in enumerate(p.marks):
            axis.plot([low, high], [i, i], color=BASELINE, linewidth=5, alpha=0.6, solid_capstyle="butt")


def _points(axis: Axes, p: Panel) -> None:
    for name, x, y, how in p.series:
        tuned = PALETTE[0] if how["small"] else PALETTE[1]
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
        axis.plot([x0, x1], [y0, y1], color=PALETTE[1], linewidth=0.8)


def _dress(axis: Axes, p: Panel, dark: bool) -> None:
    axis.set_title(p.title, fontsize=9, color=INK[dark])
    axis.set_xlabel(p.x_title, fontsize=8, color=INK[dark])
    axis.set_ylabel(p.y_title, fontsize=8, color=INK[dark])
    axis.tick_params(labelsize=7, colors=INK[dark])
    axis.set_facecolor(PAGE[dark])
    for spine in axis.spines.values():
        spine.set_color(BASELINE)
    for text in axis.texts:
        text.set_color(INK[dark])
    if len(p.series) > 1:
        axis.legend(fontsize=7, frameon=False, labelcolor=INK[dark])


_PAINT = {"heat": _heat, "picture": _picture, "lines": _lines, "bars": _bars, "points": _points}
