"""promptlab: learn prompts and adapters for CLIP-like models, see what they do, compare them.

Names load when first used, so ``import promptlab`` is quick. Some of them (``fit``, ``methods``, ``compare``, ...) are also
names of submodules: ``promptlab.fit`` is the function, ``from promptlab.fit.gradient import gradient`` finds the module.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

_HOME = {
    **dict.fromkeys(("arrays", "compare", "create", "dataset", "evaluate", "fit", "folder", "load", "methods", "open", "open_data",
                     "stream", "wrap", "zip"), "promptlab.api"),
    "PromptlabError": "promptlab.errors",
    "Project": "promptlab.project", "Run": "promptlab.runs", "RunStore": "promptlab.runs",
    "Method": "promptlab.method", "Bank": "promptlab.method", "Out": "promptlab.method",
    "Card": "promptlab.card", "Train": "promptlab.card", "knob": "promptlab.card", "Edit": "promptlab.backbones.points",
}
_MODULES = ("world", "inspect", "plots", "testing")
__all__ = [name for names in (_HOME, _MODULES) for name in names]


class _Package(ModuleType):
    """The import system binds each submodule to its parent; a public name of the same spelling must stay public."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(f"promptlab.{name}")
    raise AttributeError(f"promptlab has no '{name}'; it has {', '.join(sorted(__all__))}.")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
