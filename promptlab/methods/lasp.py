"""LASP: hand-written sentences must be recognised by the learned ones, which keeps the learned ones language.

t_c [E] = unit(T(SOS, ctx [n, D], name_c, ".", EOT) + w), w [E] shared; R [P, C, E] the frozen unit features of P templates. Text loss: for
every (p, j) the cross-entropy of softmax_i(scale · t_i · R_pj) with i = j, mean over P and C; half of the steps add 0.05 · N(0, 1) to R.
Names without pictures ("virtual classes") may take part in it. The layer norms of the image blocks are tuned at a tenth of the rate.
L = cross-entropy + α · text loss.
Source: *LASP: Text-to-Text Optimization for Language-Aware Soft Prompting*, CVPR 2023, arXiv:2210.01115 (eq. 4-6, sections 3.3-3.5);
``1adrianb/lasp: prompting/lasp.py, prompting/losses.py``.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.backbones.points import Edit
from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.data.templates import LASP35
from promptlab.fit.events import Event
from promptlab.fit.gradient import gradient
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import Context
from promptlab.parts.weights import Delta


@dataclass(frozen=True)
class Hyper(Train):
    text_weight: float = knob(5.0, 0.0, 1000.0, help="α of the text loss (10 for Caltech101, DTD and UCF101)")
    templates: tuple = knob(LASP35, help="hand-written sentences with {}; those of the data set when empty")
    virtual: tuple = knob((), help="further class names, without pictures, that take part in the text loss (LASP-V)")
    noise: float = knob(0.05, 0.0, 10.0, help="noise on the hand-written features, in half of the steps")
    correction: bool = knob(True, help="learn w, added to all class features")
    norms: bool = knob(True, help="tune the layer norms of the image blocks")
    norm_rate: float = knob(0.1, 0.0, 10.0, help="their learning rate, in units of the others'")
    ctx_init: str | None = knob("a photo of a", help="initial words; random vectors when empty")
    n_ctx: int = knob(4, 1, 64, help="learned vectors without initial words")
    lr: float = knob(0.032, 0.0, 1000.0, help="base learning rate")
    epochs: int = knob(25, 0, 10000, help="passes over the support set")
    warmup: int = knob(3, 0, 10000, help="warm-up epochs at warmup_lr (epoch-cosine)")
    clip_norm: float | None = knob(1.0, 0.0, 1e6, help="gradient-norm limit")


def text_to_text(learned: Tensor, written: Tensor, scale: Tensor) -> Tensor:
    """Learned [C, E], written [P, C, E]: which learned prompt belongs to each written one? The softmax runs over the learned ones."""
    logits = scale * written @ learned.T  # [P, j, i]
    target = torch.arange(len(learned), device=learned.device).expand(len(written), -1)
    return F.cross_entropy(logits.flatten(0, 1), target.flatten())


class LASP(Method):
    card = Card(
        id="lasp", name="LASP", year=2023, venue="CVPR", paper="arXiv:2210.01115", code="1adrianb/lasp", family="text prompt",
        supervision="supervised", difference="learned context that must recognise hand-written sentences; image layer norms tuned",
        trains="context vectors, a shift of the class features, image layer norms", needs=("text", "image-weights"),
        params_b16_k100=39_424, exposes=(Expose("context.ctx", as_="words"), Expose("reading", as_="matrix")),
        presets={"demo": {"optimiser": "adam", "lr": 0.01, "weight_decay": 0.0, "batch": 16, "steps": 80, "schedule": "step-cosine",
                          "augment": "none", "templates": (), "text_weight": 1.0},
                 "paper-textures": {"text_weight": 10.0, "epochs": 50, "warmup": 5}, "paper-satellite": {"epochs": 300, "warmup": 7},
                 "paper-food": {"batch": 1, "lr": 2e-3, "epochs": 10, "warmup": 1}},
        claims=(Claim("average of 11, new", 16, "ViT-B-16", "accuracy", 0.7664, "repository README, with virtual classes"),),
        departs=("virtual classes are those that are given; the code reads all names of the data set, new ones included",
                 "one group of prompts, as in the code (the paper averages several)",
                 "w has the joint width, so that residual networks work",
                 "layer norms are kept as their change, so weight decay pulls to the frozen ones instead of to zero",
                 "float32 instead of autocast with a gradient scaler"),
        job=Job("world:vehicles@pixel-art", against="coop", test="new"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.context = Context(backbone, task.classes, hyper.n_ctx, words=hyper.ctx_init)
        self.w = nn.Parameter(torch.zeros(1, backbone.joint_dim)) if hyper.correction else None
        weights = backbone.image.weights
        tuned = [n for n in weights if ".block." in n and (".ln_1" in n or ".ln_2" in n)] if hyper.norms else []
        self.norms = Delta(weights, tuned)
        new = tuple(dict.fromkeys(n for n in hyper.virtual if n not in task.classes.names))
        self.read = dataclasses.replace(task.classes, names=task.classes.names + new)  # the names of the text loss
        self._written: Tensor | None = None

    def edits(self, batch: Batch | None = None) -> list[Edit]:
        return self.norms.edits()

    @property
    def written(self) -> Tensor:
        """R [P, C, E], made once."""
        if self._written is None:
            self._written = torch.stack([self.plain(self.read, (t,)) for t in self.hyper.templates or self.read.templates])
        return self._written

    def disturb(self, written: Tensor) -> Tensor:
        """Noise in half of the training steps; the sum is not brought back to unit length."""
        if not self.training or not self.hyper.noise or torch.rand(()) < 0.5:
            return written
        return written + self.hyper.noise * torch.randn(written.shape).to(written.device)

    def learned(self, names: ClassSet) -> Tensor:
        raw = self.text(self.context.inputs(names))
        return F.normalize(raw if self.w is None else raw + self.w, dim=-1)

    def classes(self, names: ClassSet) -> Bank:
        fits = torch.is_grad_enabled() and names.names == self.task.classes.names
        text = self.learned(self.read if fits else names)
        own = text[: len(names)]
        extra = {"learned": text, "written": self.disturb(self.written)} if fits else {}
        return Bank(names, own, {**extra, "reading": self.backbone.scale * self.plain(names) @ own.detach().T})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        return Out(self.cosine(self.image(batch).pooled, bank.text), bank.extra)

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        text = text_to_text(out.aux["learned"], out.aux["written"], self.backbone.scale)
        return {**super().loss(out, batch), "text": self.hyper.text_weight * text}

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        own = [self.context.ctx] + ([] if self.w is None else [self.w])
        slow = {"params": list(self.norms.parameters()), "scale": self.hyper.norm_rate}
        yield from gradient(self, episode, ctx, params=[{"params": own}, slow] if slow["params"] else own)
