"""The one training lane of a process: a thread that drains fits into the store; screens hold run ids and a reload loses nothing.

Several :class:`Jobs` (one a user) may share a :class:`Lane`; they take turns, so that one user's ten fits do not keep another waiting.
"""

import itertools
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from promptlab.errors import PromptlabError, out_of_memory
from promptlab.fit.context import FitContext
from promptlab.fit.events import Event
from promptlab.request import Request
from promptlab.runs import RunStore

WAITING = 16  # requests that may wait; beyond, submit refuses
MOST_POINTS = 4000  # of a live curve; a longer one is halved
SMALL = 20_000_000  # weights of a backbone whose fits leave one core to whoever watches them


@dataclass
class Live:
    """What a fit has said so far, as numbers that a screen reads at its own pace: a curve and where it stands.

    ``steps``, ``loss``: training loss by step; ``val_steps``, ``val``: the deciding validation metric (0..1) by step.
    """

    name: str = ""
    steps: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    val_steps: list[int] = field(default_factory=list)
    val: list[float] = field(default_factory=list)
    phase: str = "waiting"
    done: int = 0
    of: int = 0
    notes: list[str] = field(default_factory=list)
    began: float = 0.0

    def see(self, event: Mapping[str, Any]) -> None:
        """Take one event's numbers (``Event.to_json()``)."""
        kind = event["event"]
        if kind == "started":
            self.phase, self.of = "training", event["total_steps"]
        elif kind == "step":
            self.phase, self.done, self.of = "training", event["i"], event["of"]
            self.steps.append(event["i"])
            self.loss.append(sum(event["terms"].values()))
            if len(self.steps) > MOST_POINTS:
                self.steps, self.loss = self.steps[1::2], self.loss[1::2]
        elif kind == "epoch" and event["val"]:
            self.val_steps.append(self.done)
            self.val.append(next(iter(event["val"].values())))
        elif kind == "progress":
            self.phase, self.done, self.of = event["what"], event["done"], event["of"]
        elif kind == "note":
            self.notes.append(event["text"])

    def read(self, events: Iterable[Mapping[str, Any]]) -> "Live":
        """Take the numbers of a log, as that of a run that was found and not fitted."""
        for event in events:
            self.see(event)
        return self

    @property
    def left(self) -> float | None:
        """Seconds left by the pace so far; None before the first step."""
        if not self.began or self.phase != "training" or not self.done or not self.of:
            return None
        return (time.monotonic() - self.began) / self.done * (self.of - self.done)


@dataclass(eq=False)
class Job:
    """``status``: "waiting", "running", then the run's own (see :attr:`promptlab.runs.Run.status`). ``last``: the newest event.

    ``run``: the result, also of a stopped fit; ``error``: one sentence; ``bug``: the error is none that a user is meant to read.
    """

    id: str
    request: Request = field(repr=False)
    ctx: FitContext = field(default_factory=FitContext, repr=False)
    status: str = "waiting"
    error: str = ""
    bug: bool = False
    last: Event | None = None
    live: Live = field(default_factory=Live, repr=False)
    run: Any = field(default=None, repr=False)
    owner: Any = field(default=None, repr=False)
    turn: tuple[int, int] = (0, 0)
    done: threading.Event = field(default_factory=threading.Event, repr=False)


