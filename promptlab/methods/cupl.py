"""CuPL: instead of one hand-written sentence, many sentences about what each class looks like, written by a language model (or by you).

t_c = unit(mean over the sentences s of class c of unit(T(s))) [E], pred [B, C] = scale · v̂ · t_c; a sentence that is too long is cut.
``texts``: the sentences, the hand-written templates, or both in one flat mean, text by text. Sentences: ``descriptions``, the class
set's own, or the shipped ones of the picture world.
Source: *What does a platypus look like? Generating customized prompts for zero-shot image classification*, ICCV 2023,
arXiv:2209.03320; ``sarahpratt/CuPL: classify_imagenet.py``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F

from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.descriptions import lacking, texts_of
from promptlab.data.task import Episode, Task
from promptlab.fit.events import Event, Note
from promptlab.method import Bank, Method, Out
from promptlab.parts.texts import Library


@dataclass(frozen=True)
class Hyper(Train):
    texts: str = knob("sentences", choices=("sentences", "templates", "both"), live=True, help="which texts of a class are averaged")
    descriptions: str | None = knob(None, help="JSON file of sentences, or 'foggy'; empty: of the class set, else shipped")


class CuPL(Method):
    card = Card(
        id="cupl", name="CuPL", year=2023, venue="ICCV", paper="arXiv:2209.03320", code="sarahpratt/CuPL", family="other",
        supervision="training-free", difference="the mean of many sentences about each class instead of one template", trains="nothing",
        exposes=(Expose("per_text", as_="texts"),), presets={"demo": {}},
        claims=(Claim("imagenet", None, "ViT-L-14", "accuracy", 0.7669, "Table 2 (recalled, not checked)"),),
        departs=("sentences are matched by class name, so two classes of one name cannot share them",
                 "a class without sentences is scored by the first template"),
        job=Job("world:textures@foggy", protocol="few_shot", test="test", hyper={"descriptions": "foggy"},
                against_hyper={"templates": "dataset-all"},
                note="the sentences say of every class that it lies in the fog, in words that pocket has read: the gain is that of the "
                     "style's words, not of describing classes; most words of the general store pocket never read"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.library = Library(backbone)

    def lists(self, names: ClassSet) -> list[list[str]]:
        """All texts of each class."""
        known = [()] * len(names) if self.hyper.texts == "templates" else texts_of(names, "sentences", self.hyper.descriptions)
        templates = names.templates if self.hyper.texts != "sentences" else ()
        return [[t.format(n) for t in templates or (() if own else names.templates[:1])] + list(own)
                for n, own in zip(names.clean, known, strict=True)]

    def classes(self, names: ClassSet) -> Bank:
        written = self.library(self.lists(names))
        return Bank(names, written.centres, {"sentences": written, "agreement": written.means.norm(dim=-1)})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        pooled = self.image(batch).pooled
        per_text = F.normalize(pooled.float(), dim=-1) @ bank.extra["sentences"].features.T
        return Out(self.cosine(pooled, bank.text), {"per_text": per_text})

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        names = self.task.classes
        counts = [len(group) for group in self.lists(names)]
        yield Note(f"cupl needs no training; it averages {min(counts)} to {max(counts)} texts a class.")
        known = texts_of(names, "sentences", self.hyper.descriptions)
        if self.hyper.texts != "templates" and (missing := lacking(names, known, "sentences")):
            yield Note(missing)
