"""ProDA: many contexts make many classifiers of each class, and what is learned is their distribution, a Gaussian over weights.

w_c ~ N(μ_c, Σ): μ_c [E] = mean_i t_ic over p prompts drawn for the step, Σ diagonal in E, full across classes. With a picture's label y
and A_cd [E] = Σ_i (t_ic - μ_c)(t_id - μ_d) / (p + 1), σ²_c = Σ_e v̂_e² (A_yy + A_cc - 2 A_yc)_e, and the cross-entropy of
scale · v̂ · μ_c + ½ scale² σ²_c [B, C] is at least the expected one. Plus λ · mean_{i≠j} |cos(g_i, g_j)| of the prompts without a name,
g_i = T(SOS, ctx_i, ".", EOT). A quarter of the N prompts has the name in front, a quarter in the middle, the others at the end.
Answers: scale · v̂ · μ_c with all N, μ not normalised again.
Source: *Prompt Distribution Learning*, CVPR 2022, arXiv:2205.03340 (eq. 6-12); no public code of the authors was found, so this follows
the re-implementation of ``ml-stat-Sustech/CLIP_Calibration: trainers/classification/proda.py``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.fit.events import Epoch, Event
from promptlab.fit.gradient import gradient
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import Context

NAMELESS = ClassSet(("",))


@dataclass(frozen=True)
class Hyper(Train):
    n_prompts: int = knob(32, 1, 256, help="N, contexts")
    prompt_batch: int = knob(4, 1, 256, help="p, contexts that a step reads")
    n_ctx: int = knob(16, 1, 64, help="learned vectors of each")
    diversity: float = knob(0.1, 0.0, 100.0, help="λ, the push between prompts without a name")
    clean_names: bool = knob(True, help="read _ in names as spaces; the re-implementation does so in only one of two places")
    lr: float = knob(1e-3, 0.0, 1000.0, help="base learning rate")
    batch: int = knob(20, 1, 4096, help="images per step")
    epochs: int = knob(100, 0, 10000, help="passes over the support set")


def alike(free: Tensor) -> Tensor:
    """Mean absolute cosine of different rows of unit features [N, E]."""
    cosines, n = (free @ free.T).abs(), len(free)
    return (cosines.sum() - cosines.diagonal().sum()) / (n * (n - 1))


class RawNames(Context):
    """Sentences with the names as they are, while their length is still counted with spaces for underscores."""

    def texts(self, names: ClassSet) -> list[str]:
        return [text.replace(clean, name) for text, clean, name in zip(super().texts(names), names.clean, names.names, strict=True)]


class ProDA(Method):
    card = Card(
        id="proda", name="ProDA", year=2022, venue="CVPR", paper="arXiv:2205.03340", code="ml-stat-Sustech/CLIP_Calibration",
        family="text prompt", supervision="supervised", difference="a Gaussian over class weights, learned through many contexts",
        trains="N contexts", checked="reimpl", needs=("text",), params_b16_k100=262_144, exposes=(Expose("places.end.ctx", as_="words"),),
        presets={"demo": {"n_prompts": 8, "batch": 32, "optimiser": "adam", "weight_decay": 0.0, "lr": 0.01, "steps": 120,
                          "schedule": "step-cosine", "augment": "none"}},
        claims=(Claim("average of 11, new", 16, "ViT-B-16", "accuracy", 0.7230, "as later comparisons list it"),),
        departs=("optimiser, epochs, batch and learning rate of the paper are from memory",
                 "all three places of the name are built; the re-implementation has them but makes end prompts only when it trains",
                 "underscores in names are spaces everywhere", "the order of the prompts is drawn anew at each epoch",
                 "a single prompt has no diversity term; the re-implementation then computes nan"),
        job=Job("world:vehicles@pixel-art", against="coop", test="new"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        quarter, kind = hyper.n_prompts // 4, Context if hyper.clean_names else RawNames
        self.counts = {"front": quarter, "middle": quarter, "end": hyper.n_prompts - 2 * quarter}
        self.places = nn.ModuleDict({place: kind(backbone, task.classes, hyper.n_ctx, position=place, n_prompts=n)
                                     for place, n in self.counts.items() if n})
        self.queue: list[int] = []  # prompts that this round has not read yet

    def features(self, names: ClassSet, which: list[int]) -> Tensor:
        """Unit features [p, C, E] of the prompts ``which``, in order of their number: front, middle, end."""
        found, start = [], 0
        for place, context in self.places.items():
            here = [i - start for i in sorted(which) if start <= i < start + self.counts[place]]
            start += self.counts[place]
            if here:
                ctx = context.ctx[here] if self.counts[place] > 1 else context.ctx
                found.append(self.text(context.inputs(names, ctx=ctx)).unflatten(0, (len(here), len(names))))
        return normalize(torch.cat(found), dim=-1)

    def draw(self) -> list[int]:
        """The next p prompts of a random order that is walked through to its end."""
        p = min(self.hyper.prompt_batch, self.hyper.n_prompts)
        if len(self.queue) < p:
            self.queue = torch.randperm(self.hyper.n_prompts).tolist()
        taken, self.queue = self.queue[:p], self.queue[p:]
        return taken

    def classes(self, names: ClassSet) -> Bank:
        everything = list(range(self.hyper.n_prompts))
        text = self.features(names, self.draw() if self.training else everything)
        return Bank(names, text, {"free": self.features(NAMELESS, everything)[:, 0]} if torch.is_grad_enabled() else {})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        v = normalize(self.image(batch).pooled.float(), dim=-1)
        return Out(self.cosine(v, bank.text.mean(0)), {"image": v, "text": bank.text, **bank.extra})

    def upper(self, out: Out, target: Tensor) -> Tensor:
        """Logits [B, C] whose cross-entropy bounds the expected one from above."""
        text, squared = out.aux["text"], out.aux["image"].square()
        off = text - text.mean(0)
        own = squared @ off.square().sum(0).T  # [B, C]: what picture b sees of the variance of class c
        cross = torch.einsum("be,pbe,pce->bc", squared, off[:, target], off)
        variance = (own.gather(1, target[:, None]) + own - 2 * cross) / (len(text) + 1)
        return out.pred + 0.5 * self.backbone.scale**2 * variance

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        terms = {"task": self.kind.loss(self.upper(out, batch.target), batch.target)}
        if self.hyper.n_prompts > 1:
            terms["diversity"] = self.hyper.diversity * alike(out.aux["free"])
        return terms

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        self.queue = []
        for event in gradient(self, episode, ctx):
            if isinstance(event, Epoch):  # so that a resumed fit draws what an unbroken one drew
                self.queue = []
            yield event
