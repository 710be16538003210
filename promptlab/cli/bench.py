"""bench: measure this machine."""

from typing import Annotated

import typer

from promptlab.cli.common import guarded
from promptlab.cli.show import AsJson

app = typer.Typer(no_args_is_help=True, help="Measure this machine.")


@app.callback()
def _bench() -> None:
    """Measure this machine."""


@app.command()
@guarded
def speed(device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto", as_json: AsJson = False) -> None:
    """Time one training step in the plain formulation against the fast paths, on the same weights."""
