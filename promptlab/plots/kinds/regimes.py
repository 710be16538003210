"""Sentences beside pictures in one projection."""

from promptlab.inspect.exhibit import Exhibit
from promptlab.plots.panels import Panel


def gap(e: Exhibit) -> list[Panel]:
    """Points of both modalities, each with the class that it has or is taken for."""
    names, series = tuple(e.labels["class"]), []
    for side, said in (("texts", "sentences"), ("pictures", "pictures, as the text-trained head sees them")):
        owner = tuple(names[c] for c in e.arrays[f"{side.removesuffix('s')}_class"])
        series.append((said, e.arrays[side][:, 0], e.arrays[side][:, 1], {"text": owner, "small": True, "faint": side == "texts"}))
    return [Panel("points", "one projection", series=tuple(series), x_title="first axis", y_title="second axis")]


PANELS = {"gap": gap}
