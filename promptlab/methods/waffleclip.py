"""WaffleCLIP: class names with random words and random characters behind them, the same for all classes: the control experiment for
every method that asks a language model for descriptions.

score_c = mean over the K texts "A photo of a {c}, which has {noise_k}." of cosine(v, T(text)), pred [B, C] = scale · score; the mean of
cosines, so the mean text is not brought to unit length again. ``mode`` names the texts: noise, VCD's descriptors, both, or the name alone.
Source: *Waffling around for Performance: Visual Classification with Random Words and Broad Concepts*, ICCV 2023, arXiv:2306.07282;
``ExplainableML/WaffleCLIP: waffle_tools.py, base_main.py``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch.nn.functional as F

from promptlab.card import Card, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.descriptions import texts_of
from promptlab.data.noise import clause, noise
from promptlab.data.task import Episode, Task
from promptlab.fit.events import Event, Note
from promptlab.method import Bank, Method, Out
from promptlab.parts.texts import AGGREGATES, Library

BOTH = ("words", "characters")
NOISE = {"waffle": BOTH, "words": BOTH[:1], "characters": BOTH[1:], "waffle_and_descriptors": BOTH}


@dataclass(frozen=True)
class Hyper(Train):
    mode: str = knob("waffle", choices=(*NOISE, "descriptors", "name"), live=True, help="what stands behind the name")
    pairs: int = knob(15, 1, 1000, live=True, help="random descriptors of each sort")
    aggregate: str = knob("mean", choices=AGGREGATES, live=True, help="mean or largest cosine, or the cosine with the unit mean text")
    before: str = knob("A photo of a ", live=True, help="what stands before the name")
    after: str = knob(".", live=True, help="what stands at the end")
    concept: bool = knob(False, live=True, help="say what the classes are: 'A photo of a food: a ...'")
    descriptions: str | None = knob(None, help="JSON file of descriptions, for the modes that read descriptors; empty: the shipped ones")


class WaffleCLIP(Method):
    card = Card(
        id="waffleclip", name="WaffleCLIP", year=2023, venue="ICCV", paper="arXiv:2306.07282", code="ExplainableML/WaffleCLIP",
        family="text prompt", supervision="training-free", difference="random words and characters behind the class name, averaged",
        trains="nothing", exposes=(Expose("per_text", as_="texts"),), presets={"demo": {}},
        departs=("random texts come from Python's generator and our own list of words, so they are other ones than the code's",
                 "noise is drawn once for all classes instead of for one class whose name is then replaced (the same texts result)",
                 "characters are the letters a-z instead of those that occur in a data set's descriptors"),
        job=Job(data="world:animals@sketch", protocol="few_shot", test="test", against="vcd",
                note="noise does no worse than descriptors, which is the paper's point; both lose to the bare name here, since "
                     "pocket's text tower read nothing but short captions"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.library = Library(backbone)

    def texts(self, names: ClassSet) -> list[list[str]]:
        """The sentences of each class."""
        h = self.hyper
        before = f"A photo of a {names.topic}: a " if h.concept and names.topic else h.before
        if h.mode == "name":
            return [[f"{before}{n}{h.after}"] for n in names.clean]
        shared = noise(names.clean, h.pairs, h.seed, NOISE[h.mode]) if h.mode in NOISE else []
        own = texts_of(names, "descriptors", h.descriptions) if "descriptors" in h.mode else [()] * len(names)
        both = zip(names.clean, own, strict=True)
        return [[f"{before}{n}, {clause(d)}{h.after}" for d in self._mixed(shared, known)] for n, known in both]

    def _mixed(self, shared: Sequence[str], own: Sequence[str]) -> list[str]:
        """Noise, descriptors (one empty one where a class has none), or both: two thirds of the noise and as many drawn descriptors."""
        if self.hyper.mode != "waffle_and_descriptors":
            return [*shared, *(own or ([] if shared else [""]))]
        kept = list(shared[: max(1, 2 * len(shared) // 3)])
        return kept + (Random(self.hyper.seed).choices(list(own), k=len(kept)) if own else [])

    def classes(self, names: ClassSet) -> Bank:
        found = self.library(self.texts(names))
        return Bank(names, found.centres, {"sentences": found})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        found = bank.extra["sentences"]
        v = F.normalize(self.image(batch).pooled.float(), dim=-1)
        pred = self.backbone.scale * found.scores(v, self.hyper.aggregate) + self.backbone.bias
        return Out(pred, {"features": v, "per_text": v @ found.features.T})

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        first = self.texts(self.task.classes)[0]
        yield Note(f"waffleclip needs no training; it scores {len(first)} texts a class, such as {first[-1]!r}.")
