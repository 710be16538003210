"""Sliders under a plotly figure: its traces at each place, in the same axes."""

from collections.abc import Callable, Sequence

import plotly.graph_objects as go

from promptlab.plots.panels import Panel, Slides

SLIDER = 84  # px of one


def add_sliders(drawn: go.Figure, moving: Sequence[Slides], paint: Callable[[list[Panel]], go.Figure], under: float, step: float,
                ink: str) -> None:
    """One slider a ``Slides``, each below the one before; ``paint``: panels on axes as in ``drawn``; ``under``, ``step``: in shares of
    the axes' height. Pictures stay where they are: only what was measured moves."""
    frames, sliders = [], []
    for i, slide in enumerate(moving):
        steps = []
        for j, label in enumerate(slide.labels):
            painted = paint(slide.frames[j]).data
            if len(painted) != len(drawn.data):
                raise AssertionError(f"place {label} of the slider '{slide.title}' has other traces than the figure")
            at = [k for k, t in enumerate(painted) if t.type != "image"]
            name = f"{i}/{j}"
            frames.append(go.Frame(name=name, data=[_lean(painted[k]) for k in at], traces=at))
            steps.append({"label": label, "method": "animate", "args": [
                [name], {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}]})
        sliders.append({"active": slide.start, "steps": steps, "x": 0, "len": 1, "y": -under - i * step, "yanchor": "top",
                        "pad": {"t": 4, "b": 0, "l": 0, "r": 0}, "currentvalue": {"prefix": f"{slide.title}: ", "font": {"size": 12}},
                        "font": {"size": 10, "color": ink}, "ticklen": 3, "minorticklen": 0})
    drawn.frames = frames
    drawn.update_layout(sliders=sliders)


def _lean(trace: object) -> dict:
    """What a place changes: the numbers, not the look."""
    kept = ("type", "x", "y", "z", "zmin", "zmax", "text", "customdata")
    return {k: v for k, v in trace.to_plotly_json().items() if k in kept}
