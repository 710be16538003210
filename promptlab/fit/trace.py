"""The learnables after each epoch, on disk, so that a fit can be looked at afterwards as it went along."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from promptlab.files import read_tensors, write_tensors
from promptlab.fit.events import Epoch, Event, Started

LIMIT = 8 << 20  # bytes that a trace may take
LEAST = 4  # states that must fit in it; larger learnables are not traced
MOST_SAVED = 24  # states that travel with a saved run


def thinned(epochs: Sequence[int], most: int = MOST_SAVED) -> list[int]:
    """At most ``most`` of the epochs, evenly, the first and the last among them."""
    last = len(epochs) - 1
    return [epochs[i] for i in sorted({round(k * last / (most - 1)) for k in range(most)})] if len(epochs) > most else list(epochs)


@dataclass
class Trace:
    """``folder``/0000.safetensors is the state before the first step, 0001 that after the first epoch, and so on.

    When the files would take more than ``limit`` bytes, every second one is dropped and from then on every second epoch is kept.
    """

    folder: Path
    limit: int = LIMIT
    done: int = 0
    every: int = 1

    def resume(self, epochs: int) -> None:
        """Go on after ``epochs`` finished ones; later states (of a fit that was killed) are removed."""
        self.done = epochs
        for epoch in self.epochs:
            if epoch > epochs:
                self.file(epoch).unlink()
        kept = self.epochs
        self.every = min((b - a for a, b in zip(kept, kept[1:])), default=1)

    def clear(self) -> None:
        """Forget everything (the fit begins anew)."""
        self.resume(-1)
        self.done, self.every = 0, 1

    def see(self, event: Event, method: nn.Module) -> None:
        """Keep the state that belongs to an event of the fit, if any does."""
        if isinstance(event, Started) and self.done == 0 and not self.epochs:
            self._keep(0, method.state_dict())
        elif isinstance(event, Epoch):
            self.done += 1
            if self.done % self.every == 0:
                self._keep(self.done, method.state_dict())

    @property
    def epochs(self) -> list[int]:
        """The epochs whose states are there, in order."""
        return sorted(int(p.stem) for p in self.folder.glob("*.safetensors") if re.fullmatch(r"\d+", p.stem))

    def state(self, epoch: int) -> dict[str, Tensor]:
        """The state after ``epoch`` epochs."""
        return read_tensors(self.file(epoch))

    def _keep(self, epoch: int, state: Mapping[str, Tensor]) -> None:
        size = sum(v.numel() * v.element_size() for v in state.values())
        if not state or size * LEAST > self.limit:
            return
        write_tensors(self.file(epoch), dict(state))
        while sum(self.file(e).stat().st_size for e in self.epochs) > self.limit:
            self.every *= 2
            for e in self.epochs:
                if e % self.every:
                    self.file(e).unlink()

    def file(self, epoch: int) -> Path:
        """Where the state after ``epoch`` epochs is kept."""
        return self.folder / f"{epoch:04d}.safetensors"
