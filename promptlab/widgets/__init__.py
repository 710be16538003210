"""Widgets for notebooks: each displays itself, keeps its state in traits, and is plain HTML where widgets are not available.

``shown`` holds single pictures for a cell: ``shown.bars``, ``shown.gallery``, ``shown.lines``, ``shown.exhibit``, ...
"""

from promptlab.widgets import shown
from promptlab.widgets.compare import Compare
from promptlab.widgets.explorers import AttentionExplorer, TransportExplorer
from promptlab.widgets.lens import Lens
from promptlab.widgets.playground import PromptPlayground
from promptlab.widgets.shots import Shots
from promptlab.widgets.trainer import Trainer

__all__ = ["AttentionExplorer", "Compare", "Lens", "PromptPlayground", "Shots", "Trainer", "TransportExplorer", "shown"]
