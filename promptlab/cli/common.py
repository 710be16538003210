"""What all commands share: one-sentence errors with exit codes, output as a table or as JSON."""

import functools
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from promptlab.errors import PromptlabError

OK, BAD_INPUT, INTERRUPTED = 0, 2, 130


def guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command whose bad input ends in one sentence on stderr and exit code 2, and whose interrupt ends in 130."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except PromptlabError as error:
            fail(str(error))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
            fail(f"{error.filename or 'a file'}: {(error.strerror or 'cannot be used').lower()}.")
        except KeyboardInterrupt:
            typer.echo("interrupted.", err=True)
            raise typer.Exit(INTERRUPTED) from None

    return run


def fail(sentence: str) -> None:
    """Say what is wrong on stderr and end with exit code 2."""
    typer.echo(" ".join(sentence.split()), err=True)
    raise typer.Exit(BAD_INPUT)


def whole_numbers(flag: str, text: str) -> tuple[int, ...]:
    """"1,2,3" → (1, 2, 3)."""
    parts = [p.strip() for p in text.split(",") if p.strip()]
    if not parts or not all(p.isdigit() for p in parts):
        fail(f"{flag} takes whole numbers with commas, as in 1,2,3; got '{text}'.")
    return tuple(int(p) for p in parts)


def emit_json(value: Any, *, line: bool = False) -> None:
    """Plain data as one JSON document on stdout; ``line``: on one line, for streams of events."""
    from promptlab.files import plain  # brings torch, which `--help` does not wait for

    typer.echo(json.dumps(plain(value), indent=None if line else 1, ensure_ascii=False))


def console(*, err: bool = False) -> Console:
    """A rich console on the present stdout or stderr; wide when it is not a terminal, so that tables are not cut in files."""
    stream = sys.stderr if err else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else 160, highlight=False)


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, left: int = 1) -> None:
    """A table on stdout; the first ``left`` columns are text, the others numbers."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console().print(table)


def percent(value: float | None, spread: float | None = None) -> str:
    """0.9312 → "93.1", with the spread over seeds behind it when there is one."""
    if value is None:
        return "-"
    return f"{100 * value:.1f}" + (f" ± {100 * spread:.1f}" if spread is not None else "")


def amount(count: float | None) -> str:
    """A count with thousands separators."""
    return "-" if count is None else f"{int(count):,}"
