"""PromptPlayground: sentences, free text and learned contexts, scored on pictures while you type."""

from collections.abc import Sequence
from typing import Any

import ipywidgets as ipw
import torch
import torch.nn.functional as F
import traitlets
from torch import Tensor

from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.errors import BadData
from promptlab.inspect.subject import class_text
from promptlab.method import sandbox
from promptlab.runs import Run
from promptlab.shots import shots_of
from promptlab.widgets import draw, pictures
from promptlab.widgets.base import Panel, told
from promptlab.widgets.scene import Scene

MOST = 200  # pictures that a template is scored on
TOP = 6


class PromptPlayground(Panel):
    """Traits: ``templates`` (each with ``{}``; all of them together are the ensemble), ``texts`` (free sentences, compared with the
    picture), ``index`` (the picture). ``scores``: prompt → accuracy on up to 200 validation pictures (never test pictures), the
    learned contexts of ``runs`` among them.
    """

    templates = traitlets.List(traitlets.Unicode(), ["a photo of a {}."])
    texts = traitlets.List(traitlets.Unicode())
    index = traitlets.Int(0)
    scores = traitlets.Dict()

    def __init__(self, clip: Any, task: Any, runs: Sequence[Run] = (), *, templates: Sequence[str] = (), texts: Sequence[str] = ()):
        self.clip, self.runs = clip, list(runs)
        episode, _ = shots_of(task).draw(1)
        split = episode.val or episode.support
        if split is None or split.targets is None or split.targets.ndim != 1:
            raise BadData("the playground scores sentences on labelled pictures with one class each; give a task that has them.")
        self.names: ClassSet = episode.task.classes
        self.split = split.take(pictures.spread(split, MOST))
        super().__init__()
        self.image = F.normalize(torch.cat([clip.cached_image(b).pooled.float() for b in self.split.batches(64)]), dim=-1)
        self._learned = {f"{i + 1} {r.key}": text for i, r in enumerate(self.runs) if (text := self._text_of(r)) is not None}
        self._build()
        self.templates = list(templates) or ["a photo of a {}.", "a {}."]
        self.texts = list(texts)
        self._draw(None)

    def _text_of(self, run: Run) -> Tensor | None:
        """The class features of a run; None where its class side depends on the picture or is no text."""
        method = run.method
        if method.task.classes.names != self.names.names:
            raise BadData(f"run {run.id} was fitted on other classes; give runs of the same task.")
        with sandbox(method), torch.no_grad():
            bank = method.bank()
            batch: Batch = next(self.split.batches(1))
            return class_text(bank, method.predict(batch, bank)) if bank.text is not None else None

    def _build(self) -> None:
        wide = ipw.Layout(width="420px", height="90px")
        self._box = ipw.Textarea(description="Templates", layout=wide, placeholder="one a line, {} is the name's place")
        self._free = ipw.Textarea(description="Free text", layout=wide, placeholder="any sentences, one a line")
        self._scene = Scene(label="accuracy of the sentences")
        self._answer = Scene(label="what the picture is nearest to")
        few = list(range(min(24, len(self.split))))
        labels = pictures.captions(self.split, self.names.names, few)
        self._gallery = Scene(label="pictures", html=draw.gallery(
            [(pictures.address(self.split, i, 44), n, str(i)) for i, n in zip(few, labels)], side=44))
        for box, trait in ((self._box, "templates"), (self._free, "texts")):
            box.observe(lambda c, t=trait: setattr(self, t, [line.strip() for line in c["new"].split("\n") if line.strip()]), names="value")
        self._gallery.observe(lambda c: setattr(self, "index", int(c["new"])), names="picked")
        self.show(ipw.HBox([self._box, self._free]), self._scene, self._answer, self._gallery)

    def features(self, templates: Sequence[str]) -> Tensor:
        """Class features [C, E] of templates, unit length."""
        ClassSet(self.names.names, tuple(templates))  # says what is wrong with a template
        return self.clip.zero_shot(self.names.clean, tuple(templates))

    def accuracy(self, text: Tensor) -> float:
        return float(((self.image @ text.T).argmax(1).cpu() == self.split.targets).float().mean())

    @traitlets.observe("templates", "texts", "index")
    @told
    def _draw(self, change: Any) -> None:
        if not hasattr(self, "_scene"):
            return
        if not self.templates:
            raise BadData("give at least one template, such as 'a photo of a {}.'.")
        found = {t: self.features([t]) for t in self.templates}
        if len(found) > 1:
            found["all templates together"] = self.features(self.templates)
        found |= self._learned
        self.scores = {name: self.accuracy(text) for name, text in found.items()}
        note = f"<small>Accuracy on {len(self.split)} validation pictures.</small>"
        self._scene.html = draw.bars([(n if len(n) < 26 else n[:24] + "…", v, [v]) for n, v in self.scores.items()]) + note
        self._answer.html = self._nearest(list(found.items())[0 if len(self.templates) == 1 else len(self.templates)])

    def _nearest(self, chosen: tuple[str, Tensor]) -> str:
        """The picture, its likeliest classes under one prompt, and its cosine to the free texts."""
        name, text = chosen
        v = self.image[self.index]
        p = (self.clip.scale * v @ text.T).softmax(-1)
        top = p.argsort(descending=True)[:TOP].tolist()
        true = self.names.names[int(self.split.targets[self.index])]
        shown = draw.gallery([(pictures.address(self.split, self.index, 120), true, "")], side=120)
        out = shown + f"<small>{draw.esc(name)}</small>" + draw.bars([(self.names.names[i], float(p[i]), []) for i in top], width=420)
        if self.texts:
            free = F.normalize(self.clip.encode_text(self.texts).pooled.detach().float(), dim=-1)
            rows = [(i, (t, f"{float(v @ free[i]):.3f}")) for i, t in enumerate(self.texts)]
            out += draw.table(("free text", "cosine to the picture"), rows)
        return out
