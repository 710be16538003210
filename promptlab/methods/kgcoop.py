"""KgCoOp: CoOp whose class features are pulled back to those of the hand-written template, so that new classes survive.

L = cross-entropy + λ · (1 - mean_c cos(t_c, r_c)), r_c [E] the frozen feature of the dataset's own sentence.
Source: *Visual-Language Prompt Tuning with Knowledge-guided Context Optimization*, CVPR 2023, arXiv:2303.13283 (eq. 3-5);
``htyao89/KgCoOp: KgCoOp/trainers/kgcoop.py``.
"""

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.losses import cosine_distance
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import Context


@dataclass(frozen=True)
class Hyper(Train):
    weight: float = knob(8.0, 0.0, 1000.0, help="λ, the pull towards the hand-written sentence")
    reference: str | None = knob(None, help="sentence with {} that is pulled towards; the dataset's first template when empty")
    ctx_init: str | None = knob("a photo of a", help="initial words; random vectors when empty")
    n_ctx: int = knob(4, 1, 64, help="learned vectors without initial words")
    class_specific: bool = knob(False, help="one context for every class; then other names cannot be asked for")
    epochs: int = knob(100, 0, 10000, help="passes over the support set")
    batch: int = knob(128, 1, 4096, help="images per step")


class KgCoOp(Method):
    card = Card(
        id="kgcoop", name="KgCoOp", year=2023, venue="CVPR", paper="arXiv:2303.13283", code="htyao89/KgCoOp",
        family="text prompt", supervision="supervised", difference="learned context, pulled towards the hand-written sentence",
        trains="context vectors", needs=("text",), params_b16_k100=2048, exposes=(Expose("context.ctx", as_="words"),),
        presets={"demo": {"batch": 32, "optimiser": "adam", "weight_decay": 0.0, "lr": 0.005, "steps": 200, "schedule": "step-cosine",
                          "augment": "none"}},
        claims=(Claim("average of 11, new", 16, "ViT-B-16", "accuracy", 0.7360, "repository README"),),
        departs=("the guidance term is 1 - cosine as in the code; the paper's squared distance is twice that",
                 "the reference features are float32 instead of float16", "the bias, meta-net and adapter that the code builds "
                 "and never uses are left out", "any initial words may be given; the code always takes 'a photo of a'"),
        job=Job(against="coop", test="new"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        per = "class" if hyper.class_specific else "shared"
        self.context = Context(backbone, task.classes, hyper.n_ctx, words=hyper.ctx_init, per=per)

    def classes(self, names: ClassSet) -> Bank:
        """Learned features [C, E], and the frozen ones as ``extra["reference"]``."""
        frozen = self.plain(names, (self.hyper.reference,) if self.hyper.reference else None)
        return Bank(names, F.normalize(self.text(self.context.inputs(names)), dim=-1), {"reference": frozen})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        return Out(self.cosine(self.image(batch).pooled, bank.text), {"text": bank.text, "reference": bank.extra["reference"]})

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        guidance = cosine_distance(out.aux["text"], out.aux["reference"])
        return {**super().loss(out, batch), "guidance": self.hyper.weight * guidance}
