"""app: the page in the browser."""

from typing import Annotated

import typer

from promptlab.cli.common import fail, guarded

app = typer.Typer()


@app.command("app")
@guarded
def open_app(
    host: Annotated[str, typer.Option(help="Address to listen on; 127.0.0.1 is this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 7860,
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = False,
) -> None:
    """Open the app: shots in, a trained method out, in the browser."""
    from promptlab.ui import build_app, launch

    try:
        launch(build_app(), host=host, port=port, open_browser=browser)
    except OSError as error:
        fail(f"{host}:{port} cannot be used ({error.strerror or error}); choose another with --port.")
