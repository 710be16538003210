"""What ``import promptlab as pl`` shows. Every function here is a few lines over the layers below."""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from promptlab import registry
from promptlab.answers import Table
from promptlab.archive import unpack
from promptlab.backbones.load import load, wrap
from promptlab.card import build_hyper
from promptlab.compare import Comparison
from promptlab.compare import compare as _compare
from promptlab.create import create, method_class
from promptlab.data import sources
from promptlab.data.task import TestSet
from promptlab.drive import drive
from promptlab.errors import BadData
from promptlab.evaluate import Report
from promptlab.evaluate import evaluate as _evaluate
from promptlab.fit.context import FitContext
from promptlab.fit.events import Event
from promptlab.method import Method
from promptlab.progress import bar
from promptlab.request import Request
from promptlab.runs import Run, RunStore
from promptlab.shots import DEFAULT_SHOTS, Shots, shots_of

__all__ = ["arrays", "compare", "create", "dataset", "evaluate", "fit", "folder", "load", "methods", "open", "open_data", "stream",
           "wrap", "zip"]
STORE = "runs"


def open_data(spec: Any, shots: int | None = DEFAULT_SHOTS, seed: int | None = None, protocol: str = "few_shot",
              targets: Sequence[Any] = ()) -> Shots:
    """Data by its spec: ``world:TASK@STYLE``, a folder of class folders, a zip of one, or a data set in the CoOp layout.

    ``targets``: specs of data that is only tested on, for the protocols "cross_dataset" and "domain_shift".
    """
    return Shots(sources.open_data(spec), shots, seed, protocol, tuple(sources.open_data(t) for t in targets))


dataset = open_data


def folder(path: str | Path, shots: int | None = DEFAULT_SHOTS, seed: int | None = None, protocol: str = "few_shot") -> Shots:
    """One folder of pictures a class, named like the class."""
    return Shots(sources.folder(path), shots, seed, protocol)


def zip(path: str | Path, shots: int | None = DEFAULT_SHOTS, seed: int | None = None, protocol: str = "few_shot") -> Shots:
    """A zip of a folder of class folders."""
    return Shots(sources.zip(path), shots, seed, protocol)


def arrays(images: Sequence[Any], labels: Sequence[Any], names: Sequence[str], shots: int | None = DEFAULT_SHOTS, seed: int | None = None,
           protocol: str = "few_shot", **options: Any) -> Shots:
    """Pictures in memory (Pillow images, arrays, tensors) with class ids."""
    return Shots(sources.arrays(images, labels, names, **options), shots, seed, protocol)


def request(method: str | type[Method], clip: Any, task: Any, *, shots: int | None = None, protocol: str | None = None,
            preset: str | None = None, tests: Iterable[TestSet] = (), keep: str = "last", seconds: float | None = None,
            hyper: Mapping[str, Any] | None = None) -> Request:
    """A checked request for one fit; bad values are one sentence, before anything is computed."""
    cls = method_class(method)
    checked = build_hyper(cls.card.id, cls.Hyper, dict(hyper or {}), cls.card.presets, preset)
    data = shots_of(task, shots, protocol)
    episode, own = data.draw(checked.seed)
    if keep not in ("last", "best"):
        raise BadData(f"keep must be 'last' or 'best'; got {keep!r}.")
    return Request(cls, load(clip) if isinstance(clip, str) else clip, episode, checked, (*own, *tests), data.protocol, keep, seconds)


def stream(method: str | type[Method], clip: Any, task: Any, *, shots: int | None = None, protocol: str | None = None,
           preset: str | None = None, tests: Iterable[TestSet] = (), keep: str = "last", seconds: float | None = None,
           store: str | Path | RunStore = STORE, refit: bool = False, ctx: FitContext | None = None, **hyper: Any) -> Iterator[Event]:
    """The events of :func:`fit`; the generator's value is the run. Closing it saves what was learned so far."""
    asked = request(method, clip, task, shots=shots, protocol=protocol, preset=preset, tests=tests, keep=keep, seconds=seconds, hyper=hyper)
    return drive(asked, _store(store), ctx, refit=refit)


