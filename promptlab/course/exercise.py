"""Exercises of the notebooks: an answer is checked, and a wrong one is told what it does instead of what was asked."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from promptlab.errors import BadData

EXERCISES: dict[str, "Exercise"] = {}
MARKS = {True: ("✓", "#1B7F4B"), False: ("✗", "#B3261E"), None: ("…", "#6B7280")}


@dataclass(frozen=True)
class Verdict:
    """``ok``: True, False, or None where there is no answer yet; ``text`` says why."""

    ok: bool | None
    text: str

    def __bool__(self) -> bool:
        return bool(self.ok)

    def __repr__(self) -> str:
        return f"{MARKS[self.ok][0]} {self.text}"

    def _repr_html_(self) -> str:
        mark, colour = MARKS[self.ok]
        style = f"border-left:4px solid {colour};padding:2px 10px"
        return f'<div style="{style}"><b style="color:{colour}">{mark}</b> {html.escape(self.text)}</div>'


@dataclass(frozen=True)
class Exercise:
    """``judge(answer)`` gives "" for a right answer, else the explanation; ``solution`` is Python that binds ``answer``."""

    key: str
    hint: str
    solution: str
    judge: Callable[[Any], str] = field(repr=False)
    well_done: str = "Right."


def check(key: str, answer: Any = ...) -> Verdict:
    """Check the answer to an exercise. With ``...`` (not answered yet) it gives a hint."""
    exercise = find(key)
    if answer is ...:
        return Verdict(None, f"Exercise {key} is open. Hint: {exercise.hint}")
    try:
        wrong = exercise.judge(answer)
    except Exception as error:  # noqa: BLE001 - whatever a student's function raises is part of the explanation
        return Verdict(False, f"Your answer raised {type(error).__name__}: {error}. {exercise.hint}")
    return Verdict(False, wrong) if wrong else Verdict(True, exercise.well_done)


def solution(key: str) -> str:
    """One right answer, as Python. Try first."""
    return find(key).solution


def find(key: str) -> Exercise:
    """The exercise of a key such as "05.2"."""
    if key not in EXERCISES:
        raise BadData(f"there is no exercise '{key}'; the exercises are {', '.join(sorted(EXERCISES))}.")
    return EXERCISES[key]


def function(key: str, right: Callable[..., Any], inputs: Sequence[Sequence[Any]], hint: str, solution: str,
             wrong: Sequence[tuple[Callable[..., Any], str]] = (), well_done: str = "Right.") -> None:
    """An exercise whose answer is a function; ``wrong``: functions that people write instead, and what is amiss with each."""

    def judge(answer: Any) -> str:
        if not callable(answer):
            return f"The answer must be a function; got {type(answer).__name__}."
        for args in inputs:
            got, want = answer(*args), right(*args)
            problem = difference(got, want)
            if problem:
                return next((why for other, why in wrong if not _fails(other, args, got)), problem)
        return ""

    EXERCISES[key] = Exercise(key, hint, solution, judge, well_done)


def choice(key: str, right: str, why: str, wrong: dict[str, str], hint: str = "Read the picture above once more.") -> None:
    """An exercise whose answer is a letter; ``wrong``: letter → what speaks against it."""

    def judge(answer: Any) -> str:
        letter = str(answer).strip().lower()
        if letter == right:
            return ""
        return wrong.get(letter) or f"Answer with one letter: {', '.join(sorted([right, *wrong]))}; got {answer!r}."

    EXERCISES[key] = Exercise(key, hint, f'answer = "{right}"', judge, why)


def _fails(other: Callable[..., Any], args: Sequence[Any], got: Any) -> bool:
    try:
        return bool(difference(got, other(*args)))
    except (ArithmeticError, IndexError, RuntimeError, TypeError, ValueError):
        return True


def difference(got: Any, want: Any) -> str:
    """"" where the two agree (to 1e-4 of the largest value), else a sentence."""
    if got is None:
        return "The function returned None; is the return missing?"
    if isinstance(want, list | tuple | set | dict | str | bool):
        same = type(want)(got) == want if isinstance(got, list | tuple | set) and isinstance(want, list | tuple | set) else got == want
        return "" if same else f"Expected {want!r}; got {got!r}."
    a, b = torch.as_tensor(got), torch.as_tensor(want)
    if a.shape != b.shape:
        return f"The shape should be {list(b.shape)}; got {list(a.shape)}."
    a, b = a.double(), b.double()
    worst = float((a - b).abs().max()) if a.numel() else 0.0
    if worst <= 1e-4 * max(1.0, float(b.abs().max()) if b.numel() else 1.0):
        return ""
    return f"The values differ by up to {worst:.3g}: {_few(b)} was expected, {_few(a)} came."


def _few(values: Tensor) -> str:
    shown = ", ".join(f"{v:.3g}" for v in values.flatten()[:3].tolist())
    return f"[{shown}{', …' if values.numel() > 3 else ''}]" if values.ndim else shown


def draw(*shape: int, seed: int = 0) -> Tensor:
    """Repeatable random numbers for inputs."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))
