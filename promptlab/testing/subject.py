"""What a check works on: a method class on a tiny backbone, with a toy episode of its kind."""

import copy
import dataclasses
import re
from functools import cached_property
from typing import Any

from torch import Tensor

from promptlab.backbones.tiny import tiny_backbone
from promptlab.card import knobs
from promptlab.create import build
from promptlab.data.batch import Batch
from promptlab.data.kinds import kind_of
from promptlab.data.kinds.toy import Toy
from promptlab.fit.context import FitContext
from promptlab.fit.events import Event
from promptlab.method import Method

QUICK = {"steps": 3, "batch": 4, "views": 1, "warmup_steps": 0}
RATES = (0.02, 0.005, 0.002)
OVERFIT = {"optimiser": "adam", "weight_decay": 0.0, "schedule": "constant", "steps": 60, "batch": 8, "augment": "none",
           "clip_norm": None, "warmup_steps": 0}


class Subject:
    """``hyper``: values that the checks use on top of the preset "tiny" or "demo" (whichever the card has)."""

    def __init__(self, cls: type[Method], clip: Any = None, kind: str | None = None, hyper: dict[str, Any] | None = None,
                 device: str = "cpu"):
        self.cls, self.card, self.own = cls, cls.card, hyper or {}
        self.kind = kind or cls.card.kinds[0]
        self._clip, self._device = clip, device

    @cached_property
    def clip(self) -> Any:
        return self._clip or tiny_backbone("resnet" if "resnet" in self.card.needs else "vit", device=self._device)

    @cached_property
    def toy(self) -> Toy:
        """Four classes with two shots each."""
        return kind_of(self.kind).toy(size=self.clip.spec.size)

    @property
    def batch(self) -> Batch:
        """The whole support set, with targets where a fit would have them."""
        found = next(self.toy.episode.support.batches(64))
        return dataclasses.replace(found, target=found.target.to(self.clip.device))

    @property
    def preset(self) -> str | None:
        return next((p for p in ("tiny", "demo") if p in self.card.presets), None)

    def make(self, clip: Any = None, **hyper: Any) -> Method:
        """An unfitted method with the check's settings where its knobs allow them."""
        known = knobs(self.cls.Hyper)
        fits = {k: v for k, v in {**QUICK, **hyper}.items() if k in known and known[k].problem(self.card.id, v) is None}
        return build(self.cls, clip or self.clip, self.toy.episode.task, {**fits, **self.own}, self.preset)

    def fit(self, ctx: FitContext | None = None, clip: Any = None, **hyper: Any) -> tuple[Method, list[Event]]:
        """A fitted method and the events of its fit."""
        method = self.make(clip, **hyper)
        return method, list(method.fit(self.toy.episode, ctx or FitContext()))

    def slow_clip(self) -> Any:
        """The same weights with every fast path off."""
        other = copy.copy(self.clip)
        other.fast = dataclasses.replace(other.fast, **{f.name: False for f in dataclasses.fields(other.fast)})
        other._zero = {}
        return other


def losses(method: Method, batch: Batch) -> dict[str, Tensor]:
    """The loss terms of one pass in training mode."""
    method.train()
    return method.loss(method(batch, method.bank()), batch)


def sentence(error: Exception) -> str:
    """The error's message, which must be one sentence with a full stop."""
    text = str(error)
    assert text.rstrip().endswith(".") and "\n" not in text, f"an error is one sentence that ends with a full stop; got {text!r}"
    assert len(re.findall(r"[.!?] [A-Z]", text)) == 0, f"an error is one sentence; got {text!r}"
    return text


def close(a: Tensor, b: Tensor, rtol: float = 1e-4) -> bool:
    """Equal up to float32 rounding, relative to the largest value; a GPU convolves with ten bits and sums in any order."""
    rtol = rtol if a.device.type == "cpu" else max(rtol, 3e-3)
    return a.shape == b.shape and bool((a - b).abs().max() <= rtol * max(1.0, float(b.abs().max()))) if a.numel() else a.shape == b.shape