def fit(method: str | type[Method], clip: Any, task: Any, *, shots: int | None = None, protocol: str | None = None,
        preset: str | None = None, seeds: Iterable[int] | None = None, tests: Iterable[TestSet] = (), keep: str = "last",
        seconds: float | None = None, store: str | Path | RunStore = STORE, refit: bool = False, ctx: FitContext | None = None,
        progress: Callable[[Event], Any] | bool | None = None, **hyper: Any) -> Run | Comparison:
    """Fit a method and judge it; blocks, and returns the :class:`Run`.

    ``task``: what :func:`open_data`, :func:`folder`, ... return, a spec string, or an ``Episode``. ``preset``: named settings of the
    card ("demo": for two cores; none: the paper's). ``seeds``: one fit a seed, returned as a comparison with mean and spread.
    ``progress``: a function of each event; None shows a bar where somebody watches, False shows nothing. Ctrl-C (once) ends the
    fit after its step and keeps what was learned; the same request is found in ``store`` instead of fitted again (``refit``).
    """
    if seeds is not None:
        return compare([(method, hyper)], task, shots=shots, seeds=seeds, clip=clip, preset=preset, protocol=protocol, store=store,
                       refit=refit, progress=progress, keep=keep, seconds=seconds, ctx=ctx)
    asked = request(method, clip, task, shots=shots, protocol=protocol, preset=preset, tests=tests, keep=keep, seconds=seconds, hyper=hyper)
    ctx = ctx or FitContext()
    with bar(progress, asked.cls.card.name) as see, gentle(ctx):
        return drain(drive(asked, _store(store), ctx, refit=refit), see)


def compare(methods: Any, task: Any = None, *, shots: int | None = None, seeds: Iterable[int] = (1,), clip: Any = None,
            preset: str | None = None, protocol: str | None = None, store: str | Path | RunStore = STORE, refit: bool = False,
            progress: Callable[[Event], Any] | bool | None = None, ctx: FitContext | None = None, **options: Any) -> Comparison:
    """Runs side by side: either a list of runs, or methods to be fitted on ``task`` once a seed.

    ``methods``: ids ("coop"), ids with knobs ("coop:n_ctx=4,lr=0.01"), classes, or (id, {knob: value}) pairs. A method without
    the ``preset`` keeps the paper's values.
    """
    found = list(methods)
    if found and all(isinstance(m, Run) for m in found):
        return Comparison(tuple(found))
    if task is None or clip is None:
        raise BadData("compare takes either runs, or methods with a task and clip=.")
    ctx = ctx or FitContext()
    with bar(progress, "compare") as see, gentle(ctx):
        return _compare(found, load(clip) if isinstance(clip, str) else clip, shots_of(task, shots, protocol), seeds=tuple(seeds),
                        preset=preset, store=_store(store), refit=refit, ctx=ctx, see=see, **options)


def evaluate(subject: Run | Method, task: Any, *, see: Callable[[Event], Any] | None = None) -> Report:
    """Judge a run or a method on all labelled test pictures of ``task`` (a ``TestSet``, or whatever :func:`fit` takes)."""
    method = subject.method if isinstance(subject, Run) else subject
    if isinstance(task, TestSet):
        return _evaluate(method, task)
    data = shots_of(task)
    tests = (data.everything(),) if isinstance(data, Shots) else data.tests
    if not tests:
        raise BadData(f"{data.name} has no test pictures; give a data set or a TestSet.")
    return _evaluate(method, tests[0])


def open(what: str | Path, clip: Any = None, *, store: str | Path | RunStore = STORE, method: type[Method] | None = None) -> Run:
    """A saved run: a ``.plab`` file, a run's folder, or an id in ``store``. ``clip``: its backbone, loaded anew when left out."""
    path = Path(what)
    if path.is_dir() and (path / "run.json").is_file():
        store, what = path.parent, path.name
    elif path.suffix or path.is_file():
        return unpack(path, clip, method=method)
    run = _store(store).open(str(what), None, method=method)
    backbone = run.meta["backbone"]
    return _store(store).open(str(what), clip or load(backbone["name"], backbone["tag"]), method=method)


def methods() -> Table:
    """The cards of all methods, one row each."""
    keys = ("id", "name", "family", "supervision", "trains", "difference", "venue", "year", "paper", "params_b16_k100")
    cards = [registry.card(key) for key in registry.ids()]
    return Table([{**{k: getattr(c, k) for k in keys}, "kinds": ", ".join(c.kinds), "presets": ", ".join(c.presets)} for c in cards])


def drain(events: Iterator[Event], see: Callable[[Event], Any]) -> Any:
    """Run a generator to its end, showing each event; its value."""
    while True:
        try:
            see(next(events))
        except StopIteration as end:
            return end.value


@contextmanager
def gentle(ctx: FitContext) -> Iterator[None]:
    """The first Ctrl-C asks the fit to end after its step; the second one interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(signum: int, frame: Any) -> None:
        ctx.stop.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _store(store: str | Path | RunStore) -> RunStore:
    return store if isinstance(store, RunStore) else RunStore(store)
