"""Grid search over live knobs on ``episode.val``: they change the answer without a refit."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from promptlab.data.task import Episode
from promptlab.fit.context import FitContext
from promptlab.fit.events import Event, Note, Progress
from promptlab.fit.score import headline


def grid(method: Any, episode: Episode, values: Mapping[str, Sequence[Any]], ctx: FitContext | None = None) -> Iterator[Event]:
    """Try every combination of ``values`` ({knob: candidates}) and leave the best in ``method.hyper``.

    The first of equals wins, and the settings in force before count as the first candidate. Without labelled
    validation pictures nothing changes. Stopping keeps the best so far.
    """
    val = episode.val
    if val is None or val.targets is None or not len(val):
        yield Note(f"no validation pictures, so {', '.join(values)} of {method.card.id} keep their values.")
        return
    before, combinations = method.hyper, list(itertools.product(*values.values()))
    best_score, best = headline(method, val), before
    for i, combination in enumerate(combinations, start=1):
        if ctx is not None and ctx.halt():
            break
        method.hyper = dataclasses.replace(before, **dict(zip(values, combination, strict=True)))
        try:
            found = headline(method, val)
        finally:
            tried, method.hyper = method.hyper, best  # whatever interrupts, the best so far is in force
        if found > best_score:
            best_score, best = found, tried
            method.hyper = best
        yield Progress("search", i, len(combinations))
    settings = ", ".join(f"{k}={getattr(best, k):g}" for k in values)
    yield Note(f"best on validation: {settings} ({method.kind.headline} {best_score:.3f}).")
