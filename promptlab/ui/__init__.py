"""The app: six screens from the first shot to a shared prompt. Handlers are plain functions; only ``screens`` and ``serve`` know gradio."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any


def build_app(start: Callable[[Any], None] | None = None) -> Any:
    """The page as a ``gradio.Blocks``. What visitors send lies in a folder of this process, which goes when it ends. ``start``: called
    with every new session."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    if "GRADIO_TEMP_DIR" not in os.environ:  # read when components are made, so it is set before
        os.environ["GRADIO_TEMP_DIR"] = folder = tempfile.mkdtemp(prefix="promptlab-files-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    from promptlab.ui.screens.app import build_app as build

    return build(start)


def launch(app: Any, host: str | None = None, port: int | None = 7860, **options: Any) -> Any:
    """Serve the page; nothing is sent anywhere and nothing is loaded from anywhere else. ``host``: this machine only, where neither
    it nor GRADIO_SERVER_NAME (which a Space sets) says otherwise."""
    from promptlab.ui.serve import serve

    return serve(app, host or os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"), port, **options)


def open_here(project: Any, port: int | None = None, *, wait: bool = False) -> Any:
    """Serve the page on this machine with a notebook's project in every new session, and open it in the browser."""
    from promptlab.ui.out.here import begin

    return launch(build_app(lambda session: begin(session, project)), "127.0.0.1", port, wait=wait, open_browser=True, quiet=not wait,
                  warmed=False)
