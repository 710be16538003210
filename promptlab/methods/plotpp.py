"""PLOT++: a ViT reads the picture several times, each time beside other learned tokens; transport matches readings and prompts.

v_m [B, E] = class token with V_m [k, D_v] appended to the patches (m = 1 ... M, before ``ln_pre``), t_n [C, E] the class features of N
learned contexts that start from N sentences. S[b, c] = cosines [M, N], T = Sinkhorn(1 - S) without gradient, pred [B, C] =
scale · Σ_mn T ∘ S, with ``trade_off`` + scale · cos(mean_m v_m, mean_n t_n). Stage 1 learns V with the trade-off, stage 2 both without it.
Source: ``CHENGY12/PLOT: plot-pp/trainers/plotpp.py``, an extension of *PLOT*, ICLR 2023, arXiv:2210.01253, without a paper of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from promptlab.backbones.points import Edit
from promptlab.card import Card, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.errors import BadHyper
from promptlab.fit.events import Event, Finished, Progress, Started
from promptlab.fit.gradient import gradient
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import Context
from promptlab.parts.transport import match

WORDS = ("a photo of a", "this is a photo", "this is picture of", "one picture of a")


@dataclass(frozen=True)
class Hyper(Train):
    ctx_init: tuple = knob(WORDS, help="initial words of each prompt; the first one says how many vectors all have")
    n_vision: int = knob(4, 1, 32, help="M, readings of a picture")
    n_tokens: int = knob(2, 1, 64, help="k, learned tokens of a reading")
    eps: float = knob(0.1, 1e-3, 10.0, live=True, help="entropy of the transport: small is sharp, large is uniform")
    max_iter: int = knob(100, 1, 10000, live=True, help="most sweeps of Sinkhorn")
    thresh: float = knob(1e-2, 0.0, 1.0, live=True, help="change of a sweep at which Sinkhorn stops")
    stop: str = knob("image", choices=("image", "batch"), live=True, help="whether the sweeps of a batch stop together")
    trade_off: bool = knob(False, live=True, help="add the logits of the mean features")
    two_stages: bool = knob(True, help="learn the vision tokens by themselves first")
    batch: int = knob(32, 1, 4096, help="pictures of a step; each is read M times")


class PlotPP(Method):
    card = Card(
        id="plotpp", name="PLOT++", year=2023, venue="GitHub", paper="arXiv:2210.01253", code="CHENGY12/PLOT", family="text-visual prompt",
        supervision="supervised", difference="several readings of a picture, transported to several learned prompts",
        trains="N contexts and M sets of vision tokens", needs=("text", "image-deep"), params_b16_k100=14_336,
        exposes=(Expose("plan", as_="transport"), Expose("contexts.0.ctx", as_="words")),
        presets={"demo": {"n_vision": 2, "batch": 16, "optimiser": "adam", "lr": 0.01, "weight_decay": 0.0, "steps": 40,
                          "schedule": "step-cosine", "augment": "none"}},
        departs=("both stages have the run's seed; the code starts every second stage from the first one of seed 1",
                 "one set of sentences for all data; the code has four for each of its data sets", "the class name stands at the end only",
                 "a sweep stops per image, so that an answer does not depend on its batch; stop='batch' is the public rule",
                 "a plan that is not finite is an error; the public model then returns nothing", "float32 throughout"),
        job=Job(),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        if not hyper.ctx_init or not all(isinstance(w, str) and w.strip() for w in hyper.ctx_init):
            raise BadHyper(f"ctx_init of plotpp must be a list of initial words, one entry a prompt; got {hyper.ctx_init!r}.")
        n = len(hyper.ctx_init[0].split())
        self.contexts = nn.ModuleList(Context(backbone, task.classes, n, words=w, learn=n) for w in hyper.ctx_init)
        self.vision = nn.Parameter(0.02 * torch.randn(hyper.n_vision, hyper.n_tokens, backbone.image_width))
        self.to(backbone.device)

    def edits(self, batch: Batch | None = None) -> list[Edit]:
        """M copies of the patches, each with its own tokens: the tower answers for M · B rows, reading by reading."""
        return [Edit("image.embed", lambda x: torch.cat([torch.cat([x, v.to(x.dtype).expand(len(x), -1, -1)], 1) for v in self.vision]))]

    def classes(self, names: ClassSet) -> Bank:
        """Unit features [N, C, E]; ``extra["pooled"]`` [C, E]: the unit mean of the raw ones."""
        raw = torch.stack([self.text(context.inputs(names)) for context in self.contexts])
        return Bank(names, normalize(raw, dim=-1), {"pooled": normalize(raw.mean(0), dim=-1)})

    def readings(self, batch: Batch) -> Tensor:
        """Raw image features [M, B, E]."""
        return self.image(batch).pooled.float().unflatten(0, (len(self.vision), len(batch)))

    def forward(self, batch: Batch, bank: Bank) -> Out:
        h, raw = self.hyper, self.readings(batch)
        sim = torch.einsum("mbe,nce->bcmn", normalize(raw, dim=-1), bank.text)
        moved = match(sim, h.eps, h.max_iter, h.thresh, together=h.stop == "batch")
        pred = self.backbone.scale * (moved.plan * sim).sum((-2, -1)) + self.backbone.bias
        if h.trade_off:
            pred = pred + self.cosine(raw.mean(0), bank.extra["pooled"])
        return Out(pred, {"plan": moved.plan, "cost": 1 - sim.detach(), "sweeps": moved.sweeps, "after": raw.mean(0)})

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        asked, why = self.hyper, "done"
        try:
            if asked.two_stages:
                self.hyper = replace(asked, trade_off=True)
                for event in gradient(self, episode, ctx, params=[self.vision]):
                    why = event.why if isinstance(event, Finished) else why
                    if not isinstance(event, Finished):
                        yield event
                yield Progress("stages", 1, 2)
            self.hyper = replace(asked, trade_off=False)
            for event in gradient(self, episode, ctx) if why == "done" else [Finished(ctx.elapsed, why)]:
                if not (asked.two_stages and isinstance(event, Started)):
                    yield event
        finally:
            self.hyper = asked
