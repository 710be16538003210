"""VCD, classification by description: a class is scored by its descriptors, so that an answer comes with reasons.

score_c = mean over the descriptors d of c of cosine(v, T("{c}, which has {d}")), pred [B, C] = scale · score; the mean of cosines, so
the mean text is not brought to unit length again. The clause is "which is {d}" where d starts with a, an or used, "which {d}" where it
starts with has, often, typically, may or can. No "a photo of a". Descriptors: ``descriptions``, the class set's own, or shipped ones.
Source: *Visual Classification via Description from Large Language Models*, ICLR 2023, arXiv:2210.07183 (eq. 1);
``sachit-menon/classify_by_description_release: load.py, loading_helpers.py, main.py``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.descriptions import lacking, texts_of
from promptlab.data.noise import clause
from promptlab.data.task import Episode, Task
from promptlab.fit.events import Event, Note
from promptlab.method import Bank, Method, Out
from promptlab.parts.texts import AGGREGATES, Library, unit_texts


@dataclass(frozen=True)
class Hyper(Train):
    descriptions: str | None = knob(None, help="JSON file of descriptors; empty: those of the class set, else the shipped ones")
    aggregate: str = knob("mean", choices=AGGREGATES, live=True, help="mean or largest cosine, or the cosine with the unit mean text")
    name_at: str = knob("prepend", choices=("prepend", "append", "none"), live=True, help="where the class name stands")
    clauses: bool = knob(True, live=True, help="descriptors as relative clauses; off: as they are")
    before: str = knob("", live=True, help="what stands before the name ('a photo of a ')")
    between: str = knob(", ", live=True, help="what stands between name and clause")
    after: str = knob("", live=True, help="what stands at the end ('.' on ImageNet in the paper)")


class VCD(Method):
    card = Card(
        id="vcd", name="VCD", year=2023, venue="ICLR", paper="arXiv:2210.07183", code="sachit-menon/classify_by_description_release",
        family="other", supervision="training-free", difference="scores of descriptors of the class, averaged: the answer with its reasons",
        trains="nothing", exposes=(Expose("per_text", as_="texts"),), presets={"demo": {}},
        claims=(Claim("imagenet", None, "ViT-B-32", "accuracy", 0.6297, "Table 1 (recalled, not checked)"),
                Claim("EuroSAT", None, "ViT-B-32", "accuracy", 0.4894, "Table 1 (recalled, not checked)")),
        departs=("descriptors are matched by class name; in the code the order of the file makes the labels",
                 "scores are multiplied by the logit scale, so that their softmax says something; the code's are bare cosines",
                 "a class without a list counts as one with an empty list"),
        job=Job(data="world:textures@photo", protocol="few_shot", test="test", against="waffleclip",
                note="pocket's text tower never read relative clauses, nor most of the descriptors' words: they do as noise does, and "
                     "both lose to the bare name; that they mean something is seen with name_at=none (half right, chance 1 in 24)"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.library = Library(backbone)

    def texts(self, names: ClassSet) -> list[list[str]]:
        """The sentences of each class; an empty list of descriptors is one empty descriptor, as in the code."""
        lists = texts_of(names, "descriptors", self.hyper.descriptions)
        return [[self.sentence(n, d) for d in (known or ("",))] for n, known in zip(names.clean, lists, strict=True)]

    def sentence(self, name: str, descriptor: str) -> str:
        """One descriptor of a class as a text."""
        h = self.hyper
        said = clause(descriptor) if h.clauses else descriptor
        return {"prepend": f"{h.before}{name}{h.between}{said}{h.after}", "append": f"{said}{h.between}{name}", "none": said}[h.name_at]

    def baseline(self, names: ClassSet, before: str = "", after: str = "") -> Tensor:
        """What the paper compares with: unit features [C, E] of the bare names."""
        return unit_texts(self.backbone, [f"{before}{n}{after}" for n in names.clean])

    def classes(self, names: ClassSet) -> Bank:
        described = self.library(self.texts(names))
        return Bank(names, described.centres, {"sentences": described})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        image, described = F.normalize(self.image(batch).pooled.float(), dim=-1), bank.extra["sentences"]
        score = described.scores(image, self.hyper.aggregate)
        return Out(self.backbone.scale * score + self.backbone.bias, {"score": score, "per_text": image @ described.features.T})

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        names = self.task.classes
        yield Note(f"vcd needs no training; {names.names[0]!r} is scored by texts such as {self.texts(names)[0][0]!r}.")
        if missing := lacking(names, texts_of(names, "descriptors", self.hyper.descriptions), "descriptors"):
            yield Note(missing)