class Lane:
    """The worker and what waits for it. The worker is the only thread that touches the fits' generators."""

    def __init__(self, waiting: int = WAITING):
        self.size = waiting
        self.running: Job | None = None
        self.free = threading.Lock()  # held while a fit runs: whoever would draw from the global random numbers must hold it too
        self._waiting: list[Job] = []
        self._change = threading.Condition()
        self._number, self._round = itertools.count(), 0
        self._turns: dict[int, int] = {}  # owner → the last round it was given
        self._worker: threading.Thread | None = None

    def put(self, job: Job) -> None:
        """Queue a job; owners take turns."""
        with self._change:
            if len(self._waiting) >= self.size:
                raise PromptlabError(f"{self.size} fits are waiting already; wait until one is done or stop one.")
            turn = max(self._round, self._turns.get(id(job.owner), 0) + 1)
            self._turns[id(job.owner)] = turn
            job.turn = (turn, next(self._number))
            self._waiting.append(job)
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="promptlab-jobs", daemon=True)
                self._worker.start()
            self._change.notify()

    def drop(self, job: Job) -> bool:
        """Take a waiting job out; False when it runs or has run."""
        with self._change:
            if job not in self._waiting:
                return False
            self._waiting.remove(job)
            job.status = "stopped"
            job.done.set()
            return True

    def before(self, job: Job) -> list[Job]:
        """The jobs that run or will run before this one; of a job that runs: none."""
        with self._change:
            if job not in self._waiting:
                return []
            return [*([self.running] if self.running else []), *(j for j in self._waiting if j.turn < job.turn)]

    def close(self) -> None:
        """Take no more; the worker ends after the running job."""
        with self._change:
            worker, self._worker = self._worker, None
            self._change.notify_all()
        if worker is not None:
            worker.join()

    def _next(self) -> Job | None:
        with self._change:
            self.running = None
            self._change.wait_for(lambda: self._waiting or self._worker is not threading.current_thread())
            if self._worker is not threading.current_thread():
                return None
            job = min(self._waiting, key=lambda j: j.turn)
            self._waiting.remove(job)
            self._round, self.running = job.turn[0], job
            self._turns = {o: t for o, t in self._turns.items() if t > self._round}
            return job

    def _work(self) -> None:
        while (job := self._next()) is not None:
            if job.ctx.stop.is_set():
                job.status = "stopped"
            else:
                with self.free, _leaving_room(job.request.clip):
                    _run(job)
            job.done.set()
            del job  # an idle worker holds on to nothing


class Jobs:
    """One user's fits in a lane, by run id."""

    def __init__(self, store: RunStore, waiting: int = WAITING, lane: Lane | None = None):
        self.store, self.lane, self._own = store, lane or Lane(waiting), lane is None
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def submit(self, request: Request, ctx: FitContext | None = None, name: str = "") -> str:
        """Queue a request; its run id. A request that waits or runs already is not queued twice."""
        with self._lock:
            job = self._jobs.get(request.id)
            if job is None or job.done.is_set():
                job = Job(request.id, request, ctx or FitContext(), live=Live(name or request.cls.card.name), owner=self)
                self.lane.put(job)
                self._jobs[request.id] = job
        return request.id

    def stop(self, id: str) -> None:
        """End a running fit after its step, or take a waiting one out of the queue."""
        job = self.job(id)
        job.ctx.stop.set()
        self.lane.drop(job)

    def job(self, id: str) -> Job:
        """The job of a run id."""
        if id not in self._jobs:
            raise PromptlabError(f"there is no job '{id}'; submit a request first.")
        return self._jobs[id]

    def status(self, id: str) -> str:
        return self.job(id).status

    def wait(self, id: str, timeout: float | None = None) -> Job:
        """Block until the job is done (or the timeout has passed)."""
        job = self.job(id)
        job.done.wait(timeout)
        return job

    def forget(self, id: str) -> None:
        """Let go of a job that is done; its run stays in the store."""
        if id in self._jobs and self._jobs[id].done.is_set():
            del self._jobs[id]

    def close(self) -> None:
        """Stop everything; a lane of one's own ends too."""
        for id in list(self._jobs):
            self.stop(id)
        if self._own:
            self.lane.close()


@contextmanager
def _leaving_room(clip: Any) -> Iterator[None]:
    """One thread fewer for the fits of a small backbone: they gain little by the last core, and the browser that draws their curves needs
    one. Decided by the backbone and the machine alone, so that the same request sums in the same order each time."""
    towers = (getattr(clip, "image", None), getattr(clip, "text", None))
    size = sum(w.numel() for tower in towers for w in getattr(tower, "weights", {}).values())
    before = torch.get_num_threads()
    if not 0 < size <= SMALL or before < 2 or clip.device.type != "cpu":
        yield
        return
    torch.set_num_threads(before - 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _run(job: Job) -> None:
    from promptlab.drive import drive

    job.status, job.live.began, job.live.phase = "running", time.monotonic(), "encoding pictures"
    events = drive(job.request, job.owner.store, job.ctx)
    try:
        while True:
            job.last = next(events)
            job.live.see(job.last.to_json())
    except StopIteration as end:
        job.run, job.status = end.value, end.value.status
    except PromptlabError as error:
        job.status, job.error = "failed", str(error)
    except Exception as error:  # noqa: BLE001 - the worker must live on; the sentence goes to whoever asks
        memory = out_of_memory(error)
        job.status, job.bug = "failed", not memory
        said = f"{job.live.name} ran out of memory; try a smaller batch, fewer classes or a smaller method."
        job.error = said if memory else str(error) or type(error).__name__
        logging.getLogger("promptlab").error("the fit of %s failed", job.live.name, exc_info=error)
