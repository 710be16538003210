"""Variational (Bayesian) prompt learning: the whole context is shifted at random, by a Gaussian that is learned; answers are averaged.

r_l = μ + ε_l exp(ρ / 2) [D], ε ~ N(0, 1), l = 1 ... L; ctx_l = ctx [n, D] + r_l; pred [B, C] = log mean_l softmax(scale · v̂ · t_lcᵀ), which
are log-probabilities. L = -mean_b pred[b, y_b] + λ · mean_j KL(N(μ_j, exp ρ_j) | N(0, 1)). μ and the log-variance ρ are two vectors, or
two networks of the image feature, E → E/2 → E/2 → D with ELU.
Source: *Bayesian Prompt Learning for Image-Language Model Generalization*, ICCV 2023, arXiv:2210.02390 (eq. 5-9);
``saic-fi/Bayesian-Prompt-Learning: trainers/vpt.py``.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import Context, per_image


@dataclass(frozen=True)
class Hyper(Train):
    posterior: str = knob("shared", choices=("shared", "image"), help="one Gaussian for all pictures, or one made from each picture")
    n_samples: int = knob(20, 1, 256, live=True, help="L, contexts that are averaged (the paper: 5 to 40 by data set)")
    kl_weight: float = knob(1e-3, 0.0, 1000.0, help="λ of the pull to the standard Gaussian, a mean over coordinates")
    log_variance: float | None = knob(None, -40.0, 4.0, help="initial ρ of the shared Gaussian; from [0, 1) as in the code when empty")
    reduction: int = knob(2, 1, 1024, help="hidden units of the networks: joint width // reduction")
    ctx_init: str | None = knob("a photo of a", help="initial words; random vectors when empty")
    n_ctx: int = knob(4, 1, 64, help="learned vectors without initial words")
    batch: int = knob(1, 1, 4096, help="images per step")
    epochs: int = knob(40, 0, 10000, help="passes over the support set (the paper: 10 to 60 by data set)")


def divergence(mu: Tensor, rho: Tensor) -> Tensor:
    """KL(N(μ, exp ρ) | N(0, 1)) [..., D] → mean over coordinates [...]."""
    return 0.5 * (rho.exp() + mu**2 - 1 - rho).mean(-1)


class VariationalPrompt(Method):
    card = Card(
        id="variational_prompt", name="Variational prompts", year=2023, venue="ICCV", paper="arXiv:2210.02390",
        code="saic-fi/Bayesian-Prompt-Learning", family="text prompt", supervision="supervised",
        difference="learned context plus a random shift whose Gaussian is learned; answers are averaged over samples",
        trains="context vectors and a Gaussian of their shift", needs=("text",), params_b16_k100=3072,
        exposes=(Expose("context.ctx", as_="words"), Expose("samples", as_="heat"), Expose("spread", as_="bars")),
        presets={"demo": {"n_samples": 4, "log_variance": -8.0, "batch": 32, "optimiser": "adam", "lr": 0.01, "weight_decay": 0.0,
                          "steps": 200, "schedule": "step-cosine", "augment": "none"},
                 "image": {"posterior": "image"}},
        claims=(Claim("average of 11, new", 16, "ViT-B-16", "accuracy", 0.7494, "recalled, not checked"),),
        departs=("answers use the same samples every time (drawn from the seed); the code draws new ones",
                 "any batch with image posteriors; the code runs with one picture at a time", "float32 learnables instead of float16",
                 "the initial log-variance can be set: as published the first contexts are nearly pure noise (std 1 to 1.6)"),
        job=Job(against="coop", test="new", hyper={"log_variance": -3.0}, against_hyper={"ctx_init": "a photo of a"},
                note="noise is what keeps new classes, and base classes pay (validation, log-variance -5, -4, -3: new 56.2, 58.3, 59.8, "
                     "base 76.0, 75.6, 74.6; CoOp 55.8 and 79.4); with 4 shots the gain is lost"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.context = Context(backbone, task.classes, hyper.n_ctx, words=hyper.ctx_init)
        joint, width = backbone.joint_dim, backbone.text_width
        if hyper.posterior == "image":
            hidden = max(1, joint // hyper.reduction)
            self.mean, self.log_variance = (nn.Sequential(nn.Linear(joint, hidden), nn.ELU(), nn.Linear(hidden, hidden), nn.ELU(),
                                                          nn.Linear(hidden, width)) for _ in range(2))
        else:
            start = torch.rand(1, width) if hyper.log_variance is None else torch.full((1, width), hyper.log_variance)
            self.mean, self.log_variance = nn.Parameter(torch.zeros(1, width)), nn.Parameter(start)

    def gaussian(self, v: Tensor | None) -> tuple[Tensor, Tensor]:
        """μ and ρ [1, D], or [B, D] from unit features [B, E]."""
        if self.hyper.posterior == "image":
            return self.mean(v), self.log_variance(v)
        return self.mean, self.log_variance

    def noise(self) -> Tensor:
        """ε [L, D], the same for all pictures: fresh in training, and always the same in answers."""
        size, device = (self.hyper.n_samples, self.backbone.text_width), self.backbone.device
        if self.training:
            return torch.randn(size).to(device)
        return torch.randn(size, generator=torch.Generator().manual_seed(self.hyper.seed)).to(device)

    def encode(self, names: ClassSet, mu: Tensor, rho: Tensor) -> Tensor:
        """Unit text features of all samples: μ, ρ [B, D] → [B, L, C, E]."""
        shift = mu[:, None] + self.noise() * (rho[:, None] / 2).exp()  # [B, L, D]
        text = per_image(lambda part: self.text(self.context.inputs(names, shift=part)), shift.flatten(0, 1)[:, None], len(names))
        return normalize(text, dim=-1).unflatten(0, shift.shape[:2])

    def classes(self, names: ClassSet) -> Bank:
        """Features of all samples [L, C, E]; names only where they depend on the picture."""
        return Bank(names) if self.hyper.posterior == "image" else Bank(names, self.encode(names, *self.gaussian(None))[0])

    def forward(self, batch: Batch, bank: Bank) -> Out:
        v = normalize(self.image(batch).pooled.float(), dim=-1)
        mu, rho = self.gaussian(v)
        text = self.encode(bank.names, mu, rho) if bank.text is None else bank.text[None].expand(len(v), -1, -1, -1)
        each = (self.backbone.scale * torch.einsum("be,blce->blc", v, text) + self.backbone.bias).log_softmax(-1)
        pred = each.logsumexp(1) - math.log(each.shape[1])
        return Out(pred, {"mu": mu, "rho": rho, "samples": each.detach().exp(), "spread": (rho.detach() / 2).exp()})

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        pull = divergence(out.aux["mu"], out.aux["rho"]).mean()
        return {**super().loss(out, batch), "kl": self.hyper.kl_weight * pull}
