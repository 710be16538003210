"""TPT: for every single test picture, a step on the context that makes the confident views of it agree; then forget.

ℓ_v [C] = scale · v̂_v · T̂(ctx)ᵀ for V views; the ⌊share · V⌋ of lowest entropy are kept; ctx ← AdamW step on
H(mean_v softmax ℓ_v); the answer is that of view 0 (the test transform) with the new ctx, which is then reset.
Source: *Test-Time Prompt Tuning*, NeurIPS 2022, arXiv:2209.07511 (eq. 3-5); ``azshue/TPT: tpt_classification.py``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.data.transforms import views
from promptlab.fit.events import Event, Note
from promptlab.fit.gradient import gradient
from promptlab.fit.optim import optimiser
from promptlab.losses import entropy, marginal_entropy
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import POSITIONS, Context


@dataclass(frozen=True)
class Hyper(Train):
    n_views: int = knob(64, 1, 1024, live=True, help="views of a test picture, the plain one included")
    share: float = knob(0.1, 0.0, 1.0, live=True, help="share of the views, the most confident ones, that must agree")
    tta_steps: int = knob(1, 0, 1000, live=True, help="steps per picture; 0 is zero-shot")
    tta_lr: float = knob(5e-3, 0.0, 10.0, live=True, help="size of a step (of AdamW: nearly a sign step)")
    tta_decay: float = knob(0.01, 0.0, 1.0, live=True, help="weight decay of that step")
    ctx_init: str | None = knob("a photo of a", help="words that the context starts from; [CLS] among them is the name's place")
    n_ctx: int = knob(4, 1, 64, help="learned vectors when there are no words")
    position: str = knob("end", choices=POSITIONS, help="where the class name stands")
    augmix: bool = knob(False, live=True, help="distort the views by AugMix, as the public code does on fine-grained data sets")
    tune_first: bool = knob(False, help="fit the context on the shots as CoOp does, and start every picture from that")


@dataclass(frozen=True)
class Step:
    """What one picture's adaptation saw: view logits [V, C], their entropies [V], the kept views [k], the loss before and after."""

    logits: Tensor
    entropies: Tensor
    kept: Tensor
    loss: Tensor


class Tpt(Method):
    card = Card(
        id="tpt", name="TPT", year=2022, venue="NeurIPS", paper="arXiv:2209.07511", code="azshue/TPT", family="text prompt",
        supervision="test-time", difference="context tuned on each test picture by itself, then reset", trains="context vectors",
        protocols=("few_shot", "base_to_new", "stream"), needs=("text",), stream=True, params_b16_k100=2048,
        exposes=(Expose("entropies", as_="curve"), Expose("kept", as_="views")),
        presets={"demo": {"n_views": 16, "share": 0.25}},
        claims=(Claim("ImageNet-A", None, "RN50", "accuracy", 0.2667, "repository README"),),
        departs=("float32 without loss scaling", "at least one view is kept"),
        job=Job(data="world:textures@foggy", protocol="few_shot", test="test",
                note="eight of 600 answers more are right: the seeds agree, but so few pictures prove little"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.context = Context(backbone, task.classes, hyper.n_ctx, words=hyper.ctx_init, position=hyper.position)

    def classes(self, names: ClassSet) -> Bank:
        return Bank(names, F.normalize(self.text(self.context.inputs(names)), dim=-1))

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        if self.hyper.tune_first:
            yield from gradient(self, episode, ctx)
        else:
            yield Note("tpt learns nothing before the test: it tunes its context on each test picture by itself.")

    def views(self, batch: Batch) -> Tensor:
        """Frozen features [V, E] of one picture's views; index 0 is the test transform. They are seen once, so not cached."""
        h = self.hyper
        pixels = views(batch, h.n_views, self.backbone.spec, seed=h.seed, crop_scale=h.crop_scale, augmix=h.augmix)
        return self.image(Batch.of(pixels)).pooled

    def adapt(self, features: Tensor, names: ClassSet) -> Step:
        """Tune ``context.ctx`` on views [V, E] of one picture, with a fresh optimiser; the views are chosen once, before the steps."""
        h = self.hyper
        with torch.no_grad():
            logits = self.cosine(features, self.classes(names).text)
            entropies = entropy(logits)
            kept = entropies.argsort(stable=True)[: max(1, int(h.share * len(logits)))]
        tuned = Train(optimiser="adamw", lr=h.tta_lr, weight_decay=h.tta_decay, adam_eps=h.adam_eps)
        step, loss = optimiser(tuned, [self.context.ctx]), marginal_entropy(logits[kept])
        for _ in range(h.tta_steps):
            with torch.enable_grad():
                loss = marginal_entropy(self.cosine(features[kept], self.classes(names).text))
                (self.context.ctx.grad,) = torch.autograd.grad(loss, self.context.ctx)
            step.step()
        self.context.ctx.grad = None
        return Step(logits, entropies, kept, loss.detach())

    def predict(self, batch: Batch, bank: Bank) -> Out:
        outs = [self._one(batch.row(i), bank) for i in range(len(batch))]
        return Out(torch.cat([o.pred for o in outs]), {k: torch.stack([o.aux[k] for o in outs]) for k in outs[0].aux})

    def _one(self, batch: Batch, bank: Bank) -> Out:
        start, needs = self.context.ctx.detach().clone(), self.context.ctx.requires_grad
        features = self.views(batch)
        try:
            self.context.ctx.requires_grad_(True)
            seen = self.adapt(features, bank.names)
            with torch.no_grad():
                pred = self.cosine(features[:1], self.classes(bank.names).text)
        finally:  # the next picture starts where this one did, bit for bit
            with torch.no_grad():
                self.context.ctx.copy_(start)
            self.context.ctx.requires_grad_(needs)
        before, after = seen.logits[0].softmax(-1), pred[0].softmax(-1)
        return Out(pred, {"entropies": seen.entropies, "kept": seen.kept, "before": before, "after": after})
