"""WiSE-FT: fine-tune the whole image tower and a linear head that starts as the zero-shot classifier, then average the weights.

pred [B, C] = W_a · unit(v_a) + b_a with every tensor θ_a = θ_0 + a Δ, θ_0 zero-shot (W_0 = scale · t_c, b_0 = 0), θ_0 + Δ
fine-tuned: a = 1 in training, a = α after, so α = 0 is zero-shot, α = 1 the fine-tuned model, and 0.5 the recommended middle.
Source: *Robust Fine-Tuning of Zero-Shot Models*, CVPR 2022, arXiv:2109.01903 (eq. 1); ``mlfoundations/wise-ft: src/wise_ft.py,
src/models/finetune.py``.
"""

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F

from promptlab.backbones.points import Edit
from promptlab.card import Card, Claim, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.method import Bank, Method, Out
from promptlab.parts.heads import LinearHead
from promptlab.parts.weights import Delta


@dataclass(frozen=True)
class Hyper(Train):
    alpha: float = knob(0.5, 0.0, 1.0, live=True, help="α, from zero-shot (0) to fine-tuned (1)")
    train: str = knob("all", choices=("all", "head"), help="image tower and head, or the head on frozen features")
    optimiser: str = knob("adamw", choices=("sgd", "adam", "adamw"), help="optimiser")
    lr: float = knob(3e-5, 0.0, 1000.0, help="base learning rate")
    weight_decay: float = knob(0.1, 0.0, 1.0, help="weight decay")
    epochs: int = knob(10, 0, 10000, help="passes over the support set")
    batch: int = knob(512, 1, 4096, help="images per step")
    schedule: str = knob("step-cosine", choices=("epoch-cosine", "step-cosine", "constant"), help="learning-rate schedule")
    warmup_steps: int = knob(500, 0, 1_000_000, help="linear warm-up steps")
    clip_norm: float | None = knob(1.0, 0.0, 1e6, help="gradient-norm limit")
    crop_scale: float = knob(0.9, 0.01, 1.0, help="smallest area of the random crop")


class WiSEFT(Method):
    card = Card(
        id="wise_ft", name="WiSE-FT", year=2022, venue="CVPR", paper="arXiv:2109.01903", code="mlfoundations/wise-ft",
        family="other", supervision="supervised", difference="fine-tuned image tower and head, averaged with the zero-shot weights",
        trains="all image weights and a linear head", needs=("image-weights",), open_vocabulary=False, identity_at_init=True,
        protocols=("few_shot", "domain_shift"), params_b16_k100=86_243_940,
        presets={"demo": {"lr": 1e-4, "batch": 32, "steps": 60, "warmup_steps": 10, "augment": "none"},
                 "few-shot-head": {"train": "head", "lr": 1e-5}},
        claims=(Claim("imagenet, head only", 16, "ViT-B-16", "accuracy", 0.73, "repository issue 5"),),
        departs=("weights are kept as their change Δ from the start, so weight decay pulls to zero-shot instead of to zero "
                 "(at lr 3e-5 x 0.1 a relative 3e-6 a step)",
                 "a logit bias of the backbone is where the head's bias starts; the code has none",
                 "random flips as well as random crops", "batch-norm statistics of residual networks stay those of the backbone"),
        job=Job("world:animals@sketch", "wise_ft", "domain_shift", test="targets", against_hyper={"alpha": 1.0},
                targets=("world:animals@pixel-art", "world:animals@thermal", "world:animals@photo")),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.head = LinearHead(len(task.classes), backbone.joint_dim)
        self.tower = Delta(backbone.image.weights if hyper.train == "all" else {})
        self.to(backbone.device)

    @property
    def share(self) -> float:
        """Where on the line from zero-shot to fine-tuned the weights stand now."""
        return 1.0 if self.training else self.hyper.alpha

    def edits(self, batch: Batch | None = None) -> list[Edit]:
        return self.tower.edits(self.share)

    def classes(self, names: ClassSet) -> Bank:
        rows = self.rows(names)
        return Bank(names, self.plain(names, names.templates), {"rows": rows})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        v = F.normalize(self.image(batch).pooled.float(), dim=-1)
        start = (self.backbone.scale * bank.text, self.backbone.bias)
        return Out(self.head(v, start, self.share, bank.extra["rows"]), {"features": v})
