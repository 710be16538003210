"""From a request to a run: build, fit, judge, save. A generator, so that screens, bars and scripts drive it alike."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from promptlab.create import build
from promptlab.errors import ClosedVocabulary, out_of_memory
from promptlab.evaluate import Report, evaluate
from promptlab.fit.context import FitContext
from promptlab.fit.events import Event, Finished, Note, Progress, Step
from promptlab.fit.state import Checkpoint
from promptlab.fit.trace import Trace
from promptlab.measure import cost
from promptlab.method import Method
from promptlab.request import Request
from promptlab.runs import FINAL, Run, RunStore, cut_after_last_epoch


def drive(request: Request, store: RunStore, ctx: FitContext | None = None, *, refit: bool = False) -> Iterator[Event]:
    """Yield the events of the fit, then of its evaluation; the generator's value is the :class:`Run`.

    An equal request that is complete is found, not fitted; one that was killed or stopped goes on from its last epoch.
    Closing the generator or an interrupt saves what was learned so far, with status "stopped"; so does the end of memory after a first
    step, with status "memory".
    """
    found = None if refit else _found(request, store)
    if found is not None:
        yield Note(f"found run {found.id}; nothing to fit (refit=True fits it again).")
        return found
    ctx = request.context(ctx or FitContext())
    method = build(request.cls, request.clip, request.episode.task, asdict(request.hyper))
    meta = {**request.meta(method), "started": datetime.now(timezone.utc).isoformat()}
    run = Run(meta, method=method, clip=request.clip, cls=request.cls)
    ctx.checkpoint = Checkpoint(store.root / run.id / "checkpoint")
    trace = Trace(store.root / run.id / "trace", ctx.trace)
    if refit:
        ctx.checkpoint.clear()
    store.write(run)
    yield from _fit(request, run, store, ctx, trace)
    yield from _judge(request, run, method, ctx)
    store.write(run)
    if run.status in FINAL:
        ctx.checkpoint.clear()
    return run


def _found(request: Request, store: RunStore) -> Run | None:
    path = store.root / request.id / "run.json"
    if not path.is_file():
        return None
    meta = json.loads(path.read_text(encoding="utf-8"))
    return Run(meta, path.parent, clip=request.clip, cls=request.cls) if meta["status"] in FINAL else None


def _fit(request: Request, run: Run, store: RunStore, ctx: FitContext, trace: Trace) -> Iterator[Event]:
    """The fit itself, each event in the log before anybody sees it."""
    path, method = store.root / run.id / "events.jsonl", run.method
    resumed = any(ctx.checkpoint.folder.glob("stage*.json"))
    if resumed:
        trace.resume(cut_after_last_epoch(path))
    else:
        path.unlink(missing_ok=True)
        trace.clear()
    status, why, start = "failed", "", time.perf_counter()
    try:
        with (open(path, "a", encoding="utf-8") as log, cost(request.clip.device) as spent,
              closing(_while_memory_lasts(method.fit(request.episode, ctx), ctx)) as events):
            if resumed:
                yield _logged(Note("resumed from the last finished epoch."), log)
            for event in events:
                trace.see(event, method)
                yield _logged(event, log)
                if isinstance(event, Finished) and event.why != "done":
                    why = event.why
        status = why or "done"
    except (GeneratorExit, KeyboardInterrupt):
        status = "stopped"
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise
    finally:
        method.eval()
        run.meta.update(status=status, why=why, hyper=asdict(method.hyper), trainable=method.trainable(), peak_mb=spent.peak_mb,
                        seconds=time.perf_counter() - start, learnable=[n for n, _ in method.named_parameters()])
        store.write(run)


def _while_memory_lasts(events: Iterator[Event], ctx: FitContext) -> Iterator[Event]:
    """The events of a fit. Where memory ends after a first step, what was learned until then is kept, as if somebody had pressed Stop."""
    last = None
    try:
        with closing(events):
            for event in events:
                last = event if isinstance(event, Step) else last
                yield event
    except (MemoryError, RuntimeError) as error:
        if last is None or not out_of_memory(error):
            raise
        yield Note(f"memory ended after step {last.i} of {last.of}; what was learned until then is kept, try a smaller batch.")
        yield Finished(ctx.elapsed, "memory")


def _logged(event: Event, log: Any) -> Event:
    log.write(json.dumps(event.to_json()) + "\n")
    log.flush()
    return event


def _judge(request: Request, run: Run, method: Method, ctx: FitContext) -> Iterator[Event]:
    reports: dict[str, Report] = {}
    for i, test in enumerate(request.tests):
        yield Progress(f"evaluate {test.name}", i, len(request.tests))
        try:
            reports[test.name] = evaluate(method, test)
            run.meta["reports"][test.name] = reports[test.name].to_json()
        except ClosedVocabulary as error:
            run.meta["reports"][test.name] = {"closed": str(error)}
            yield Note(str(error))
    run._reports = reports
    yield Progress("evaluate", len(request.tests), len(request.tests))
