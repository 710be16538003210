"""ProGrad: CoOp whose steps never fight the zero-shot model; what opposes its advice is taken out of the gradient.

g_d = ∇ cross-entropy, g_g = ∇ [-T² mean_b Σ_c softmax(z0/T)_c log softmax(z/T)_c], z0 [B, C] zero-shot's logits, z [B, C] the answer;
g = g_d - λ ⟨g_d, u⟩ u with u = g_g / |g_g| where ⟨g_d, g_g⟩ < 0, else g = g_d. One dot product a tensor (the context, flattened).
Source: *Prompt-aligned Gradient for Prompt Tuning*, ICCV 2023, arXiv:2205.14865 (eq. 5-6); ``BeierZhu/Prompt-align:
trainers/prograd.py, dassl/engine/trainer.py``.
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
from promptlab.fit.events import Event, Finished, Note
from promptlab.fit.gradient import gradient
from promptlab.losses import soft_cross_entropy
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import POSITIONS, Context

OWN = "template"


@dataclass(frozen=True)
class Hyper(Train):
    share: float = knob(1.0, 0.0, 10.0, help="λ, how much of the opposing part is taken out (0: CoOp; the paper has 0.8 on three sets)")
    temperature: float = knob(1.0, 0.01, 100.0, help="T of the advice")
    teacher: str | None = knob(None, help="zero-shot's sentence with {}; the dataset's own, tail first, when empty")
    ctx_init: str | None = knob(OWN, help="initial words; 'template': those of the teacher's sentence; random when empty")
    n_ctx: int = knob(16, 1, 64, help="learned vectors")
    position: str = knob("end", choices=POSITIONS, help="where the class name stands")
    class_specific: bool = knob(False, help="one context for every class; then other names cannot be asked for")
    epochs: int = knob(100, 0, 10000, help="passes over the support set")


def tail_first(template: str) -> str:
    """"a photo of a {}, a type of pet." → "a type of pet, a photo of a {}."; "{} texture." → "a texture of {}."."""
    head, tail = (part.strip(" .,") for part in template.split("{}"))
    lead = f"{tail}, {head}" if tail and head else f"a {tail} of" if tail else head
    return f"{lead} {{}}.".lstrip()


def aligned(g: Tensor, advice: Tensor, share: float = 1.0) -> Tensor:
    """``g`` without ``share`` of its part along ``advice`` (same shape), where the two point apart; else ``g`` itself."""
    u = F.normalize(advice.flatten(), dim=0)  # an advice of zero opposes nothing
    along = g.flatten() @ u
    return g if along >= 0 else g - share * along * u.view_as(g)


class ProGrad(Method):
    card = Card(
        id="prograd", name="ProGrad", year=2023, venue="ICCV", paper="arXiv:2205.14865", code="BeierZhu/Prompt-align",
        family="text prompt", supervision="supervised", difference="learned context, whose gradient may not oppose zero-shot's",
        trains="context vectors", needs=("text",), params_b16_k100=8192, exposes=(Expose("context.ctx", as_="words"),),
        presets={"demo": {"optimiser": "adam", "lr": 0.01, "weight_decay": 0.0, "steps": 200, "schedule": "step-cosine", "augment": "none"},
                 "paper-16shot": {"epochs": 200}, "paper-1shot": {"epochs": 50}},
        claims=(Claim("average of 11, new", 16, "ViT-B-16", "accuracy", 0.7075, "re-run in the KgCoOp repository"),),
        departs=("the teacher's sentence is made from the dataset's own by moving its tail to the front; the code has a table of them",
                 "the teacher reads the cached image features of the same crop instead of running a second tower"),
        job=Job("world:vehicles@pixel-art", against="coop", test="new"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        said = self.sentence(task.classes).partition("{}")[0] if hyper.ctx_init == OWN else hyper.ctx_init or ""
        blank = max(0, hyper.n_ctx - len(said.split()))
        words = " ".join(["X"] * blank + said.split()) if said.strip() else None
        self.context = Context(backbone, task.classes, hyper.n_ctx, words=words, position=hyper.position,
                               per="class" if hyper.class_specific else "shared")
        if words:
            with torch.no_grad():
                self.context.ctx[..., :blank, :] = 0
        self.cosines: list[float] = []  # of the two gradients, one a step

    def sentence(self, names: ClassSet) -> str:
        """The teacher's template."""
        return self.hyper.teacher or tail_first(names.templates[0])

    def classes(self, names: ClassSet) -> Bank:
        frozen = self.plain(names, (self.sentence(names),))
        return Bank(names, F.normalize(self.text(self.context.inputs(names)), dim=-1), {"teacher": frozen})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        v = self.image(batch).pooled
        return Out(self.cosine(v, bank.text), {"teacher": self.cosine(v, bank.extra["teacher"])})

    def advice(self, out: Out) -> Tensor:
        """What zero-shot says: the cross-entropy with its probabilities. Only the direction of its gradient is used."""
        t = self.hyper.temperature
        return t**2 * soft_cross_entropy(out.pred / t, (out.aux["teacher"].detach() / t).softmax(-1))

    def terms(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        """The loss; the advice waits for ``combine``."""
        self.waiting = self.advice(out)
        return self.loss(out, batch)

    def combine(self, terms: dict[str, Tensor], params: list[Tensor]) -> None:
        """Leave the aligned gradient in each ``grad``."""
        own = torch.autograd.grad(sum(terms.values()), params, retain_graph=True)
        advice = torch.autograd.grad(self.waiting, params)
        self.cosines.append(float(F.cosine_similarity(own[0].flatten(), advice[0].flatten(), dim=0)))
        for p, g, u in zip(params, own, advice, strict=True):
            p.grad = aligned(g, u, self.hyper.share)

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        self.cosines = []
        for event in gradient(self, episode, ctx, terms=self.terms, combine=self.combine):
            if isinstance(event, Finished) and self.cosines:
                opposed = sum(c < 0 for c in self.cosines) / len(self.cosines)
                yield Note(f"the gradients opposed each other in {100 * opposed:.0f} % of the steps.")
            yield event
