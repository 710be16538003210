"""SubPT: CoOp twice; the second run moves only in the directions in which the first one moved early, before it over-fitted.

Run 1 gives the context after each of its first t epochs, [t, n·D]. U [r, n·D]: the first r principal directions of those (centred).
Run 2 starts afresh with g ← Uᵀ U g. NFL: L = cross-entropy + λ · mean_c (1 - cos(t_c, r_c)) over names c without pictures, r_c [E] their
frozen features (an ensemble of templates), as stand-ins for classes that are to come.
Source: *Understanding and Mitigating Overfitting in Prompt Tuning for Vision-Language Models*, TCSVT 2023, arXiv:2211.02219 (section IV);
``machengcheng2016/Subspace-Prompt-Learning: compute_eigenvector.py, trainers/coop_sub.py, coop_nfl.py, dassl/engine/trainer.py``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.card import Card, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.data.templates import ENSEMBLE80
from promptlab.fit.events import Epoch, Event, Finished, Note, Started
from promptlab.fit.gradient import gradient
from promptlab.losses import cosine_distance
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import POSITIONS, Context


@dataclass(frozen=True)
class Hyper(Train):
    early: int = knob(50, 1, 1000, help="t, epochs of the first run that span the subspace (10, 20, 30, 40, 50 for 1, 2, 4, 8, 16 shots)")
    rank: int = knob(10, 1, 1000, help="r, directions that are kept (5 for 1 shot)")
    novel: tuple = knob((), help="names without pictures whose features are held to the frozen ones (NFL)")
    novel_weight: float = knob(1.0, 0.0, 1000.0, help="λ of that")
    novel_template: str | None = knob(None, help="their hand-written sentence with {}; CLIP's eighty when empty")
    n_ctx: int = knob(16, 1, 64, help="learned vectors; the words of ctx_init set it themselves")
    ctx_init: str | None = knob(None, help="initial words; random when empty")
    position: str = knob("end", choices=POSITIONS, help="where the class name stands")
    class_specific: bool = knob(False, help="one context for every class; then other names cannot be asked for")
    epochs: int = knob(200, 0, 10000, help="passes over the support set, of each run")


def principal(points: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Points [t, M] → the first ``rank`` principal directions [r, M] (orthonormal rows) and all singular values [t] of them, centred."""
    centred = points.double() - points.double().mean(0)
    _, s, directions = torch.linalg.svd(centred, full_matrices=False)
    return directions[: min(rank, max(1, len(points) - 1))].to(points.dtype), s.to(points.dtype)


def project(g: Tensor, basis: Tensor) -> Tensor:
    """Uᵀ U g of a gradient of any shape, flattened; U [r, M]."""
    return (basis.T @ (basis @ g.flatten())).view_as(g)


class SubPT(Method):
    card = Card(
        id="subpt", name="SubPT", year=2023, venue="TCSVT", paper="arXiv:2211.02219", code="machengcheng2016/Subspace-Prompt-Learning",
        family="text prompt", supervision="supervised", difference="learned context that moves only where it moved early in a first run",
        trains="context vectors", needs=("text",), params_b16_k100=8192,
        exposes=(Expose("context.ctx", as_="words"), Expose("variance", as_="bars")),
        presets={"demo": {"lr": 0.01, "weight_decay": 0.0, "epochs": 20, "early": 8, "rank": 7, "schedule": "constant", "augment": "none"},
                 "paper-1shot": {"early": 10, "rank": 5, "epochs": 50}, "paper-4shot": {"early": 30, "epochs": 100}},
        departs=("the first run stops after its early epochs, the only ones that are read", "the directions are float32 instead of float16",
                 "other distances than the cosine are left out of NFL; they cannot run in the code",
                 "NFL's hundred names are given, where the code takes ImageNet's"),
        job=Job("world:animals@grayscale", against="coop", shots=4, test="new",
                hyper={"lr": 0.05, "epochs": 100, "early": 30, "rank": 10},  # the paper's for 4 shots
                against_hyper={"optimiser": "sgd", "lr": 0.05, "steps": None, "epochs": 100, "schedule": "constant"}),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.context = Context(backbone, task.classes, hyper.n_ctx, words=hyper.ctx_init, position=hyper.position,
                               per="class" if hyper.class_specific else "shared")
        self.novel = ClassSet(tuple(hyper.novel)) if hyper.novel else None
        # the path of the first run is part of the checkpoint, so that an interrupted second run knows its subspace
        self.register_buffer("path", torch.zeros(hyper.early, self.context.ctx.numel()))
        self.basis: Tensor | None = None

    def classes(self, names: ClassSet) -> Bank:
        extra: dict[str, Any] = {"variance": self.variance}
        if self.novel and torch.is_grad_enabled():
            templates = (self.hyper.novel_template,) if self.hyper.novel_template else ENSEMBLE80
            extra |= {"novel": F.normalize(self.text(self.context.inputs(self.novel)), dim=-1), "frozen": self.plain(self.novel, templates)}
        return Bank(names, F.normalize(self.text(self.context.inputs(names)), dim=-1), extra)

    def forward(self, batch: Batch, bank: Bank) -> Out:
        return Out(self.cosine(self.image(batch).pooled, bank.text), bank.extra)

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        terms = super().loss(out, batch)
        if "novel" in out.aux:
            terms["novel"] = self.hyper.novel_weight * cosine_distance(out.aux["novel"], out.aux["frozen"])
        return terms

    @property
    def variance(self) -> Tensor:
        """Share of the early path's variance along each principal direction [t]; zeros before the first run."""
        if self.training or not self.path.any():
            return torch.zeros(len(self.path))
        s = principal(self.path[self.path.any(1)], 1)[1].square()
        return F.pad(s / s.sum().clamp(min=1e-30), (0, len(self.path) - len(s)))

    def combine(self, terms: dict[str, Tensor], params: list[Tensor]) -> None:
        """Leave the projected gradient."""
        (g,) = torch.autograd.grad(sum(terms.values()), params)
        params[0].grad = project(g, self.basis)

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        start = self.context.ctx.detach().clone()
        resumed = ctx.checkpoint.load(ctx.stages) if ctx.checkpoint else None
        for event in gradient(self, episode, ctx):
            if isinstance(event, Finished) and event.why == "done":
                break
            yield event
            if isinstance(event, Finished):
                return
            if isinstance(event, Epoch):
                if event.i <= len(self.path):
                    self.path[event.i - 1] = self.context.ctx.detach().flatten()
                if event.i >= len(self.path):
                    break
        if resumed and resumed[0] <= len(self.path):  # an epoch is saved before it is told
            self.path[resumed[0] - 1] = resumed[1]["method/context.ctx"].flatten()
        self.basis, s = principal(self.path[self.path.any(1)], self.hyper.rank)
        share = float(s[: len(self.basis)].square().sum() / s.square().sum().clamp(min=1e-30))
        yield Note(f"{len(self.basis)} directions hold {100 * share:.0f} % of the early path; starting again inside them.")
        with torch.no_grad():
            self.context.ctx.copy_(start)
        yield from (e for e in gradient(self, episode, ctx, combine=self.combine) if not isinstance(e, Started))
