"""The command line: one file a group of commands; heavy imports wait until a command runs."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from promptlab.cli import answer, bench, compare, describe, make, serve, show
from promptlab.cli import inspect as look


def build(argv: Sequence[str] = ()) -> typer.Typer:
    """The commands. The methods' own flags are only put together where ``argv`` asks for them: reading all cards takes seconds."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, help="Prompt learning and adapters for CLIP-like models.",
                      pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]})
    app.callback()(_options)
    for part in (serve.app, show.app):
        _add(app, part)
    if "fit" in argv[:2]:
        from promptlab.cli.train import fit_app

        app.add_typer(fit_app(), name="fit")
    else:
        app.command("fit", help="Fit a method on data and judge it. `promptlab fit METHOD --help` lists its flags.")(_fit)
    for part in (compare.app, answer.app, look.app, make.app, describe.app):
        _add(app, part)
    app.add_typer(bench.app, name="bench")
    return app


def main() -> None:
    """Entry point of ``promptlab``."""
    # before torch loads: threads that spin while they wait took a fit on a busy machine from 17 to 51 processor seconds
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    build(sys.argv[1:])()


def _add(app: typer.Typer, part: typer.Typer) -> None:
    app.registered_commands += part.registered_commands


def _fit() -> None:
    """Stands in the list of commands."""


def _version(asked: bool) -> None:
    if asked:
        from promptlab import __version__

        typer.echo(__version__)
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")]


def _options(version: Version = False) -> None:
    """Prompt learning and adapters for CLIP-like models."""
