"""Figures whose points and cells answer to clicks and the lasso, for the app: every mark carries what it stands for in ``customdata``."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plotly
import plotly.graph_objects as go

from promptlab.plots.curves import BASELINE, FONT, INK, colour

NAMED = 40  # names on a map or an axis that can still be read
BESIDE = 24  # names under a matrix that shares its row


def plotlyjs() -> Path:
    """The plotly.js that came with the plotly wheel."""
    return Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def safe(figure: go.Figure, names: Sequence[str]) -> dict[str, Any]:
    """The figure as plain data; names that hold markup are shown as text (plotly reads a little HTML in labels)."""
    odd = sorted({n for n in names if "<" in n or "&" in n}, key=len, reverse=True)
    plain = json.loads(figure.to_json())
    return _shown(plain, odd) if odd else plain


def _shown(value: Any, odd: Sequence[str]) -> Any:
    if isinstance(value, str):
        for name in odd:
            value = value.replace(name, name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
        return value
    if isinstance(value, list):
        return [_shown(v, odd) for v in value]
    return {k: _shown(v, odd) for k, v in value.items()} if isinstance(value, dict) else value


def matrix(
    z: Any,
    x: Sequence[str],
    y: Sequence[str],
    *,
    title: str,
    whole: bool = True,
    custom: Any = None,
    named: int = NAMED,
) -> go.Figure:
    """A heat map whose cells carry (row, column), or ``custom`` [rows, columns, k]."""
    z = np.asarray(z)
    cells = np.stack(np.meshgrid(np.arange(z.shape[0]), np.arange(z.shape[1]), indexing="ij"), -1) if custom is None else custom
    figure = go.Figure(
        go.Heatmap(
            z=z,
            x=list(range(z.shape[1])),
            y=list(range(z.shape[0])),
            customdata=np.asarray(cells).tolist(),
            colorscale="Cividis",
            showscale=False,
            xgap=int(max(z.shape) <= 24),
            ygap=int(max(z.shape) <= 24),
            text=[[f"{y[i]} → {x[j]}" for j in range(z.shape[1])] for i in range(z.shape[0])],
            hovertemplate="%{text}: %{z}<extra></extra>" if whole else "%{text}: %{z:.2f}<extra></extra>",
        )
    )
    for axis, names, most in ((figure.update_xaxes, x, named), (figure.update_yaxes, y, NAMED)):
        few = len(names) <= most
        axis(
            tickmode="array",
            tickvals=list(range(len(names))) if few else [],
            ticktext=list(names) if few else [],
            showgrid=False,
            zeroline=False,
        )
    figure.update_xaxes(tickangle=-60)
    figure.update_yaxes(autorange="reversed")
    return dressed(figure, int(min(640, 150 + 13 * max(12, z.shape[0]))), title)


def scatter(exhibit: Any, ids: Sequence[int], title: str, *, before: bool = True, after: bool = True) -> go.Figure:
    """Pictures and class texts of a shift exhibit in one projection; pictures carry their id, so a lasso names them."""
    a, names = exhibit.arrays, list(exhibit.labels["class"])
    owner = [names[t] if t >= 0 else "" for t in a["target"]]
    figure = go.Figure()
    if before and after:
        xs, ys = (sum(([p, q, None] for p, q in zip(a["text_before"][:, i], a["text_after"][:, i], strict=True)), []) for i in (0, 1))
        arrow = {"color": colour(1), "width": 1}
        figure.add_scatter(x=xs, y=ys, mode="lines", line=arrow, hoverinfo="skip", name="moved", showlegend=False)
    for when, said, there in (("before", "zero-shot", before), ("after", "tuned", after)):
        if not there:
            continue
        faint = when == "before" and after
        image, text = a[f"image_{when}"], a[f"text_{when}"]
        moved = not faint or not np.allclose(a["image_before"], a["image_after"])
        if moved:
            figure.add_scatter(
                x=image[:, 0],
                y=image[:, 1],
                mode="markers",
                name=f"pictures, {said}",
                text=owner,
                customdata=list(ids),
                marker={"size": 6, "color": BASELINE if faint else colour(0), "opacity": 0.75},
                hovertemplate="%{text}<extra></extra>",
            )
        figure.add_scatter(
            x=text[:, 0],
            y=text[:, 1],
            mode="markers+text" if not faint and len(names) <= NAMED else "markers",
            text=names,
            name=f"class texts, {said}",
            textposition="top center",
            textfont={"size": 10},
            hovertemplate="%{text}<extra></extra>",
            marker={"size": 9, "symbol": "diamond", "color": BASELINE if faint else colour(1)},
        )
    for axis in (figure.update_xaxes, figure.update_yaxes):
        axis(showticklabels=False, zeroline=False)
    return dressed(figure, 480, title).update_layout(dragmode="lasso")


def seeds(rows: Sequence[Mapping[str, Any]], title: str, reference: float | None = None) -> go.Figure:
    """One bar a method (mean) with a dot a seed. ``rows``: name, mean (0..1), values (0..1), index (colour; None: zero-shot)."""
    figure = go.Figure()
    shade = [BASELINE if r["index"] is None else colour(r["index"]) for r in rows]
    names = [r["name"] for r in rows]
    figure.add_bar(
        y=names,
        x=[100 * r["mean"] for r in rows],
        orientation="h",
        marker={"color": shade, "opacity": 0.55},
        showlegend=False,
        hovertemplate="%{y}: %{x:.1f} %<extra></extra>",
    )
    dots = [(n, 100 * v) for n, r in zip(names, rows, strict=True) for v in r["values"]]
    figure.add_scatter(
        y=[d[0] for d in dots],
        x=[d[1] for d in dots],
        mode="markers",
        marker={"color": INK, "size": 7},
        showlegend=False,
        hovertemplate="%{y}, one seed: %{x:.1f} %<extra></extra>",
    )
    if reference is not None:
        figure.add_vline(x=100 * reference, line={"color": BASELINE, "dash": "dash", "width": 1.5})
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    figure.update_xaxes(range=[0, 102], title_text="accuracy, %")
    return dressed(figure, 110 + 34 * len(rows), title)


def lines(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str,
    x_title: str,
    y_title: str,
    log: bool = False,
    dashed: Sequence[str] = (),
    grey: Sequence[str] = (),
    height: int = 320,
) -> go.Figure:
    """Named lines with a dot a point."""
    figure, own = go.Figure(), [n for n in series if n not in dashed and n not in grey]
    for name, (x, y) in series.items():
        plain = {"color": BASELINE, "width": 2} if name in grey else {"color": colour(own.index(name)) if name in own else "", "width": 2}
        line = {"color": BASELINE, "dash": "dash"} if name in dashed else plain
        figure.add_scatter(x=list(x), y=list(y), name=name, mode="lines" if name in dashed else "lines+markers", line=line)
    figure.update_xaxes(
        title_text=x_title, **({"type": "log", "tickvals": sorted({v for x, _ in series.values() for v in x})} if log else {})
    )
    figure.update_yaxes(title_text=y_title)
    return dressed(figure, height, title)


def dressed(figure: go.Figure, height: int, title: str) -> go.Figure:
    """The look that all of them share; ``uirevision`` keeps zoom and pan while data changes."""
    figure.update_layout(
        height=height,
        title={"text": title, "font": {"size": 14}, "x": 0.01, "xanchor": "left"},
        uirevision=title,
        template="plotly_white",
        font={"family": FONT, "size": 12, "color": INK},
        margin={"l": 10, "r": 12, "t": 44, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "x": 0},
    )
    faint = "rgba(138,143,152,0.25)"
    figure.update_xaxes(gridcolor=faint, zerolinecolor=faint, automargin=True)
    figure.update_yaxes(gridcolor=faint, zerolinecolor=faint, automargin=True)
    return figure
