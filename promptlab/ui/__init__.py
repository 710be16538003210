"""The app: six screens from the first shot to a shared prompt. Handlers are plain functions; only ``screens`` and ``serve`` know gradio."""

import os
from typing import Any


def build_app() -> Any:
    """The page as a ``gradio.Blocks``."""
    from promptlab.ui.screens.app import build_app as build

    return build()


def launch(app: Any, host: str | None = None, port: int | None = 7860, **options: Any) -> Any:
    """Serve the page; nothing is sent anywhere and nothing is loaded from anywhere else. ``host``: this machine only, where neither
    it nor GRADIO_SERVER_NAME (which a Space sets) says otherwise."""
    from promptlab.ui.serve import serve

    return serve(app, host or os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"), port, **options)
