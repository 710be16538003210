"""A progress bar for whoever watches a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from promptlab.fit.events import Epoch, Event, Labelled, Note, Progress, Step


@contextmanager
def bar(progress: Callable[[Event], Any] | bool | None, title: str) -> Iterator[Callable[[Event], Any]]:
    """A function that shows events: ``progress`` itself, nothing (False), or a bar on stderr (True, or None on a terminal)."""
    if callable(progress):
        yield progress
        return
    if progress is False or (progress is None and not sys.stderr.isatty()):
        yield lambda event: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    says = TextColumn("{task.fields[says]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), says)
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=None, says="")
        yield lambda event: _show(bars, task, title, event)


def _show(bars: Any, task: Any, title: str, event: Event) -> None:
    if isinstance(event, Step):
        says = f"loss {sum(event.terms.values()):.3f}"
        bars.update(task, description=title, completed=event.i, total=event.of, says=says)
    elif isinstance(event, Progress):
        bars.update(task, description=f"{title}: {event.what}", completed=event.done, total=event.of)
    elif isinstance(event, Epoch) and event.val:
        name, value = next(iter(event.val.items()))
        bars.console.print(f"epoch {event.i}: {name} {value:.3f} on validation", style="dim")
    elif isinstance(event, Labelled):
        bars.console.print(f"{event.count} pictures labelled, mean confidence {event.confidence:.2f}", style="dim")
    elif isinstance(event, Note):
        bars.console.print(event.text, style="dim")
