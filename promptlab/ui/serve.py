"""Serving the page with its settings."""

import os
import threading
from importlib import import_module
from typing import Any

from promptlab.ui.theme import CSS, theme

LARGEST_FILE = "64mb"


def serve(app: Any, host: str, port: int | None, *, open_browser: bool = False, wait: bool = True, quiet: bool = False,
          warmed: bool = True) -> Any:
    """Start the server. ``wait``: until it is interrupted; ``warmed``: load the backbone at once.

    No telemetry, no stored run history, no server-side rendering.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if warmed:
        threading.Thread(target=warm, name="promptlab-warm", daemon=True).start()
    app.queue(max_size=20)
    return app.launch(server_name=host, server_port=port, inbrowser=open_browser, prevent_thread_lock=not wait, quiet=quiet, theme=theme(),
                      css=CSS, footer_links=[], run_history=False, ssr_mode=False, max_file_size=LARGEST_FILE, share=False)


def warm() -> None:
    """Load what the first click would wait for, while the page is on its way."""
    from promptlab.ui import core

    core.backbone()
    import_module("torchmetrics")
