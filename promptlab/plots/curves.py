"""Live curves and score bars as plotly figures, from plain numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import plotly.graph_objects as go
from plotly.subplots import make_subplots

# Okabe and Ito's palette: told apart by people with any of the common colour-vision deficiencies.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F", "#000000")
DARK = ("#56B4E9", "#E69F00", "#2FBF94", "#E39CC5", "#F0E442", "#D55E00", "#0072B2", "#FFFFFF")  # the same family on a dark page
PALETTES = {False: PALETTE, True: DARK}
BASELINE = "#8A8F98"
INK = "#6B7280"  # readable on a light and on a dark page
FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif"
FEW = 8  # points of a curve that are marked
MAX_POINTS = 400


@dataclass
class Curve:
    """One run's numbers so far: loss by step, validation accuracy (0..1) by step."""

    name: str
    steps: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    val_steps: list[int] = field(default_factory=list)
    val: list[float] = field(default_factory=list)


def colour(index: int) -> str:
    """The colour of the index-th run."""
    return PALETTE[index % len(PALETTE)]


def curves(
    runs: Sequence[Curve], *, baseline: float | None = None, metric: str = "accuracy on held-out shots (%)", stacked: bool = False
) -> go.Figure:
    """Loss on the left, validation accuracy on the right (``stacked``: below it), one colour a run; ``baseline``: zero-shot accuracy as
    a dashed line."""
    rows, at = (2, {"row": 2, "col": 1}) if stacked else (1, {"row": 1, "col": 2})
    figure = make_subplots(rows=rows, cols=3 - rows, subplot_titles=("training loss", metric), horizontal_spacing=0.1, vertical_spacing=0.3)
    for i, run in enumerate(runs):
        x, y = thin(run.steps, run.loss)
        style = {"name": run.name, "legendgroup": f"{i}", "line": {"color": colour(i), "width": 2}}
        shown = "lines" if len(x) > FEW else "lines+markers"  # a line through one point is invisible
        figure.add_scatter(x=x, y=y, mode=shown, row=1, col=1, **style)
        figure.add_scatter(x=run.val_steps, y=[100 * v for v in run.val], mode="lines+markers", showlegend=False, **at, **style)
    if baseline is not None:
        figure.add_hline(y=100 * baseline, line={"color": BASELINE, "dash": "dash", "width": 1.5}, **at,
                         annotation_position="bottom right",
                         annotation={"text": f"zero-shot {100 * baseline:.0f}", "font": {"color": BASELINE, "size": 11}})
    figure.update_xaxes(title_text="step", rangemode="tozero")
    figure.update_yaxes(rangemode="tozero", row=1, col=1)
    figure.update_yaxes(range=[0, 102], **at)
    return _dress(figure, height=480 if stacked else 300, key="curves")


def bars(names: Sequence[str], scores: Mapping[str, Sequence[float]], *, top: int = 5) -> go.Figure:
    """Probabilities (0..1) of the ``top`` classes by the last method named, every method beside them; ``names``: class names."""
    last = list(scores.values())[-1]
    order = sorted(range(len(names)), key=lambda i: -last[i])[:top]
    figure = go.Figure()
    for i, (method, values) in enumerate(scores.items()):
        shown = [100 * values[j] for j in order]
        figure.add_bar(y=[names[j] for j in order], x=shown, name=method, orientation="h", text=[f"{v:.0f} %" for v in shown],
                       marker={"color": BASELINE if method == "zero-shot" else colour(i - 1)}, textposition="outside", cliponaxis=False)
    figure.update_yaxes(autorange="reversed", ticklabelposition="outside", automargin=True, ticksuffix="  ", showgrid=False)
    figure.update_xaxes(range=[0, 112], showticklabels=False, showgrid=False, zeroline=False)
    figure = _dress(figure, height=90 + len(order) * (14 + 15 * len(scores)), key="bars")
    return figure.update_layout(barmode="group", bargap=0.25, margin={"l": 8, "t": 8, "b": 8},
                                legend={"y": -0.02, "yref": "paper", "yanchor": "top"})


def thin(x: Sequence[float], y: Sequence[float], limit: int = MAX_POINTS) -> tuple[list[float], list[float]]:
    """At most ``limit`` points: block means, so that a long curve stays light and keeps its level."""
    if len(x) <= limit:
        return list(x), list(y)
    size = -(-len(x) // limit)
    blocks = [range(i, min(i + size, len(x))) for i in range(0, len(x), size)]
    return [x[b[-1]] for b in blocks], [sum(y[j] for j in b) / len(b) for b in blocks]


def _dress(figure: go.Figure, *, height: int, key: str) -> go.Figure:
    """The look that all figures share; ``uirevision`` keeps zoom and pan while data streams in."""
    figure.update_layout(
        height=height, uirevision=key, template="plotly_white", font={"family": FONT, "size": 12, "color": INK},
        margin={"l": 48, "r": 16, "t": 36, "b": 40}, legend={"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "x": 0},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
    )
    figure.update_xaxes(gridcolor="rgba(138,143,152,0.25)")
    figure.update_yaxes(gridcolor="rgba(138,143,152,0.25)")
    figure.update_annotations(font_size=12)
    return figure
