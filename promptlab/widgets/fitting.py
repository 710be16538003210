"""One training at a time: drained in the cell or in a thread, stopped by a button or an interrupt, the best so far kept."""

import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from promptlab.drive import drive
from promptlab.errors import PromptlabError
from promptlab.fit.context import FitContext
from promptlab.request import Request
from promptlab.runs import Run, RunStore

LANE = threading.Lock()  # two trainings on two cores only slow each other down


@dataclass
class Fitting:
    """``see(event)`` is called with each event's plain data, ``done(run, error)`` once at the end; both by the draining thread."""

    request: Request
    store: RunStore
    see: Callable[[dict[str, Any]], None]
    done: Callable[[Run | None, str], None]
    ctx: FitContext = field(default_factory=FitContext)

    def work(self) -> None:
        """Drain the fit. A KeyboardInterrupt closes it, which saves what was learned so far."""
        run, error = None, ""
        try:
            while not LANE.acquire(timeout=0.2):
                if self.ctx.stop.is_set():
                    return self.done(None, "stopped before it began; nothing was learned yet.")
            try:
                run = self._drain()
            finally:
                LANE.release()
        except PromptlabError as problem:
            error = str(problem)
        except Exception as problem:  # noqa: BLE001 - a thread must not die unseen: the widget shows the sentence
            error = f"the training failed with {type(problem).__name__}: {problem}."
        self.done(run, error)

    def _drain(self) -> Run:
        events = drive(self.request, self.store, self.ctx)
        try:
            while True:
                self.see(next(events).to_json())
        except StopIteration as end:
            return end.value
        except KeyboardInterrupt:
            events.close()
            return self.store.open(self.request.id, self.request.clip, method=self.request.cls)

    def start(self) -> threading.Thread:
        """Work in a thread; an interrupt of the idle kernel stops it as well."""
        calm = interrupts(self.ctx.stop)

        def run() -> None:
            self.work()
            calm()

        thread = threading.Thread(target=run, name="promptlab-widget", daemon=True)
        thread.start()
        return thread


def interrupts(stop: threading.Event) -> Callable[[], None]:
    """While no cell runs, a Jupyter kernel ignores SIGINT; until the function returned is called, it sets ``stop`` instead.

    The handler can be set in the main thread only, so the kernel's own loop is asked to do it, after the click has been handled.
    """
    kernel = getattr(sys.modules["IPython"].get_ipython(), "kernel", None) if "IPython" in sys.modules else None
    loop = getattr(kernel, "io_loop", None)
    if loop is None:
        return lambda: None
    before: list[Any] = []

    def ask(signum: int, frame: Any) -> None:
        stop.set()

    def install() -> None:
        before.append(signal.signal(signal.SIGINT, ask))

    def restore() -> None:
        if before and signal.getsignal(signal.SIGINT) is ask:
            signal.signal(signal.SIGINT, before[0])

    loop.add_callback(install)
    return lambda: loop.add_callback(restore)


class Curve:
    """Numbers of one training, from events, handed on at most four times a second."""

    def __init__(self, name: str):
        self.data: dict[str, Any] = {"name": name, "steps": [], "loss": [], "val_steps": [], "val": []}
        self.done, self.of, self.phase, self.notes = 0, 0, "preparing", []
        self.began, self._last = time.monotonic(), 0.0

    def take(self, event: dict[str, Any]) -> bool:
        """Take an event; True when it is time to show something new."""
        kind, d = event["event"], self.data
        if kind == "started":
            self.phase, self.of = "training", event["total_steps"]
        elif kind == "step":
            self.phase, self.done, self.of = "training", event["i"], event["of"]
            d["steps"].append(event["i"])
            d["loss"].append(sum(event["terms"].values()))
        elif kind == "epoch" and event["val"]:
            d["val_steps"].append(self.done)
            d["val"].append(next(iter(event["val"].values())))
        elif kind == "progress":
            self.phase, self.done, self.of = event["what"], event["done"], event["of"]
        elif kind == "note":
            self.notes.append(event["text"])
        now = time.monotonic()
        if now - self._last < 0.25:
            return False
        self._last = now
        return True

    def words(self) -> str:
        """Where it stands."""
        if self.phase == "training" and self.done and self.of:
            left = (time.monotonic() - self.began) / self.done * (self.of - self.done)
            return f"Training: step {self.done} of {self.of}, about {left:.0f} s left."
        return f"{self.phase[:1].upper()}{self.phase[1:]}" + (f": {self.done} of {self.of}." if self.of else " …")
