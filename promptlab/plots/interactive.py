"""An exhibit as a plotly figure. Light and dark, from phone to desktop width, colours that all eyes tell apart."""

import base64
import io

import numpy as np
import plotly.graph_objects as go
from PIL import Image
from plotly.subplots import make_subplots

from promptlab.inspect.exhibit import Exhibit
from promptlab.plots.curves import BASELINE, FONT, PALETTES
from promptlab.plots.panels import COVER, Panel, apart, ends_of, grey, names_are_long, panels, placed, short, slides, written_in
from promptlab.plots.sliders import SLIDER, add_sliders

INK = {False: "#374151", True: "#D1D5DB"}
CAPTION = {False: "#6B7280", True: "#9CA3AF"}
PAGE = {False: "white", True: "#111827"}
HEIGHT = {"heat": 250, "picture": 250, "lines": 300, "bars": 300, "points": 420}
CELL = 190  # px; a map needs as much
NARROW = 520  # px; below it panels stand under one another
Palette = tuple[str, ...]
RAMP, SPLIT = "Cividis", "RdBu"
NAMED = 24  # names on an axis that can still be read


def figure(e: Exhibit, *, width: int | None = None, dark: bool = False) -> go.Figure:
    """The figure of an exhibit; ``width`` in px sets the number of columns (None: as wide as its container, laid out for 900)."""
    shown, moving = panels(e), slides(e)
    w = width or 900
    drawn, total, low = _painted(shown, w, dark)
    under = _surround(drawn, e, shown, low, total, w, dark, SLIDER * len(moving))
    if moving:
        add_sliders(drawn, moving, lambda p: _painted(p, w, dark)[0], under / total, SLIDER / total, INK[dark])
    return drawn.update_layout(width=width)


