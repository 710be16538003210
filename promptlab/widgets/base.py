"""What all widgets share: a box that displays itself, says errors in one sentence, and is plain HTML where no widgets are."""

import functools
import html
import sys
from collections.abc import Callable, Iterable
from typing import Any

import ipywidgets as ipw
import traitlets

from promptlab.errors import PromptlabError
from promptlab.widgets.scene import Scene

WIDE = ipw.Layout(width="100%")


class Panel(ipw.VBox):
    """A widget with its logic in traits. ``error``: the sentence that is shown in red, or ""."""

    error = traitlets.Unicode("")

    def __init__(self, **traits: Any):
        enable_colab()
        self._error = ipw.HTML()
        super().__init__(**traits)

    def show(self, *children: ipw.Widget) -> None:
        """Put the parts on the page, the error line under them."""
        self.children = (*children, self._error)

    @traitlets.observe("error")
    def _say_error(self, change: Any) -> None:
        text = html.escape(change["new"])
        self._error.value = f'<span role="alert" style="color:#B3261E">{text}</span>' if text else ""

    def static(self) -> str:
        """The present state as plain HTML: what GitHub, a document or a page without a kernel shows."""
        return f'<div class="pl-static">{static(self)}</div>'

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        bundle = super()._repr_mimebundle_(include=include, exclude=exclude) or {}
        data, *rest = bundle if isinstance(bundle, tuple) else (bundle,)
        data = {**data, "text/html": self.static(), "text/plain": f"<promptlab {type(self).__name__}>"}
        return (data, *rest) if rest else data


def told(handler: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a panel whose errors become its ``error`` line: an exception in a callback would go unseen."""

    @functools.wraps(handler)
    def safe(self: Panel, *args: Any) -> Any:
        try:
            self.error = ""
            return handler(self, *args)
        except PromptlabError as error:
            self.error = str(error)
        return None

    return safe


def static(widget: ipw.Widget) -> str:
    """A widget tree as plain HTML: pictures and texts as they are, controls as their values, buttons left out."""
    if isinstance(widget, Scene):
        return f"<div>{widget.html}</div>"
    if isinstance(widget, ipw.HTML):
        return f"<div>{widget.value}</div>" if widget.value else ""
    if isinstance(widget, ipw.Accordion | ipw.Tab):
        return ""
    if isinstance(widget, ipw.Box):
        return "".join(static(child) for child in widget.children if getattr(child.layout, "display", None) != "none")
    if isinstance(widget, ipw.Button | ipw.FileUpload | ipw.FloatProgress | ipw.IntProgress) or not getattr(widget, "description", ""):
        return ""
    value = getattr(widget, "label", None) or getattr(widget, "value", "")
    return f'<div><small>{html.escape(widget.description)}: <b>{html.escape(str(value))}</b></small></div>'


def choice(label: str, options: Iterable[Any], value: Any = None, width: str = "260px") -> ipw.Dropdown:
    """A dropdown whose label is not cut."""
    options = list(options)
    first = options[0][1] if options and isinstance(options[0], tuple) else (options[0] if options else None)
    return ipw.Dropdown(options=options, value=first if value is None else value, description=label, layout=ipw.Layout(width=width),
                        style={"description_width": "initial"})


def enable_colab() -> None:
    """Colab shows widgets of other packages only after this call; elsewhere nothing happens."""
    if "google.colab" in sys.modules:
        sys.modules["google.colab"].output.enable_custom_widget_manager()
