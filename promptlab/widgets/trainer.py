"""Trainer: choose a method and its knobs, watch it learn, stop it."""

from collections.abc import Sequence
from typing import Any

import ipywidgets as ipw
import traitlets

from promptlab import registry
from promptlab.api import fit, gentle, request
from promptlab.card import Knob
from promptlab.compare import REFERENCE, Comparison, scores
from promptlab.errors import BadData
from promptlab.fit.context import FitContext
from promptlab.fit.optim import Plan
from promptlab.fit.score import score
from promptlab.runs import Run, RunStore
from promptlab.shots import shots_of
from promptlab.widgets import draw
from promptlab.widgets.base import Panel, choice, told
from promptlab.widgets.fitting import Curve, Fitting
from promptlab.widgets.knobs import changes, control, listed, shown, start_values
from promptlab.widgets.scene import Scene

CHECKS = 20  # validations of one training, where five epochs are not too far apart


class Trainer(Panel):
    """Methods and knobs from the cards, live curves, Stop.

    ``task``: whatever ``promptlab.fit`` takes. Traits: ``method``, ``preset`` ("" = the paper's values), ``hyper`` (knobs that differ
    from it), ``status`` ("idle", "running", then the run's own), ``step`` of ``of``, ``message``, ``runs`` (finished ones, newest
    last). :meth:`train` trains in the cell (an interrupt ends it after its step), the button trains in the background (Stop or an
    interrupt ends it); both keep the epoch that was best on held-out shots.
    """

    method = traitlets.Unicode("coop")
    preset = traitlets.Unicode("demo")
    hyper = traitlets.Dict()
    status = traitlets.Unicode("idle")
    message = traitlets.Unicode("")
    step = traitlets.Int(0)
    of = traitlets.Int(0)
    runs = traitlets.List(traitlets.Instance(Run))

    def __init__(self, clip: Any, task: Any, method: str | None = None, *, shots: int | None = None, preset: str = "demo",
                 store: str | RunStore = "runs", hyper: dict[str, Any] | None = None):
        self.clip, self.task = clip, shots_of(task, shots)
        self.store = store if isinstance(store, RunStore) else RunStore(store)
        self.curves: list[dict[str, Any]] = []
        self.zero: Run | None = None
        self._level: float | None = None  # zero-shot on the held-out shots
        self._fitting: Fitting | None = None
        self._thread: Any = None
        super().__init__()
        methods = listed(self._kind(), clip)
        self.method = _first(methods, method)
        self._build(methods)
        self.preset = preset
        self._chosen(None)
        self.hyper = dict(hyper or {})
        self._paint()

    def _kind(self) -> str:
        return self.task.data.kind if hasattr(self.task, "data") else self.task.episode.task.kind

    def _build(self, methods: Sequence[tuple[str, str]]) -> None:
        self._pick = choice("Method", methods, self.method)
        self._values = choice("Values", [("demo: for two cores", "demo"), ("the paper's", "")])
        self._go = ipw.Button(description="Train", button_style="primary", icon="play")
        self._halt = ipw.Button(description="Stop", icon="stop", disabled=True, tooltip="ends after this step, keeps the best so far")
        self._bar = ipw.IntProgress(min=0, max=1, layout=ipw.Layout(width="240px"))
        self._about, self._said, self._knobs, self._scene = ipw.HTML(), ipw.HTML(), ipw.VBox(), Scene(label="learning curves")
        ipw.link((self, "method"), (self._pick, "value"))
        ipw.link((self, "preset"), (self._values, "value"))
        self._go.on_click(lambda _: self.start())
        self._halt.on_click(lambda _: self.stop())
        folded = ipw.Accordion([self._knobs], titles=("Knobs",))
        self.show(ipw.HBox([self._pick, self._values]), self._about, folded, ipw.HBox([self._go, self._halt, self._bar]), self._said,
                  self._scene)

    # ---- what a person sets -----------------------------------------------------------------------------------------

    @traitlets.observe("method", "preset")
    @told
    def _chosen(self, change: Any) -> None:
        if not hasattr(self, "_knobs"):  # not built yet
            return
        card, self.hyper = registry.card(self.method), {}
        about = f"{card.difference} · trains {card.trains} · {card.venue} {card.year}"
        self._about.value = f"<small>{draw.esc(about)}</small>"
        first = start_values(self.method, self.preset)
        self._knobs.children = [control(k, first[n], self._set) for n, k in shown(self.method).items()]

    @told
    def _set(self, k: Knob, value: Any) -> None:
        value = k.read(value) if isinstance(value, str) and not k.choices else value
        self.hyper = changes(self.method, self.preset, {**start_values(self.method, self.preset), **self.hyper, k.name: value})

    @property
    def code(self) -> str:
        """The training as one line of Python."""
        own = "".join(f", {k}={v!r}" for k, v in self.hyper.items())
        preset = f', preset="{self.preset}"' if self._preset(self.method) else ""
        return f'pl.fit("{self.method}", clip, task{preset}, keep="best"{own})'

    # ---- training ---------------------------------------------------------------------------------------------------

    def train(self) -> Run | None:
        """Train in this cell, and return the run."""
        fitting = self._prepare()
        if fitting is None:
            return None
        with gentle(fitting.ctx):
            fitting.work()
        return self.run

    def start(self) -> None:
        """Train in the background; the traits tell how far it is."""
        fitting = self._prepare()
        if fitting is not None:
            self._thread = fitting.start()

    def stop(self) -> None:
        """End the training after its step; the best so far is kept."""
        if self._fitting is not None and self.status == "running":
            self._fitting.ctx.stop.set()
            self.message = "Stopping after this step; the best so far is kept."

    def wait(self, seconds: float | None = None) -> Run | None:
        """Block until the background training is done."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self.run

    @property
    def run(self) -> Run | None:
        """The newest run."""
        return self.runs[-1] if self.runs else None

    @property
    def comparison(self) -> Comparison:
        """All finished runs, with zero-shot first."""
        return Comparison(tuple({r.id: r for r in (self.zero, *self.runs) if r is not None}.values()))

    @told
    def _prepare(self) -> Fitting | None:
        if self.status == "running":
            self.error = "a training is running; stop it or wait until it is done."
            return None
        asked = request(self.method, self.clip, self.task, preset=self._preset(self.method), keep="best", hyper=self.hyper)
        if self.zero is None:
            self.zero = fit("zero_shot", self.clip, self.task, store=self.store, progress=False)
            val = asked.episode.val
            self._level = next(iter(score(self.zero.method, val).values()), None) if val is not None and val.targets is not None else None
        support = asked.episode.support
        epochs = Plan.of(asked.hyper, len(support)).epochs if support is not None and len(support) else 1
        self._curve = Curve(f"{len(self.curves) + 1} {registry.card(self.method).name}")
        self.curves.append(self._curve.data)
        self.status, self.step, self.of, self.message = "running", 0, 0, "Preparing …"
        self._fitting = Fitting(asked, self.store, self._see, self._done, FitContext(val_every=max(1, min(5, epochs // CHECKS))))
        return self._fitting

    def _preset(self, key: str) -> str | None:
        return self.preset if self.preset in registry.card(key).presets else None

    def _see(self, event: dict[str, Any]) -> None:
        if self._curve.take(event):
            self._tell()

    def _tell(self) -> None:
        self.step, self.of = self._curve.done, self._curve.of
        if not self._fitting.ctx.stop.is_set():
            self.message = self._curve.words()
        self._paint()

    def _done(self, run: Run | None, error: str) -> None:
        self._tell()
        if run is not None:
            self.runs = [*self.runs, run]
            self.message = said(run, self.zero)
        self.error = error
        self.status = "failed" if run is None else run.status
        self._paint()

    # ---- what is shown ----------------------------------------------------------------------------------------------

    @traitlets.observe("status", "message", "step", "of")
    def _follow(self, change: Any) -> None:
        busy = self.status == "running"
        self._go.disabled, self._halt.disabled = busy, not busy
        self._bar.max, self._bar.value = max(1, self.of), self.step if busy else 0
        self._said.value = f'<span role="status">{draw.esc(self.message)}</span>'

    def _paint(self) -> None:
        text = draw.curves(self.curves, self._level) if self.curves else "<p>No training yet.</p>"
        if self.runs:
            text += self.comparison._repr_html_()
        self._scene.html = text


def _first(methods: Sequence[tuple[str, str]], asked: str | None) -> str:
    """The method to begin with: the one asked for, else CoOp, else whatever can be trained on such a task."""
    keys = [key for _, key in methods]
    if asked is not None and asked not in keys:
        card = registry.card(asked)
        raise BadData(f"{card.name} cannot be trained here: it is for {' and '.join(card.kinds)} tasks and needs "
                      f"{', '.join(card.needs) or 'nothing special'} of the backbone; choose one of {', '.join(keys)}.")
    return asked or next((key for key in ("coop", *keys) if key in keys and key != REFERENCE), keys[0])


def said(run: Run, zero: Run | None) -> str:
    """How a finished run compares with zero-shot, in one sentence."""
    begin = {"stopped": "Stopped; the best so far is kept. ", "memory": "Memory ended; the best so far is kept, try a smaller batch. "}.get(
        run.status, ""
    )
    found = next(iter(scores(run).items()), None)
    if found is None:
        return f"{begin}{registry.card(run.key).name} is done; there are no test pictures, so there is no score."
    name, value = found
    first = scores(zero).get(name) if zero is not None else None
    beside = "" if first is None else f"; zero-shot {100 * first:.1f} %"
    return f"{begin}{registry.card(run.key).name}: {name} {100 * value:.1f} %{beside}."

