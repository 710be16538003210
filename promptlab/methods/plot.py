"""PLOT: several learned prompts a class are matched to the local image features by optimal transport.

S[b, c] = cosines of M regions and N prompts [M, N], plan T = Sinkhorn(1 - S, eps) with uniform marginals and no gradient,
pred [B, C] = scale · Σ_mn T ∘ S (+ scale · v̂ · unit(mean_n t_n), as the public code adds on ImageNet).
Source: *PLOT: Prompt Learning with Optimal Transport*, ICLR 2023, arXiv:2210.01253 (eq. 4-9);
``CHENGY12/PLOT: plot-coop/trainers/plot.py``.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import normalize

from promptlab.card import Card, Expose, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import Context
from promptlab.parts.transport import sinkhorn


@dataclass(frozen=True)
class Hyper(Train):
    n_prompts: int = knob(4, 1, 32, help="prompts per class")
    n_ctx: int = knob(16, 1, 64, help="vectors per prompt")
    ctx_init: str | None = knob(None, help="initial words of every prompt (with a little noise, so that they differ)")
    eps: float = knob(0.1, 1e-3, 10.0, live=True, help="entropy of the transport: large is uniform, small is sharp")
    max_iter: int = knob(100, 1, 10000, live=True, help="most Sinkhorn sweeps")
    thresh: float = knob(1e-2, 0.0, 1.0, live=True, help="mean change of a sweep at which it stops")
    stop: str = knob("image", choices=("image", "batch"), live=True, help="over which pairs that mean is taken")
    with_global: bool = knob(False, live=True, help="add the global feature's logits")
    batch: int = knob(128, 1, 4096, help="images per step")


class Plot(Method):
    card = Card(
        id="plot", name="PLOT", year=2023, venue="ICLR", paper="arXiv:2210.01253", code="CHENGY12/PLOT", family="text prompt",
        supervision="supervised", difference="several learned prompts a class, transported to the local image features",
        trains="N contexts", needs=("text", "tokens"), params_b16_k100=32768,
        exposes=(Expose("plan", as_="transport"), Expose("context.ctx", as_="words")),
        presets={"demo": {"n_ctx": 4, "batch": 32, "optimiser": "adam", "lr": 0.01, "weight_decay": 0.0, "steps": 150,
                          "schedule": "step-cosine", "augment": "none", "with_global": True}},
        departs=("on a ViT the regions are the projected patch tokens (the paper uses ResNets only and PLOT++ for ViTs)",
                 "a sweep stops per image, so that an answer does not depend on its batch; stop='batch' is the public rule",
                 "a plan that is not finite is an error; the public model then returns nothing", "float32 context"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.context = Context(backbone, task.classes, hyper.n_ctx, words=hyper.ctx_init, n_prompts=hyper.n_prompts)
        if hyper.ctx_init:
            with torch.no_grad():
                self.context.ctx += 0.02 * torch.randn(self.context.ctx.shape).to(backbone.device)

    def classes(self, names: ClassSet) -> Bank:
        """Unit features [N, C, E]; ``extra["mean"]`` [C, E]: their mean before normalisation, then normalised."""
        raw = self.text(self.context.inputs(names)).reshape(self.hyper.n_prompts, len(names), -1)
        return Bank(names, normalize(raw, dim=-1), {"mean": normalize(raw.mean(0), dim=-1)})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        h, image = self.hyper, self.image(batch, tokens=True)
        sim = torch.einsum("bme,nce->bcmn", normalize(image.tokens.float(), dim=-1), bank.text)
        cost = 1 - sim.detach()
        moved = sinkhorn(cost if h.stop == "image" else cost.flatten(0, 1)[None], h.eps, h.max_iter, h.thresh)
        plan = moved.plan.reshape(sim.shape)
        pred = self.backbone.scale * (plan * sim).sum((-2, -1)) + self.backbone.bias
        if h.with_global:
            pred = pred + self.cosine(image.pooled, bank.extra["mean"])
        return Out(pred, {"plan": plan, "cost": cost, "grid": image.grid, "sweeps": moved.sweeps, "marginal_error": moved.error})
