"""app: the page in the browser."""

from pathlib import Path
from typing import Annotated

import typer

from promptlab.cli.common import fail, guarded

app = typer.Typer()


@app.command("app")
@guarded
def open_app(
    host: Annotated[str, typer.Option(help="Address to listen on; 127.0.0.1 is this machine only, 0.0.0.0 everybody.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 7860,
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = False,
    auth: Annotated[
        str,
        typer.Option(
            metavar="NAME:PASSWORD|FILE", envvar="PROMPTLAB_AUTH", help="Ask for a name and a password; a file holds one pair a line."
        ),
    ] = "",
    max_users: Annotated[int, typer.Option(min=1, max=10_000, help="Sessions at a time; whoever comes later is asked to wait.")] = 32,
    root_path: Annotated[str, typer.Option(help="Path that a proxy puts in front of the page, such as /promptlab.")] = "",
    mcp: Annotated[bool, typer.Option("--mcp", help="Serve the endpoints as MCP tools too (needs pip install 'gradio[mcp]').")] = False,
) -> None:
    """Open the app: shots in, a trained method out, in the browser."""
    pairs = credentials(auth)
    if mcp:
        _needs_mcp()
    from promptlab.ui import build_app, launch

    try:
        launch(
            build_app(), host=host, port=port, open_browser=browser, auth=pairs, max_users=max_users, root_path=root_path or None, mcp=mcp
        )
    except OSError as error:
        fail(f"{host}:{port} cannot be used ({error.strerror or error}); choose another with --port.")


def credentials(text: str) -> list[tuple[str, str]] | None:
    """(name, password) pairs of "name:password" or of a file with one pair a line."""
    if not text:
        return None
    path = Path(text)
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()] if path.is_file() else [text]
    pairs = [line.partition(":") for line in lines]
    if any(not sign or not name or not password for name, sign, password in pairs):
        fail("--auth takes NAME:PASSWORD, or a file with one such pair a line.")
    return [(name, password) for name, _, password in pairs]


def _needs_mcp() -> None:
    from importlib.util import find_spec

    if find_spec("mcp") is None:
        fail("--mcp needs a package that is not installed; run pip install 'gradio[mcp]'.")
