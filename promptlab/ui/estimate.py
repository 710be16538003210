"""Before a fit: about how long and how much memory, from a few timed calls of the two towers and from fits that this process has seen."""

import threading
import time
from collections.abc import Callable
from typing import Any

import torch

from promptlab.card import Card
from promptlab.fit.optim import Plan
from promptlab.ui.says import duration

BACKWARD = 3.0  # a step with gradients costs about three forward passes
_TIMED: dict[tuple[str, str], tuple[float, float]] = {}  # (backbone, device) → seconds of one text, of one picture
_SEEN: dict[tuple[str, str], tuple[float, float]] = {}  # (method, backbone) → measured over estimated seconds, peak MB
_LOCK = threading.Lock()


@torch.no_grad()
def timed(clip: Any) -> tuple[float, float]:
    """Seconds of one class sentence and of one picture through the frozen towers, measured once."""
    key = (clip.name, str(clip.device))
    with _LOCK:
        if key not in _TIMED:
            texts, pixels = [f"a photo of a thing {i}." for i in range(16)], torch.zeros(8, 3, clip.spec.size, clip.spec.size)
            _TIMED[key] = (_least(lambda: clip.encode_text(texts)) / 16, _least(lambda: clip.encode_image(pixels)) / 8)
        return _TIMED[key]


def _least(call: Callable[[], Any]) -> float:
    """The shortest of three times, the first call left out: other work on the machine only makes it longer."""
    call()
    found = []
    for _ in range(3):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


def raw(card: Card, hyper: Any, clip: Any, classes: int, support: int, tests: int) -> float:
    """Seconds by the shape of the method alone."""
    text, image = timed(clip)
    plan = Plan.of(hyper, max(1, support))
    batch = min(hyper.batch, max(1, support))
    both, deep = card.family == "text-visual prompt", card.family in ("visual prompt", "text-visual prompt")
    words = card.family in ("text prompt", "text-visual prompt")
    step = BACKWARD * ((classes * text if words else 0) + (batch * image if deep or card.family == "other" else 0)) + 2e-3
    steps = 0 if card.supervision == "training-free" else 0 if card.supervision == "test-time" else plan.total
    judge = tests * (BACKWARD * (classes * text + 8 * image) if card.supervision == "test-time" else image if deep else 1e-5)
    return steps * step + judge + classes * text * (2 if both else 1)


def seconds(card: Card, hyper: Any, clip: Any, classes: int, support: int, tests: int) -> float:
    """Estimate, corrected by what this method took before on this backbone."""
    factor = _SEEN.get((card.id, clip.name), (1.0, 0.0))[0]
    return raw(card, hyper, clip, classes, support, tests) * factor


def learn(card: Card, hyper: Any, clip: Any, classes: int, support: int, tests: int, took: float, peak: float | None) -> None:
    """A fit has ended: remember how wrong the estimate was."""
    guess = raw(card, hyper, clip, classes, support, tests)
    if guess > 0 and took > 0.05:
        _SEEN[(card.id, clip.name)] = (min(4.0, max(0.25, took / guess)), peak or 0.0)


def words(card: Card, hyper: Any, clip: Any, classes: int, support: int, tests: int) -> str:
    """"about 8 s", "about 8 s, 120 MB" where the memory was measured before."""
    took = seconds(card, hyper, clip, classes, support, tests)
    peak = _SEEN.get((card.id, clip.name), (1.0, 0.0))[1]
    return f"about {duration(took)}" + (f", {peak:,.0f} MB" if peak >= 1 else "")
