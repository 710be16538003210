"""What is asked of a fit. Its digest is the run's id, so the same request is found instead of fitted again."""

import dataclasses
import hashlib
import json
import platform
import time
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from promptlab import registry
from promptlab.data.batch import Split
from promptlab.data.task import Episode, TestSet
from promptlab.files import plain
from promptlab.fit.context import FitContext
from promptlab.method import Method

PARTS = ("support", "val", "pool")


@dataclass(frozen=True)
class Request:
    """``hyper`` is checked and complete; ``tests`` are judged after the fit."""

    cls: type[Method]
    clip: Any
    episode: Episode
    hyper: Any
    tests: tuple[TestSet, ...] = ()
    protocol: str = "few_shot"
    keep: str = "last"
    seconds: float | None = None

    @cached_property
    def content(self) -> dict[str, Any]:
        """Everything that decides the result, as plain data."""
        e = self.episode
        return plain({
            "method": self.cls.card.id,
            "source": registry.source_hash(self.cls),
            "hyper": dataclasses.asdict(self.hyper),
            "task": {"name": e.task.name, "kind": e.task.kind, "classes": dataclasses.asdict(e.task.classes),
                     "shots": e.shots, "seed": e.seed},
            "splits": {part: self._digest(getattr(e, part)) for part in PARTS},
            **({"others": [[o.task.name, dataclasses.asdict(o.task.classes), o.shots, *(self._digest(getattr(o, part)) for part in PARTS)]
                           for o in e.others]} if e.others else {}),
            "tests": {t.name: [self._digest(t.split), list(t.task.classes.names)] for t in self.tests},
            "protocol": self.protocol,
            "keep": self.keep,
            "seconds": self.seconds,
            "backbone": {"name": self.clip.name, "tag": self.clip.tag, "digest": self.clip.digest(), "dtype": str(self.clip.dtype)},
        })

    @cached_property
    def id(self) -> str:
        text = json.dumps(self.content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def meta(self, method: Method) -> dict[str, Any]:
        """The beginning of ``run.json``."""
        return {"id": self.id, **self.content, "seed": self.hyper.seed, "status": "running", "why": "", "trainable": method.trainable(),
                "learnable": [n for n, _ in method.named_parameters()], "versions": versions(), "device": str(self.clip.device),
                "reports": {}, "seconds_limit": self.seconds, "seconds": None, "peak_mb": None}

    def context(self, ctx: FitContext) -> FitContext:
        """A fresh context with the request's own settings; the stop event stays the caller's."""
        seconds = self.seconds if self.seconds is not None else ctx.seconds
        every = 1 if self.keep == "best" and not ctx.val_every else ctx.val_every
        return dataclasses.replace(ctx, keep=self.keep, seconds=seconds, val_every=every, stages=0, began=time.perf_counter())

    def _digest(self, split: Split | None) -> str | None:
        if split is None:
            return None
        found = hashlib.sha256(repr(split.rows).encode())
        if split.source.key:
            found.update(split.source.key.encode())
        else:  # no identity: the pixels themselves, a few at a time
            for batch in split.batches(64):
                found.update(batch.pixels(self.clip.spec).cpu().contiguous().numpy().tobytes())
        if split.targets is not None:
            found.update(split.targets.cpu().contiguous().numpy().tobytes())
        return found.hexdigest()[:16]


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    from promptlab import __version__

    found = {"promptlab": __version__, "python": platform.python_version(), "torch": torch.__version__}
    for name in ("open_clip_torch", "timm"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
