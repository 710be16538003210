"""Serving the page with its settings."""

import atexit
import os
import threading
from importlib import import_module
from typing import Any

import gradio as gr

from promptlab.plots.linked import plotlyjs
from promptlab.ui.session import SESSIONS
from promptlab.ui.theme import CSS, HEAD, theme

LARGEST_FILE = "256mb"  # zips and projects; a picture may have 10 MB
WAITING = 64  # calls that may wait in gradio's own queue
ALWAYS = {"css": CSS, "head": HEAD, "footer_links": [], "run_history": False, "ssr_mode": False, "max_file_size": LARGEST_FILE,
          "share": False, "show_error": False}


def serve(
    app: Any,
    host: str,
    port: int | None,
    *,
    open_browser: bool = False,
    wait: bool = True,
    quiet: bool = False,
    warmed: bool = True,
    auth: Any = None,
    max_users: int = 32,
    root_path: str | None = None,
    mcp: bool = False,
) -> Any:
    """Start the server. ``wait``: until it is interrupted; ``warmed``: load the backbone at once; ``auth``: (name, password) pairs;
    ``max_users``: sessions at a time; ``root_path``: the path that a proxy puts in front; ``mcp``: serve the endpoints as MCP tools too.

    No telemetry, no stored run history, no server-side rendering.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    SESSIONS.most = max_users
    atexit.register(SESSIONS.clear)
    if warmed:
        threading.Thread(target=warm, name="promptlab-warm", daemon=True).start()
    gr.set_static_paths([str(plotlyjs())])
    app.queue(max_size=WAITING, default_concurrency_limit=4)
    options = {"auth": auth, "root_path": root_path, "mcp_server": mcp or None, "inbrowser": open_browser, "quiet": quiet}
    return app.launch(server_name=host, server_port=port, prevent_thread_lock=not wait, theme=theme(), **options, **ALWAYS)


def warm() -> None:
    """Load what the first click would wait for, while the page is on its way."""
    from promptlab.ui import core

    core.load_backbone("pocket", core.real("auto"))
    import_module("torchmetrics")
