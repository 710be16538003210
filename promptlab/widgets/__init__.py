"""Widgets for notebooks: each displays itself, keeps its state in traits, and is plain HTML where widgets are not available."""

from promptlab.widgets.compare import Compare
from promptlab.widgets.lens import Lens
from promptlab.widgets.trainer import Trainer

__all__ = ["Compare", "Lens", "Trainer"]
