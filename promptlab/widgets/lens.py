"""Lens: look into a run. Any exhibit with its controls, zero-shot against tuned under a slider, the epochs of a replay."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as ipw
import numpy as np
import traitlets

from promptlab import inspect
from promptlab.card import knobs
from promptlab.errors import BadHyper, PromptlabError
from promptlab.inspect.exhibit import Exhibit
from promptlab.inspect.replay import MOST, epochs_of, spread
from promptlab.inspect.subject import method_of
from promptlab.widgets import draw, pictures
from promptlab.widgets.base import Panel, choice, told
from promptlab.widgets.scene import Scene

PREDICTED = "(predicted)"


class Lens(Panel):
    """Traits: ``what`` (name of the exhibit), ``index`` (place of the picture), ``name`` (class asked for, "" = the predicted one),
    ``live`` (live knobs of the method, changed without a refit), ``frame`` (place in ``frames``).

    ``images``: the task of the run, a test set, a split or a list of pictures. ``frames``: "epochs" to go through the epochs of the
    run, or (label, run or method or exhibit) pairs; a slider goes through them. ``exhibit`` is what is shown now.
    """

    what = traitlets.Unicode("evidence")
    index = traitlets.Int(0)
    name = traitlets.Unicode("")
    live = traitlets.Dict()
    frame = traitlets.Int(0)

    def __init__(self, run: Any, images: Any, what: str | None = None, *, frames: str | Sequence[tuple[str, Any]] = ()):
        self.run, self.split = run, pictures.split_of(images)
        self.frames = _epochs(run) if frames == "epochs" else list(frames)
        self.exhibit: Exhibit | None = None
        self._ready = False
        super().__init__()
        self.order = pictures.spread(self.split)
        self.classes = method_of(self._subject()).task.classes.names
        self._build(list(inspect.EXHIBITS))
        self.index, self.frame = self.order[0], max(0, len(self.frames) - 1)
        self.what = what or "evidence"
        self._ready = True
        self._draw(None)

    def _subject(self) -> Any:
        if not self.frames or isinstance(self.frames[self.frame][1], Exhibit) or inspect.of_runs(self.what):
            return self.run
        label, found = self.frames[self.frame]
        if isinstance(found, int):  # an epoch, rebuilt when it is looked at first
            found = self.run.at(found)
            self.frames[self.frame] = (label, found)
        return found

    def _build(self, exhibits: list[str]) -> None:
        self._pick = choice("Look at", exhibits, "evidence")
        self._class = choice("Class", [(PREDICTED, ""), *((n, n) for n in self.classes)])
        labels = pictures.captions(self.split, self.classes, self.order)
        self._gallery = Scene(label="pictures to look at", html=draw.gallery(
            [(pictures.address(self.split, i, 44), name, str(i)) for i, name in zip(self.order, labels)], side=44))
        self._scene, self._live = Scene(label="exhibit"), ipw.VBox()
        self._frames = ipw.SelectionSlider(options=[(t, i) for i, (t, _) in enumerate(self.frames)] or [("", 0)], description="Replay",
                                           layout=ipw.Layout(width="420px", display=None if self.frames else "none"))
        ipw.link((self, "what"), (self._pick, "value"))
        ipw.link((self, "name"), (self._class, "value"))
        ipw.link((self, "frame"), (self._frames, "value"))
        self._gallery.observe(lambda c: setattr(self, "index", int(c["new"])), names="picked")
        method = method_of(self._subject())
        self._live.children = [self._slider(n, k, getattr(method.hyper, n)) for n, k in knobs(type(method.hyper)).items()
                               if k.live and k.type in (int, float)]
        self.show(ipw.HBox([self._pick, self._class]), self._frames, self._live, self._scene, self._gallery)

    def _slider(self, name: str, k: Any, value: Any) -> ipw.Widget:
        made = ipw.Text(value="none" if value is None else f"{value:g}", description=name, continuous_update=False,
                        tooltip=k.help, style={"description_width": "80px"}, layout=ipw.Layout(width="200px"))
        made.observe(lambda c: self._change(name, k, c["new"]), names="value")
        return made

    @told
    def _change(self, name: str, k: Any, text: str) -> None:
        self.live = {**self.live, name: k.read(text)}

    @traitlets.observe("what", "index", "name", "live", "frame")
    @told
    def _draw(self, change: Any) -> None:
        if not self._ready:
            return
        looks, asks = self.what in inspect.takes("image", "images"), self.what in inspect.takes("name")
        self._class.disabled, self._gallery.layout.display = not asks, None if looks else "none"
        try:
            self.exhibit = self._make()
        except PromptlabError:
            self.exhibit = None
            self._scene.html = "<p>Nothing to show here; the reason stands below.</p>"
            raise
        self._scene.html = self._before_after(self.exhibit) + draw.exhibit(self.exhibit)

    def _make(self) -> Exhibit:
        if self.frames and isinstance(self.frames[self.frame][1], Exhibit):
            return self.frames[self.frame][1]
        subject = self._subject()
        method = method_of(subject)
        several = self.what in inspect.takes("images")
        image = self.split.take(self.order) if several else next(self.split.take([self.index]).batches(1))
        asked = {"name": self.name} if self.name and self.what in inspect.takes("name") else {}
        kept = method.hyper
        try:
            if self.live:
                method.hyper = dataclasses.replace(kept, **_checked(method, self.live))
            return inspect.show(subject, self.what, image, **asked)
        finally:
            method.hyper = kept

    def _before_after(self, e: Exhibit) -> str:
        """Two maps of one picture on one colour scale, under a slider; "" for exhibits that are no such pair."""
        a = e.arrays
        if e.kind != "maps" or not {"before", "after", "picture"} <= set(a):
            return ""
        top = max(float(a["before"].max()), float(a["after"].max()), 1e-12)
        shown = [draw.thumbnail(a["picture"], np.clip(a[k] / top, 0, 1)) for k in ("before", "after")]
        return draw.wipe(*shown, ("zero-shot", "tuned"))

    def figure(self, **look: Any) -> Any:
        """What is shown now as a plotly figure."""
        from promptlab.plots import draw as plotly

        return plotly(self.exhibit, **look)


def _epochs(run: Any) -> list[tuple[str, int]]:
    kept = epochs_of(run)
    return [("start" if e == 0 else f"epoch {e}", e) for e in spread(kept, MOST)]


def _checked(method: Any, live: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in live.items():
        if problem := knobs(type(method.hyper))[name].problem(method.card.id, value):
            raise BadHyper(problem)
    return dict(live)