def _painted(shown: list[Panel], w: int, dark: bool) -> tuple[go.Figure, int, list[Panel]]:
    """The panels on their axes, the height in px that the axes take, and the panels of the lowest row."""
    places, rows, columns = placed(shown, w, CELL, NARROW - 100)
    side = (w - 80) // columns
    heights = [max(_height(p, side * n) for p, (at, _, n) in zip(shown, places) if at == r) for r in range(rows)]
    gap = 80 + max(map(_names_under, shown))
    total = sum(heights) + gap * (rows - 1)
    specs: list[list[dict | None]] = [[None] * columns for _ in range(rows)]
    for row, column, n in places:
        specs[row][column] = {"colspan": n}
    drawn = make_subplots(
        rows, columns, specs=specs, subplot_titles=[_wrap(p.title, max(14, side * n // 7)) for p, (_, _, n) in zip(shown, places)],
        row_heights=[h / sum(heights) for h in heights], vertical_spacing=gap / total if rows > 1 else 0,
        horizontal_spacing=min(0.08, 0.3 / columns),
    )
    for p, (row, column, _) in zip(shown, places):
        _PAINT[p.what](drawn, p, row + 1, column + 1, PALETTES[dark])
    seen: set[str] = set()
    for trace in drawn.data:  # one entry a name, however many panels have it
        if trace.type in ("scatter", "bar") and trace.showlegend is not False and trace.name:
            trace.update(legendgroup=trace.name, showlegend=trace.name not in seen)
            seen.add(trace.name)
    return drawn, total, [p for p, (row, _, _) in zip(shown, places) if row == rows - 1]


def _surround(drawn: go.Figure, e: Exhibit, shown: list[Panel], low: list[Panel], total: int, w: int, dark: bool, sliders: int) -> int:
    """Title, legend, room for sliders and caption, placed in px around axes of ``total`` px so that nothing overlaps at any width;
    the px between the axes and the sliders."""
    caption = _wrap(" · ".join([e.note, *map(str, e.sanity)]), (w - 30) // 6)
    titled, entries = any(p.x_title for p in low), len({s[0] for p in shown for s in p.series}) if _legend(shown) else 0
    under = (64 if titled else 34) + max(map(_names_under, low))  # px between the lowest axis and what stands below it
    beside = 21 * -(-entries * 175 // w) if w > NARROW else 21 * entries
    below = under + beside + sliders + 10 + 15 * (caption.count("<br>") + 1)
    names = [n for p in shown for n in (*p.y_names, *(p.series[0][1] if p.what == "bars" else ()))]
    left = max([60, *(14 + 7 * len(line) for n in names for line in short(str(n)).split("\n"))])
    head = 50 + 20 * (_wrap(e.title, w // 9).count("<br>") + 1)
    drawn.update_layout(
        title={"text": _wrap(e.title, w // 9), "x": 10 / w, "xanchor": "left", "y": 1 - 14 / (total + head + below), "yanchor": "top"},
        title_font_size=15,
        height=total + head + below,
        template="plotly_dark" if dark else "plotly_white",
        font={"family": FONT, "size": 12, "color": INK[dark]},
        margin={"l": left, "r": 20, "t": head, "b": below},
        paper_bgcolor=PAGE[dark],
        plot_bgcolor=PAGE[dark],
        showlegend=entries > 0,
        legend={"orientation": "h" if w > NARROW else "v", "y": -under / total, "yanchor": "top", "x": 0, "tracegroupgap": 0},
        uirevision=e.title,
    )
    drawn.update_annotations(font_size=12)
    foot = {"x": 0, "y": 0, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "top", "showarrow": False, "align": "left"}
    drawn.add_annotation(text=caption, xshift=10 - left, yshift=-(under + beside + sliders), font={"size": 11, "color": CAPTION[dark]},
                         **foot)
    return under + beside


def _legend(shown: list[Panel]) -> bool:
    return any(len(p.series) > 1 for p in shown)


def _names_under(p: Panel) -> int:
    """px that slanted names under a heat map take."""
    return 6 * max(map(len, p.x_names)) if p.what == "heat" and 0 < len(p.x_names) <= NAMED else 0


def _height(p: Panel, side: int) -> int:
    if p.what in ("heat", "picture"):
        return min(HEIGHT[p.what], side)
    if p.what == "bars":
        return max(180, 40 + (34 if names_are_long(p) else 22) * max(len(x) for _, x, _, _ in p.series))
    return HEIGHT[p.what]


def _wrap(text: str, size: int) -> str:
    """Lines of about ``size`` letters; plotly does not break lines by itself."""
    lines: list[str] = [""]
    for word in text.replace("<", "&lt;").split(" "):
        if len(lines[-1]) + len(word) > size and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(lines)


def _heat(figure: go.Figure, p: Panel, row: int, column: int, palette: Palette) -> None:
    square, place = (not p.x_names and not p.y_title) or p.z.shape[0] == p.z.shape[1], {}
    written = {"texttemplate": "%{z:.2g}"} if p.under is None and written_in(p) else {}
    if p.under is not None:  # the cells lie over the picture: no value is invented between patches
        _picture(figure, Panel("picture", z=grey(p.under)), row, column, palette)
        (h, w), (n, m) = p.under.shape[:2], p.z.shape
        place = {"x0": w / m / 2 - 0.5, "dx": w / m, "y0": h / n / 2 - 0.5, "dy": h / n}
    names = {"x": apart(p.x_names) or None, "y": apart(p.y_names) or None} if p.under is None else {}
    figure.add_heatmap(
        z=p.z, **names, **place, **written, zmin=p.low, zmax=p.high, colorscale=SPLIT if p.diverging else RAMP, showscale=False,
        opacity=COVER if p.under is not None else 1, row=row, col=column, hovertemplate="%{x}, %{y}: %{z:.3g}<extra></extra>",
    )
    figure.update_yaxes(autorange="reversed", title_text=p.y_title or None, row=row, col=column, automargin=True)
    figure.update_xaxes(title_text=p.x_title or None, tickangle=-60 if any(len(n) > 3 for n in p.x_names) else 0, row=row, col=column)
    if square:
        axis = figure.get_subplot(row, column).xaxis.plotly_name.replace("axis", "")
        figure.update_yaxes(scaleanchor=axis, showticklabels=bool(p.y_names), constrain="domain", showgrid=False, row=row, col=column)
        figure.update_xaxes(showticklabels=bool(p.x_names), constrain="domain", showgrid=False, row=row, col=column)
    if len(p.x_names) > NAMED:
        figure.update_xaxes(showticklabels=False, row=row, col=column)
    if len(p.y_names) > NAMED:
        figure.update_yaxes(showticklabels=False, row=row, col=column)


def _picture(figure: go.Figure, p: Panel, row: int, column: int, palette: Palette) -> None:
    file = io.BytesIO()
    Image.fromarray((np.clip(p.z, 0, 1) * 255 + 0.5).astype(np.uint8)).save(file, "PNG")
    source = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    figure.add_image(source=source, row=row, col=column, hoverinfo="skip")
    figure.update_xaxes(showticklabels=False, constrain="domain", showgrid=False, row=row, col=column)
    figure.update_yaxes(showticklabels=False, constrain="domain", showgrid=False, row=row, col=column)


def _lines(figure: go.Figure, p: Panel, row: int, column: int, palette: Palette) -> None:
    used = 0
    for name, x, y, how in p.series:
        faint = how.get("faint")
        colour = BASELINE if faint else palette[used % len(palette)]
        used += not faint
        if size := how.get("markers"):
            figure.add_scatter(x=x, y=y, name=name, mode="markers", marker={"color": colour, "size": size}, row=row, col=column)
            continue
        line = {"color": colour, "dash": "dash"} if faint else {"color": colour, "width": 2}
        figure.add_scatter(x=x, y=y, name=name, mode="lines+markers" if len(x) < 25 and not faint else "lines", line=line, row=row,
                           col=column)
    for at, text in p.marks:
        ends = p.y_range or ends_of(p)
        figure.add_scatter(x=[at, at], y=list(ends), mode="lines+text", text=[text, ""], textposition="top right", name=text,
                           line={"color": BASELINE, "dash": "dot"}, textfont={"size": 11}, showlegend=False, row=row, col=column)
    _axes(figure, p, row, column)


def _bars(figure: go.Figure, p: Panel, row: int, column: int, palette: Palette) -> None:
    used = 0
    for name, low, high in p.marks:
        figure.add_scatter(x=[low, high], y=[name, name], mode="lines", line={"color": BASELINE, "width": 8}, opacity=0.6,
                           showlegend=False, hovertemplate="null band %{x:.3g}<extra></extra>", row=row, col=column)
    for name, x, y, how in p.series:
        faint = name in ("zero-shot", "before", "before the step")
        colour = BASELINE if faint else palette[used % len(palette)]
        used += not faint
        if how.get("dot"):
            figure.add_scatter(x=y, y=x, name=name, mode="markers+text", marker={"color": colour, "size": 9}, text=how.get("text"),
                               textposition="top center", textfont={"size": 11}, cliponaxis=False, row=row, col=column)
            continue
        figure.add_bar(x=y, y=x, name=name, orientation="h", marker={"color": colour}, row=row, col=column)
        if how.get("stack"):
            figure.update_layout(barmode="stack")
    names = list(p.series[0][1])
    figure.update_yaxes(autorange="reversed", automargin=True, type="category", row=row, col=column)
    if any("\n" in short(n) for n in names):
        said = [short(n).replace("<", "&lt;").replace("\n", "<br>") for n in names]
        figure.update_yaxes(tickvals=names, ticktext=said, row=row, col=column)
    _axes(figure, p, row, column)


def _points(figure: go.Figure, p: Panel, row: int, column: int, palette: Palette) -> None:
    for name, x, y, how in p.series:
        tuned = palette[0] if how["small"] else palette[1]
        marker = {
            "size": 5 if how["small"] else 10,
            "symbol": "circle" if how["small"] else "diamond",
            "color": BASELINE if how["faint"] else tuned,
        }
        say = not how["small"] and not how["faint"] and len(x) <= NAMED
        figure.add_scatter(
            x=x,
            y=y,
            name=name,
            mode="markers+text" if say else "markers",
            text=how["text"],
            marker=marker,
            opacity=0.6 if how["small"] else 1,
            textposition="top center",
            hovertemplate="%{text}<extra></extra>",
            row=row,
            col=column,
        )
    for x0, y0, x1, y1 in p.marks:
        figure.add_scatter(
            x=[x0, x1],
            y=[y0, y1],
            mode="lines",
            line={"color": palette[1], "width": 1},
            showlegend=False,
            hoverinfo="skip",
            row=row,
            col=column,
        )
    _axes(figure, p, row, column)


def _axes(figure: go.Figure, p: Panel, row: int, column: int) -> None:
    figure.update_xaxes(title_text=p.x_title or None, gridcolor="rgba(138,143,152,0.25)", row=row, col=column)
    figure.update_yaxes(title_text=p.y_title or None, gridcolor="rgba(138,143,152,0.25)", row=row, col=column)
    if p.log:
        figure.update_xaxes(type="log", row=row, col=column)
    if p.x_range:
        figure.update_xaxes(range=list(p.x_range), row=row, col=column)
    if p.y_range:
        figure.update_yaxes(range=list(p.y_range), row=row, col=column)


_PAINT = {"heat": _heat, "picture": _picture, "lines": _lines, "bars": _bars, "points": _points}
