"""What surrounds a fit: a way to stop it, a budget, a place to resume from, and the seed."""

import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from promptlab.fit.state import Checkpoint
from promptlab.fit.trace import LIMIT


@dataclass
class FitContext:
    """``stop``: set it from any thread and the fit ends after its step. ``seconds``: budget, None = unlimited.
    ``checkpoint``: where epochs are saved and resumed from. ``val_every``: score ``episode.val`` every so many epochs
    (0 = never). ``keep``: "last" (the papers' way) or "best" (by the kind's headline metric on val, needs ``val_every``).
    ``scratch``: a folder for files of the fit itself. ``trace``: bytes that a run may keep of the learnables after each epoch, so
    that it can be replayed (0: none)."""

    stop: threading.Event = field(default_factory=threading.Event)
    seconds: float | None = None
    scratch: Path | None = None
    checkpoint: Checkpoint | None = None
    val_every: int = 0
    keep: str = "last"
    trace: int = LIMIT
    options: dict[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)
    stages: int = 0

    @property
    def elapsed(self) -> float:
        """Seconds since this context was made."""
        return time.perf_counter() - self.began

    def halt(self) -> str | None:
        """Why the fit must end now ("stopped", "budget"), or None."""
        if self.stop.is_set():
            return "stopped"
        return "budget" if self.seconds is not None and self.elapsed > self.seconds else None

    def next_stage(self) -> int:
        """Number of this phase of the fit; methods with several ``gradient`` calls resume in the right one."""
        self.stages += 1
        return self.stages - 1


def seed_all(seed: int) -> None:
    """Seed Python, NumPy and torch, as the public few-shot code does before it builds anything."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
