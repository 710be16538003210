"""Named points of a frozen tower, and the two things that may happen at one: an edit or a tap.

A tower is a function of ``(input, edits, taps)``. Nothing is registered on it, so nothing can leak between runs;
observers that must reach through code they do not own use :func:`watch`.
"""

import difflib
import fnmatch
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from promptlab.errors import NoSuchPoint


@dataclass(frozen=True)
class Edit:
    """A pure, differentiable change of one value or weight of a tower.

    ``at``: exact point or weight name, or a glob over them (``"image.block.7.in"``, ``"text.weights.block.*.attn.q"``).
    ``do``: value → new value. Weights keep their shape; values may grow tokens at the end (image side only).
    ``slots``: ``(start, stop)`` positions on the token axis; ``do`` then sees and returns only ``x[:, start:stop]``
    (``stop=None``: to the end; negative ``start`` counts from the end). ``None``: ``do`` sees the whole value.
    ``pointwise``: ``do`` treats every token alike (an MLP adapter), so that it may run on the shared prefix and on the
    suffixes apart. An edit of a text value that is neither in the shared prefix's slots nor pointwise takes the plain path.
    ``branch``: only for the weight of a linear map: ``do`` sees the map's input [..., in] and returns what is added to its output
    [..., out] (a low-rank branch with dropout on its input cannot be said as a change of the weight).
    """

    at: str
    do: Callable[[Tensor], Tensor]
    slots: tuple[int, int | None] | None = None
    pointwise: bool = False
    branch: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        """Apply to a whole value ``x`` ([N, L, ...] when ``slots`` is set)."""
        if self.slots is None:
            return self.do(x)
        start, stop = self.slots
        start = start if start >= 0 else x.shape[1] + start
        stop = x.shape[1] if stop is None else stop
        return torch.cat([x[:, :start], self.do(x[:, start:stop]).to(x.dtype), x[:, stop:]], dim=1)


@dataclass(frozen=True)
class Encoding:
    """What a tower returns.

    ``pooled``: [N, E], projected, *not* normalised. ``tokens``: [N, M, E] projected patch tokens, row-major over ``grid``
    (image side, when asked for). ``taps``: values at the named points, text positions always in prompt order.
    """

    pooled: Tensor
    tokens: Tensor | None = None
    grid: tuple[int, int] | None = None
    taps: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class TextInput:
    """Embedded prompts, split where they stop being shared (positions are added by the tower).

    ``prefix`` [G, P, D]: the first P rows (SOS and learned context) of G contexts. ``suffix`` [R, S, D]: the rest
    (name, full stop, EOT, padding) of R names. ``eot`` [R]: absolute index of the pooled row. ``ids`` [R, P+S]: token ids
    with placeholders (padding masks, display). The N prompts are all pairs, group-major (N = G·R, prompt g·R + r), or,
    with ``zipped``, row by row (G == R == N).
    """

    prefix: Tensor
    suffix: Tensor
    eot: Tensor
    ids: Tensor | None = None
    zipped: bool = False

    @property
    def rows(self) -> int:
        return self.suffix.shape[0] if self.zipped else self.prefix.shape[0] * self.suffix.shape[0]

    def plain(self) -> "TextInput":
        """The same prompts with nothing shared: prefix [N, P, D], suffix [N, S, D], zipped."""
        if self.zipped:
            return self
        g, r = self.prefix.shape[0], self.suffix.shape[0]
        ids = None if self.ids is None else self.ids.repeat(g, 1)
        return replace(
            self,
            prefix=self.prefix.repeat_interleave(r, 0),
            suffix=self.suffix.repeat(g, 1, 1),
            eot=self.eot.repeat(g),
            ids=ids,
            zipped=True,
        )

    def select(self, rows: Sequence[int] | Tensor) -> "TextInput":
        """Only the named suffix rows (and their own prefix rows when zipped)."""
        rows = torch.as_tensor(rows, device=self.suffix.device)
        prefix = self.prefix[rows] if self.zipped else self.prefix
        ids = None if self.ids is None else self.ids[rows.to(self.ids.device)]
        return replace(self, prefix=prefix, suffix=self.suffix[rows], eot=self.eot[rows], ids=ids)


def resolve(pattern: str, names: Iterable[str]) -> list[str]:
    """Names that ``pattern`` (exact or glob) matches, in order; :class:`NoSuchPoint` with the three nearest otherwise."""
    names = list(names)
    found = [pattern] if pattern in names else fnmatch.filter(names, pattern)
    if not found:
        near = ", ".join(difflib.get_close_matches(pattern, names, 3, 0.0))
        raise NoSuchPoint(f"no point matches '{pattern}'; the nearest names are {near}.")
    return found


_watchers: ContextVar[tuple[tuple[tuple[str, ...], dict[str, Tensor]], ...]] = ContextVar("watchers", default=())


@contextmanager
def watch(*globs: str) -> Iterator[dict[str, Tensor]]:
    """Collect the values at matching points of every tower run inside the block (inner watches do not hide outer ones).

    A generator must not yield inside this block: see CONTRIBUTING, the yield rule.
    """
    seen: dict[str, Tensor] = {}
    token = _watchers.set((*_watchers.get(), (globs, seen)))
    try:
        yield seen
    finally:
        _watchers.reset(token)


def watched() -> tuple[str, ...]:
    """Globs of all active watches; a tower adds them to its taps."""
    return tuple(g for globs, _ in _watchers.get() for g in globs)


def report(name: str, value: Tensor) -> None:
    """Hand a value to every active watch that asked for it."""
    for globs, seen in _watchers.get():
        if any(fnmatch.fnmatchcase(name, g) for g in globs):
            seen[name] = value
