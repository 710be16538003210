"""One worker thread drains fits into the store, so that screens only hold run ids and a reload loses nothing."""

import queue
import threading
from dataclasses import dataclass, field

from promptlab.errors import PromptlabError
from promptlab.fit.context import FitContext
from promptlab.fit.events import Event
from promptlab.request import Request
from promptlab.runs import RunStore

WAITING = 16  # requests that may wait; beyond, submit refuses


@dataclass
class Job:
    """``status``: "waiting", "running", then the run's own ("done", "stopped", "collapsed", "failed"). ``last``: the newest event."""

    id: str
    request: Request = field(repr=False)
    ctx: FitContext = field(default_factory=FitContext, repr=False)
    status: str = "waiting"
    error: str = ""
    last: Event | None = None
    done: threading.Event = field(default_factory=threading.Event, repr=False)


class Jobs:
    """A queue and its worker. The worker is the only thread that touches the generators."""

    def __init__(self, store: RunStore, waiting: int = WAITING):
        self.store = store
        self._queue: queue.Queue[Job | None] = queue.Queue(waiting)
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._worker: threading.Thread | None = None

    def submit(self, request: Request, ctx: FitContext | None = None) -> str:
        """Queue a request; its run id. A request that waits or runs already is not queued twice."""
        with self._lock:
            job = self._jobs.get(request.id)
            if job is None or job.done.is_set():
                job = Job(request.id, request, ctx or FitContext())
                try:
                    self._queue.put_nowait(job)
                except queue.Full:
                    raise PromptlabError(f"{self._queue.maxsize} fits are waiting already; wait until one is done or stop one.") from None
                self._jobs[request.id] = job
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="promptlab-jobs", daemon=True)
                self._worker.start()
        return request.id

    def stop(self, id: str) -> None:
        """End a running fit after its step, or take a waiting one out of the queue."""
        self.job(id).ctx.stop.set()

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

    def close(self) -> None:
        """Stop everything and end the worker."""
        for job in list(self._jobs.values()):
            job.ctx.stop.set()
        if self._worker is not None:
            self._queue.put(None)
            self._worker.join()
            self._worker = None

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            if job.ctx.stop.is_set():
                job.status = "stopped"
            else:
                self._run(job)
            job.done.set()

    def _run(self, job: Job) -> None:
        from promptlab.drive import drive

        job.status, events = "running", drive(job.request, self.store, job.ctx)
        try:
            while True:
                job.last = next(events)
        except StopIteration as end:
            job.status = end.value.status
        except Exception as error:  # noqa: BLE001 - the worker must live on; the sentence goes to whoever asks
            job.status, job.error = "failed", str(error)
