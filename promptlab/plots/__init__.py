"""Exhibits as pictures: :func:`draw` for screens (plotly), :func:`paper` for print (matplotlib), :func:`save` for files.

The two libraries are imported when a figure is asked for, not before.
"""

import base64
import html
import io
from pathlib import Path
from typing import Any

from promptlab.errors import BadData
from promptlab.inspect.exhibit import Exhibit

__all__ = ["draw", "inline", "paper", "save"]
DOTS = 110  # per inch of saved pictures
FORMATS = (".html", ".png", ".svg", ".pdf", ".json")


def draw(exhibit: Exhibit, *, width: int | None = None, dark: bool = False) -> Any:
    """A plotly Figure; ``width`` in px sets how many panels stand side by side (None: as wide as its container)."""
    from promptlab.plots.interactive import figure

    return figure(exhibit, width=width, dark=dark)


def paper(exhibit: Exhibit, *, width: float = 9.0, dark: bool = False) -> Any:
    """A matplotlib Figure (never pyplot, whose global figure threads would share); ``width`` in inches."""
    from promptlab.plots.printed import figure

    return figure(exhibit, width=width, dark=dark)


def inline(exhibit: Exhibit, *, width: float = 8.0) -> str:
    """The printed figure as an HTML picture that needs nothing else: notebooks, web pages and reports show it without a kernel."""
    file = io.BytesIO()
    paper(exhibit, width=width).savefig(file, dpi=DOTS)
    alt = html.escape(f"{exhibit.title}. {exhibit.note}", quote=True)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="{alt}" style="max-width:100%;height:auto" width="{round(96 * width)}" src="data:image/png;base64,{data}">'


def save(exhibit: Exhibit, path: Path | str, *, width: float = 9.0, dark: bool = False) -> Path:
    """Write by the file's ending: .html holds plotly.js itself and needs no network, .json is the exhibit's data."""
    path = Path(path)
    if path.suffix not in FORMATS:
        raise BadData(f"'{path.name}' does not end in a format that can be written; the formats are {', '.join(FORMATS)}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        path.write_text(exhibit.to_json(), encoding="utf-8")
    elif path.suffix == ".html":
        path.write_text(_page(exhibit, dark), encoding="utf-8")
    else:
        paper(exhibit, width=width, dark=dark).savefig(path, dpi=DOTS)
    return path


def _page(exhibit: Exhibit, dark: bool) -> str:
    from promptlab.plots.page import page

    return page(exhibit, dark)
