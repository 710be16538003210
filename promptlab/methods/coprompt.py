"""CoPrompt: MaPLe with small adapters, kept consistent with the frozen model that sees another view and reads other sentences.

v = (1 - a) v' + a A_v(v'), t_c = (1 - b) t'_c + b A_t(t'_c) with MaPLe's raw features v' [B, E], t' [C, E] and bottlenecks A without
biases; pred [B, C] = scale · cosine. L = cross-entropy + W [(1 - mean_c cos(t_c, r_jc)) + (1 - mean_b cos(v(x1), v°(x2)))]: x1, x2 are
two random views, r_j [C, E] frozen features of sentence j of every class, j drawn once a step.
Source: *Consistency-guided Prompt Learning*, ICLR 2024, arXiv:2306.01195 (eq. 2-7); ``ShuvenduRoy/CoPrompt: trainers/coprompt.py``.
"""

import dataclasses
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab import registry
from promptlab.backbones.points import Edit
from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.data.templates import SETS, template_set
from promptlab.losses import cosine_distance
from promptlab.method import Bank, Method, Out
from promptlab.parts.heads import Bottleneck

APART = 1_000_003  # between the numbers of the views that learner and teacher see


@dataclasses.dataclass(frozen=True)
class Hyper(Train):
    n_ctx: int = knob(2, 1, 64, help="prompt tokens of MaPLe, each tower")
    depth: int = knob(9, 1, 64, help="blocks with prompts, the input included")
    ctx_init: str | None = knob("a photo of a", help="words that MaPLe's prompts start from")
    weight: float = knob(1.0, 0.0, 1000.0, help="W, pull towards the frozen model (8 in the paper's text, 1 in its configuration)")
    image_share: float = knob(0.1, 0.0, 1.0, live=True, help="a, share of the adapter in the image feature")
    text_share: float = knob(0.2, 0.0, 1.0, live=True, help="b, share of the adapter in the class feature")
    reduction: int = knob(4, 1, 64, help="how much narrower the adapters are than the features")
    sentences: str = knob("dataset-all", choices=SETS, help="what the teacher reads of classes without descriptions")
    augment: str = knob("randaugment", choices=("none", "crop", "randaugment"), help="how the two views are drawn")
    lr: float = knob(3.5e-3, 0.0, 1000.0, help="base learning rate")
    epochs: int = knob(8, 0, 10000, help="passes over the support set")
    batch: int = knob(4, 1, 4096, help="pictures of a step")


class CoPrompt(Method):
    card = Card(
        id="coprompt", name="CoPrompt", year=2024, venue="ICLR", paper="arXiv:2306.01195", code="ShuvenduRoy/CoPrompt",
        family="text-visual prompt", supervision="supervised", trains="MaPLe's prompts and maps, two adapters",
        difference="MaPLe and adapters, consistent with the frozen model on another view and other sentences",
        needs=("text", "text-deep", "image-deep"), params_b16_k100=3_817_216,
        exposes=(Expose("text", as_="kept"), Expose("maple.context.ctx", as_="words")),
        presets={"demo": {"depth": 3, "optimiser": "adam", "lr": 5e-3, "weight_decay": 0.0, "batch": 16, "steps": 60,
                          "schedule": "step-cosine", "augment": "none", "weight": 8.0},
                 "paper-text": {"weight": 8.0}},
        claims=(Claim("average of 11, base", 16, "ViT-B-16", "accuracy", 0.8400, "repository README"),
                Claim("average of 11, new", 16, "ViT-B-16", "accuracy", 0.7723, "repository README")),
        departs=("without descriptions of the classes the teacher reads the data set's templates; the code ships sentences of a language "
                 "model for its eleven data sets", "classes may have different numbers of sentences; the smallest number is used of all",
                 "lengths in RandAugment are shares of the side", "float32; the teacher is no part of the checkpoint"),
        job=Job(against="maple", test="H", against_hyper={"lr": 5e-3, "steps": 60}),  # the same budget
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        maple = registry.get("maple")
        self.maple = maple(backbone, task, maple.Hyper(n_ctx=hyper.n_ctx, depth=hyper.depth, ctx_init=hyper.ctx_init))
        self.adapt_image, self.adapt_text = (Bottleneck(backbone.joint_dim, hyper.reduction) for _ in range(2))
        self.to(backbone.device)
        self.read: tuple[ClassSet, Tensor] | None = None  # the last names and what the teacher read of them

    def edits(self, batch: Batch | None = None) -> list[Edit]:
        return self.maple.edits(batch)

    def classes(self, names: ClassSet) -> Bank:
        raw, share = self.text(self.maple.context.inputs(names)), self.hyper.text_share
        return Bank(names, F.normalize((1 - share) * raw + share * self.adapt_text(raw), dim=-1))

    def forward(self, batch: Batch, bank: Bank) -> Out:
        raw, share = self.image(self.seen(batch, 0)).pooled.float(), self.hyper.image_share
        image = (1 - share) * raw + share * self.adapt_image(raw)
        return Out(self.cosine(image, bank.text), {"text": bank.text, "image": image})

    def seen(self, batch: Batch, who: int) -> Batch:
        """The batch as the learner (0) or the teacher (1) sees it; the test transform has one view only."""
        if batch.view.index == 0:
            return batch
        drawn = {"index": batch.view.index + who * APART, "randaugment": self.hyper.augment == "randaugment"}
        return batch.with_view(dataclasses.replace(batch.view, **drawn))

    @torch.no_grad()
    def teacher(self, names: ClassSet) -> Tensor:
        """Frozen unit features [J, C, E] of J sentences a class: its descriptions, or templates with its name."""
        if self.read is None or self.read[0] != names:
            said = [names.descriptions.get(n, ()) for n in names.names]
            if not all(said):
                said = list(zip(*(names.prompts(t) for t in template_set(self.hyper.sentences, names)), strict=True))
            columns = list(zip(*said, strict=False))  # [J][C]
            self.read = names, torch.stack([F.normalize(self.backbone.encode_text(list(c)).pooled.float(), dim=-1) for c in columns])
        return self.read[1]

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        sentences = self.teacher(self.task.classes)
        if self.training:
            sentences = sentences[torch.randint(len(sentences), (1,))]
        image = self.backbone.cached_image(self.seen(batch, 1)).pooled
        text = cosine_distance(out.aux["text"].expand_as(sentences), sentences)
        return {**super().loss(out, batch), "text": self.hyper.weight * text,
                "image": self.hyper.weight * cosine_distance(out.aux["image"], image)}
