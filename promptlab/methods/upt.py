"""UPT: one set of prompts for both towers, mixed by a tiny transformer and split into a text context and deep vision tokens.

U = [pre_t(P); pre_v(V)], Û = Block(U), P̂ = post_t(Û_t) [n_t, D_t], V̂ = post_v(Û_v) [L, n_v, D_v]; P̂ stands around the class name,
V̂_i enters image block i (after ln_pre); pred [B, C] = scale · cosine.
Source: *Unified Vision and Language Prompt Learning*, arXiv:2210.07225 (eq. 4-6; its repository holds no code); re-implementation
``sIncerass/MVLPT: trainers/mvlpt.py``.
"""

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F

from promptlab.backbones.points import Edit
from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import POSITIONS
from promptlab.parts.mixer import MIXING, Prompts


@dataclass(frozen=True)
class Hyper(Train):
    n_ctx: int = knob(4, 1, 64, help="text tokens")
    n_vision: int = knob(4, 1, 256, help="vision tokens of a block")
    deep: bool = knob(True, help="vision tokens for every block, not only the first")
    mixing: str = knob("full", choices=MIXING, help="which prompts see each other in the small transformer")
    dim: int = knob(128, 8, 1024, help="width of the small transformer")
    heads: int = knob(1, 1, 4, help="its attention heads")
    position: str = knob("middle", choices=POSITIONS, help="where the class name stands")
    class_specific: bool = knob(False, help="one context for every class; then other names cannot be asked for")
    epochs: int = knob(200, 0, 10000, help="passes over the support set")


class UPT(Method):
    card = Card(
        id="upt", name="UPT", year=2022, venue="arXiv", paper="arXiv:2210.07225", code="sIncerass/MVLPT", checked="reimplementation",
        family="text-visual prompt", supervision="supervised", params_b16_k100=566_400, needs=("text", "image-deep"),
        difference="text and vision prompts that one tiny transformer makes together", trains="prompts and a small transformer",
        exposes=(Expose("attention", as_="matrix"),),
        presets={"demo": {"optimiser": "adam", "lr": 1e-3, "weight_decay": 0.0, "batch": 16, "steps": 100, "schedule": "step-cosine",
                          "augment": "none"},
                 "as-mvlpt": {"mixing": "none"}},
        claims=(Claim("ImageNet", 16, "ViT-B-16", "accuracy", 0.7263, "tables of later papers"),),
        departs=("all prompts attend to each other as the paper says; the public re-implementation attends over sequences of one token "
                 "(preset 'as-mvlpt')", "the last epoch is kept; the code keeps the best one on validation", "float32 throughout"),
        job=Job("world:animals@grayscale", against="coop", shots=4, test="H"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.prompts = Prompts(backbone, task.classes, hyper.n_ctx, hyper.n_vision, deep=hyper.deep, position=hyper.position,
                               per="class" if hyper.class_specific else "shared", dim=hyper.dim, heads=hyper.heads, mixing=hyper.mixing)
        self.to(backbone.device)

    def edits(self, batch: Batch | None = None) -> list[Edit]:
        return [] if batch is None else self.prompts.edits()

    def classes(self, names: ClassSet) -> Bank:
        inputs = self.prompts.context.inputs(names, ctx=self.prompts.mixed()[0])
        return Bank(names, F.normalize(self.text(inputs), dim=-1))

    def forward(self, batch: Batch, bank: Bank) -> Out:
        shown = {} if self.training else {"attention": self.prompts.attention(), "attention_names": self.prompts.labels()}
        return Out(self.cosine(self.image(batch).pooled, bank.text), shown)
