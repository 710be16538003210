"""CLAP: a probe that starts as the zero-shot prototypes and holds each class to its prototype, the firmer the better zero-shot knows it.

pred [B, C] = scale · cosine(f, w_c), w_c [E] first t_c, the mean of the *raw* text features over the templates.
loss = CE + (1/C) Σ_c λ_c |w_c - t_c|², λ_c = mean over the shots of class c of the zero-shot probability of c, fixed once.
Without the pull (``penalty`` "none") this is ZS-LP. Nothing is chosen on validation pictures.
Source: *A Closer Look at the Few-Shot Adaptation of Large Vision-Language Models*, CVPR 2024, arXiv:2312.12730;
``jusiro/CLAP: trainers/adapters.py``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch, Split, View
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.errors import BadData
from promptlab.fit.events import Event, Note
from promptlab.fit.gradient import gradient
from promptlab.method import Bank, Method, Out

WEIGHTS = ("class", "corrected", "constant", "balanced")


@dataclass(frozen=True)
class Hyper(Train):
    penalty: str = knob("l2", choices=("l2", "cosine", "none"), help="what holds a class to its text; none: ZS-LP")
    weights: str = knob("class", choices=WEIGHTS, help="λ: zero-shot's mean probability a class, that scaled to sum to C, its mean, or 1")
    init: str = knob("zero_shot", choices=("zero_shot", "random"), help="where the prototypes start")
    strength: float = knob(1.0, 0.0, 1e6, help="factor of the penalty, which grows with the text features' length squared; 1 in the paper")
    clean_names: bool = knob(False, help="read _ in names as spaces; the public code does not")
    lr: float = knob(0.1, 0.0, 1000.0, help="base learning rate")
    weight_decay: float = knob(0.0, 0.0, 1.0, help="weight decay")
    epochs: int = knob(300, 0, 10000, help="passes over the support set")
    batch: int = knob(256, 1, 4096, help="images per step")
    views: int = knob(20, 0, 1024, help="cached augmented views per image; 0 = fresh crops each epoch")


class CLAP(Method):
    card = Card(
        id="clap", name="CLAP", year=2024, venue="CVPR", paper="arXiv:2312.12730", code="jusiro/CLAP", family="adapter",
        supervision="supervised", difference="a probe from the text features, each class held to them as far as they are right",
        trains="one prototype a class", open_vocabulary=False, identity_at_init=True, protocols=("few_shot",), params_b16_k100=51_200,
        exposes=(Expose("pull", as_="bars"), Expose("drift", as_="bars")),
        presets={"demo": {"epochs": 100, "batch": 64, "augment": "none", "lr": 10.0, "strength": 0.1}, "zs-lp": {"penalty": "none"}},
        claims=(Claim("average of 11, all", 16, "RN50", "accuracy", 0.7457, "Table 1 (recalled, not checked)"),
                Claim("average of 11, all", 1, "RN50", "accuracy", 0.6279, "Table 1 (recalled, not checked)")),
        departs=("an epoch sees every picture in one of its 20 views; the code draws as many from all pictures and views together",
                 "the outer update of the multipliers, which the released setting never calls, is left out"),
        job=Job("world:vehicles@pixel-art", protocol="few_shot", test="test", shots=4, against="clap", against_hyper={"penalty": "none"}),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        base = self.base(task.classes)
        start = base if hyper.init == "zero_shot" else torch.randn_like(base) * base.norm(dim=-1).mean() / backbone.joint_dim**0.5
        self.prototypes = nn.Parameter(start.clone())
        self.register_buffer("anchor", base.clone(), persistent=False)  # follows from the names, so no checkpoint needs it
        self.register_buffer("pull", torch.zeros(len(task.classes), device=backbone.device))

    @torch.no_grad()
    def base(self, names: ClassSet) -> Tensor:
        """Mean of the raw text features over the templates [C, E]."""
        words = names.clean if self.hyper.clean_names else names.names
        return sum(self.text([t.format(w) for w in words]) for t in names.templates) / len(names.templates)

    @property
    def drift(self) -> Tensor:
        """|w_c - t_c| [C]."""
        return (self.prototypes - self.anchor).norm(dim=-1)

    def classes(self, names: ClassSet) -> Bank:
        return Bank(names, F.normalize(self.prototypes[self.rows(names)], dim=-1))

    def forward(self, batch: Batch, bank: Bank) -> Out:
        return Out(self.cosine(self.image(batch).pooled, bank.text), {"drift": self.drift.detach()})

    @torch.no_grad()
    def weigh(self, features: Tensor, target: Tensor) -> Tensor:
        """λ [C] from the support's features [n, E] and labels [n], by the zero-shot prototypes."""
        hot = F.one_hot(target.to(features.device), len(self.anchor)).float()
        known = self.cosine(features, F.normalize(self.anchor, dim=-1)).softmax(-1)
        found = (known * hot).sum(0) / hot.sum(0).clamp(min=1e-10)
        how = self.hyper.weights
        return {"class": found, "corrected": found * len(found) / found.sum(), "constant": found.mean().expand(len(found)),
                "balanced": torch.ones_like(found)}[how].clone()

    def constraint(self) -> Tensor:
        """(1/C) Σ_c λ_c · distance of the prototype from its text."""
        if self.hyper.penalty == "cosine":
            apart = 1 - F.cosine_similarity(self.prototypes, self.anchor, dim=-1)
        else:
            apart = (self.prototypes - self.anchor).square().sum(-1)
        return self.hyper.strength * (self.pull * apart).mean()

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        terms = super().loss(out, batch)
        return terms if self.hyper.penalty == "none" else {**terms, "constraint": self.constraint()}

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        if episode.support is None or episode.support.targets is None or not len(episode.support):
            raise BadData(f"clap learns from labelled pictures and '{episode.task.name}' has none; give it shots.")
        self.pull.copy_(self.weigh(*self._seen(episode.support)))
        yield Note(f"zero-shot's mean probability of the right class is {float(self.pull.mean()):.3f} over the shots; the pull follows it.")
        yield from gradient(self, episode, ctx)

    @torch.no_grad()
    def _seen(self, support: Split) -> tuple[Tensor, Tensor]:
        """Features and labels of the support in every view that the fit will see."""
        h = self.hyper
        views = [View()] if h.augment == "none" else [View(1 + i, h.crop_scale, seed=h.seed) for i in range(max(1, h.views))]
        f = torch.cat([self.image(b).pooled for view in views for b in support.batches(100, view=view)])
        return f, support.targets.repeat(len(views))
