"""One training in a worker thread: it drains the fit's events into numbers that the page reads a few times a second."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from promptlab.errors import PromptlabError
from promptlab.plots.curves import Curve

_LANE = threading.Semaphore(1)  # one computation at a time: two on two cores only slow each other down
_WAITING: list["Job"] = []


@dataclass
class Job:
    """``work(job)`` runs in a thread and calls :meth:`see` with each event; ``result`` or ``error`` is set at the end."""

    name: str
    work: Callable[["Job"], Any]
    stop: threading.Event = field(default_factory=threading.Event)
    curve: Curve = field(default_factory=lambda: Curve(""))
    phase: str = "waiting"
    done: int = 0
    of: int = 0
    notes: list[str] = field(default_factory=list)
    result: Any = None
    error: str | None = None
    began: float = 0.0
    _finished: threading.Event = field(default_factory=threading.Event)

    def start(self) -> "Job":
        self.curve.name = self.name
        _WAITING.append(self)
        threading.Thread(target=self._run, name=f"promptlab-{self.name}", daemon=True).start()
        return self

    @property
    def finished(self) -> bool:
        return self._finished.is_set()

    @property
    def ahead(self) -> int:
        """How many trainings of other people wait or run before this one."""
        return _WAITING.index(self) if self in _WAITING else 0

    def see(self, event: Mapping[str, Any]) -> None:
        """Take one event's numbers (``Event.to_json()``)."""
        kind = event["event"]
        if kind == "started":
            self.phase, self.of = "training", event["total_steps"]
        elif kind == "step":
            self.phase, self.done, self.of = "training", event["i"], event["of"]
            self.curve.steps.append(event["i"])
            self.curve.loss.append(sum(event["terms"].values()))
        elif kind == "epoch" and event["val"]:
            self.curve.val_steps.append(self.done)
            self.curve.val.append(next(iter(event["val"].values())))
        elif kind == "progress":
            self.phase, self.done, self.of = event["what"], event["done"], event["of"]
        elif kind == "note":
            self.notes.append(event["text"])

    def watch(self, every: float = 0.35) -> Iterator["Job"]:
        """Yield the job about three times a second until it has finished, and once more then."""
        while not self._finished.wait(every):
            yield self
        yield self

    def words(self) -> str:
        """Where it stands, in words."""
        if self.error:
            return self.error
        if self.phase == "waiting" and self.ahead:
            return f"Waiting: {self.ahead} training{'s' if self.ahead > 1 else ''} before yours. Stop works while you wait."
        if self.stop.is_set() and not self.finished:
            return "Stopping after this step; what was learned so far is kept."
        seconds = time.monotonic() - self.began if self.began else 0.0
        if self.phase == "training" and self.done and self.of:
            left = seconds / self.done * (self.of - self.done)
            return f"Training {self.name}: step {self.done} of {self.of}, about {left:.0f} s left."
        return f"{self.name}: {self.phase}" + (f", {self.done} of {self.of}." if self.of else " …")

    def _run(self) -> None:
        try:
            with _LANE:
                if not self.stop.is_set():
                    self.phase, self.began = "encoding pictures", time.monotonic()
                    self.result = self.work(self)
        except PromptlabError as error:
            self.error = str(error)
        except MemoryError:
            self.error = f"{self.name} ran out of memory; try a smaller batch or another method."
        except Exception as error:  # noqa: BLE001 - a thread must not die silently: the page shows the sentence
            self.error = f"{self.name} failed with {type(error).__name__}: {error}."
        finally:
            _WAITING.remove(self)
            self._finished.set()
