"""promptlab: learn prompts and adapters for CLIP-like models, see what they do, compare them.

Names load when first used, so ``import promptlab`` is quick.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "create": "promptlab.create",
    "load": "promptlab.backbones.load", "wrap": "promptlab.backbones.load",
    **{name: "promptlab.api" for name in
       ("arrays", "compare", "dataset", "evaluate", "fit", "folder", "methods", "open", "open_data", "stream", "zip")},
    "PromptlabError": "promptlab.errors",
    "Run": "promptlab.runs", "RunStore": "promptlab.runs",
    "Method": "promptlab.method", "Bank": "promptlab.method", "Out": "promptlab.method",
    "Card": "promptlab.card", "Train": "promptlab.card", "knob": "promptlab.card", "Edit": "promptlab.backbones.points",
}
_MODULES = ("world", "inspect", "plots", "testing")
__all__ = [*_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(f"promptlab.{name}")
    raise AttributeError(f"promptlab has no '{name}'; it has {', '.join(sorted(__all__))}.")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
