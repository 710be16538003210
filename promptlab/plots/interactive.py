"""An exhibit as a plotly figure. Light and dark, from phone to desktop width, colours that all eyes tell apart."""

import html

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

from promptlab.inspect.exhibit import Exhibit
from promptlab.plots.curves import BASELINE, FONT, PALETTE
from promptlab.plots.panels import Panel, is_wide, panels

INK = {False: "#374151", True: "#D1D5DB"}
CAPTION = {False: "#6B7280", True: "#9CA3AF"}
PAGE = {False: "white", True: "#111827"}
HEIGHT = {"heat": 250, "picture": 250, "lines": 300, "bars": 300, "points": 420}
NARROW = 520  # px; below it panels stand under one another
RAMP, SPLIT = "Cividis", "RdBu"
NAMED = 24  # names on an axis that can still be read


def figure(e: Exhibit, *, width: int | None = None, dark: bool = False) -> go.Figure:
    """The figure of an exhibit; ``width`` in px sets the number of columns (None: as wide as its container, laid out for 900)."""
    shown = panels(e)
    w = width or 900
    wide = any(map(is_wide, shown))
    columns = min(len(shown), max(1, w // (190 if not wide else NARROW - 100)))
    rows = -(-len(shown) // columns)
    side = (w - 80) // columns
    heights = [max(_height(p, side) for p in shown[r * columns : (r + 1) * columns]) for r in range(rows)]
    total = sum(heights) + 60 * rows
    drawn = make_subplots(
        rows, columns, subplot_titles=[p.title for p in shown], row_heights=[h / sum(heights) for h in heights],
        vertical_spacing=min(0.9 / max(1, rows - 1), 80 / total) if rows > 1 else 0,
        horizontal_spacing=min(0.12, 0.5 / columns),
    )
    for i, p in enumerate(shown):
        _PAINT[p.what](drawn, p, i // columns + 1, i % columns + 1)
    _surround(drawn, e, shown, columns, total, w, dark)
    return drawn.update_layout(width=width)


def _surround(drawn: go.Figure, e: Exhibit, shown: list[Panel], columns: int, total: int, w: int, dark: bool) -> None:
    """Title, legend and caption, placed in px around axes of ``total`` px so that nothing overlaps at any width."""
    caption = _wrap(" · ".join([e.note, *map(str, e.sanity)]), (w - 30) // 6)
    titled, entries = any(p.x_title for p in shown[-columns:]), sum(len(p.series) for p in shown) if _legend(shown) else 0
    under = 64 if titled else 34  # px between the lowest axis and what stands below it
    beside = 21 * -(-entries * 175 // w) if w > NARROW else 21 * entries
    below = under + beside + 10 + 15 * (caption.count("<br>") + 1)
    names = [n for p in shown[::columns] for n in (*p.y_names, *(p.series[0][1] if p.what == "bars" and not _upright(p) else ()))]
    left = max([60, *(14 + 7 * len(str(n)) for n in names)])
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
        legend={"orientation": "h" if w > NARROW else "v", "y": -under / total, "yanchor": "top", "x": 0},
        uirevision=e.title,
    )
    drawn.update_annotations(font_size=12)
    foot = {"x": 0, "y": 0, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "top", "showarrow": False, "align": "left"}
    drawn.add_annotation(text=caption, xshift=10 - left, yshift=-(under + beside), font={"size": 11, "color": CAPTION[dark]}, **foot)


def page(e: Exhibit, dark: bool) -> str:
    """A whole HTML page with plotly.js inside: one column on a phone, side by side on a desktop, chosen again when the window changes."""
    narrow, wide = (figure(e, width=w, dark=dark).update_layout(width=None) for w in (400, 1000))
    ground = PAGE[dark]
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{html.escape(e.title)}</title><style>body{{margin:0 auto;max-width:1200px;padding:8px;background:{ground}}}</style>
<script>{get_plotlyjs()}</script></head><body><div id="figure"></div><script>
const figures = [{_json(narrow)}, {_json(wide)}];
let shown = -1;
function show() {{
  const i = window.innerWidth < {NARROW + 120} ? 0 : 1;
  if (i !== shown) Plotly.newPlot("figure", figures[i].data, figures[i].layout, {{responsive: true, displaylogo: false}});
  shown = i;
}}
window.addEventListener("resize", show); show();
</script></body></html>"""


def _json(drawn: go.Figure) -> str:
    return drawn.to_json().replace("</", "<\\/")


def _legend(shown: list[Panel]) -> bool:
    return any(len(p.series) > 1 for p in shown)


def _height(p: Panel, side: int) -> int:
    if p.what in ("heat", "picture"):
        return min(HEIGHT[p.what], side)
    if p.what == "bars":
        return max(180, 40 + 22 * max(len(x) for _, x, _, _ in p.series)) if not _upright(p) else 260
    return HEIGHT[p.what]


def _upright(p: Panel) -> bool:
    return bool(p.series[0][3].get("upright"))


def _wrap(text: str, size: int) -> str:
    """Lines of about ``size`` letters; plotly does not break lines by itself."""
    lines: list[str] = [""]
    for word in text.replace("<", "&lt;").split(" "):
        if len(lines[-1]) + len(word) > size and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(lines)


def _heat(figure: go.Figure, p: Panel, row: int, column: int) -> None:
    z, square = p.z, not p.x_names and not p.y_title
    if p.under is not None:
        _picture(figure, Panel("picture", z=p.under), row, column)
        z = _upsample(p.z, p.under.shape[:2])
    names = {"x": list(p.x_names) or None, "y": list(p.y_names) or None}
    figure.add_heatmap(
        z=z,
        **names,
        zmin=p.low,
        zmax=p.high,
        colorscale=SPLIT if p.diverging else RAMP,
        showscale=False,
        opacity=0.65 if p.under is not None else 1,
        row=row,
        col=column,
        hovertemplate="%{x}, %{y}: %{z:.3g}<extra></extra>",
    )
    figure.update_yaxes(autorange="reversed", title_text=p.y_title or None, row=row, col=column, automargin=True)
    if square and not p.y_names:
        axis = figure.get_subplot(row, column).xaxis.plotly_name.replace("axis", "")
        figure.update_yaxes(scaleanchor=axis, showticklabels=False, constrain="domain", showgrid=False, row=row, col=column)
        figure.update_xaxes(showticklabels=False, constrain="domain", showgrid=False, row=row, col=column)
    if len(p.x_names) > NAMED:
        figure.update_xaxes(showticklabels=False, row=row, col=column)
        figure.update_yaxes(showticklabels=False, row=row, col=column)


def _upsample(z: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[h, w] → [H, W] by repeating cells, so that no value is invented between patches."""
    r = np.minimum(np.arange(size[0]) * z.shape[0] // size[0], z.shape[0] - 1)
    c = np.minimum(np.arange(size[1]) * z.shape[1] // size[1], z.shape[1] - 1)
    return z[r][:, c]


def _picture(figure: go.Figure, p: Panel, row: int, column: int) -> None:
    figure.add_image(z=(np.clip(p.z, 0, 1) * 255).astype(np.uint8), row=row, col=column, hoverinfo="skip")
    figure.update_xaxes(showticklabels=False, constrain="domain", showgrid=False, row=row, col=column)
    figure.update_yaxes(showticklabels=False, constrain="domain", showgrid=False, row=row, col=column)


def _lines(figure: go.Figure, p: Panel, row: int, column: int) -> None:
    for i, (name, x, y, how) in enumerate(p.series):
        line = {"color": BASELINE, "dash": "dash"} if how.get("faint") else {"color": PALETTE[i % len(PALETTE)], "width": 2}
        figure.add_scatter(x=x, y=y, name=name, mode="lines+markers" if len(x) < 25 else "lines", line=line, row=row, col=column)
    _axes(figure, p, row, column)


def _bars(figure: go.Figure, p: Panel, row: int, column: int) -> None:
    up = _upright(p)
    for i, (name, x, y, how) in enumerate(p.series):
        colour = BASELINE if name in ("zero-shot", "before the step", "left out") else PALETTE[i % len(PALETTE)]
        at = {"x": x, "y": y} if up else {"x": y, "y": x}
        if how.get("dot"):
            figure.add_scatter(**at, name=name, mode="markers", marker={"color": colour, "size": 9}, row=row, col=column)
            continue
        figure.add_bar(**at, name=name, orientation="v" if up else "h", marker={"color": colour}, row=row, col=column)
        if how.get("stack"):
            figure.update_layout(barmode="stack")
    for name, low, high in p.marks:
        figure.add_scatter(
            x=[low, high],
            y=[name, name],
            mode="lines",
            line={"color": BASELINE, "width": 8},
            opacity=0.6,
            showlegend=False,
            hovertemplate="null band %{x:.3g}<extra></extra>",
            row=row,
            col=column,
        )
    if not up:
        figure.update_yaxes(autorange="reversed", automargin=True, row=row, col=column)
    _axes(figure, p, row, column)


def _points(figure: go.Figure, p: Panel, row: int, column: int) -> None:
    for name, x, y, how in p.series:
        tuned = PALETTE[0] if how["small"] else PALETTE[1]
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
            line={"color": PALETTE[1], "width": 1},
            showlegend=False,
            hoverinfo="skip",
            row=row,
            col=column,
        )
    _axes(figure, p, row, column)


def _axes(figure: go.Figure, p: Panel, row: int, column: int) -> None:
    figure.update_xaxes(title_text=p.x_title or None, gridcolor="rgba(138,143,152,0.25)", row=row, col=column)
    figure.update_yaxes(title_text=p.y_title or None, gridcolor="rgba(138,143,152,0.25)", row=row, col=column)


_PAINT = {"heat": _heat, "picture": _picture, "lines": _lines, "bars": _bars, "points": _points}
