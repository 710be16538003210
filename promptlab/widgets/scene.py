"""One small view for everything: HTML made in Python, and what of it was clicked or pointed at. No script from elsewhere."""

from pathlib import Path

import anywidget
import traitlets

ASSETS = Path(__file__).parent / "assets"


class Scene(anywidget.AnyWidget):
    """``html``: what is shown (its makers are in :mod:`promptlab.widgets.draw`, which escape all text). ``picked`` and ``hovered``:
    the ``data-pick`` and ``data-hover`` value of the element that was clicked or pointed at last. ``wipe``: place of a slider, 0-100.
    ``label``: what a screen reader says."""

    _esm = ASSETS / "scene.js"
    _css = ASSETS / "scene.css"
    html = traitlets.Unicode("").tag(sync=True)
    label = traitlets.Unicode("").tag(sync=True)
    picked = traitlets.Unicode("").tag(sync=True)
    hovered = traitlets.Unicode("").tag(sync=True)
    wipe = traitlets.Float(50.0).tag(sync=True)
