"""MaPLe: deep text prompts whose vision counterparts are linear maps of them, so both towers pull on the same vectors.

V_0 = W_0 ctx + b_0, V_i = W_i C_i + b_i, each [n, D_v]. ctx [n, D_t] are the leading words of "a photo of a <name>."; C_i [n, D_t]
replaces them before text block i, V_0 is appended to the patches (before ln_pre), V_i replaces it before image block i, for
0 < i < depth; deeper blocks keep what came out. pred [B, C] = scale · cosine.
Source: *MaPLe: Multi-modal Prompt Learning*, CVPR 2023, arXiv:2210.03117 (eq. 5-9); ``muzairkhattak/multimodal-prompt-learning:
trainers/maple.py, clip/model.py``.
"""

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from promptlab.backbones.points import Edit
from promptlab.card import Card, Claim, Expose, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.method import Bank, Method
from promptlab.parts.context import Context
from promptlab.parts.tokens import Coupler, DeepTokens, append, deep


@dataclass(frozen=True)
class Hyper(Train):
    n_ctx: int = knob(2, 1, 64, help="prompt tokens of each tower")
    depth: int = knob(9, 1, 64, help="blocks that get their own prompts, the input included")
    ctx_init: str | None = knob("a photo of a", help="initial words, used for up to 4 tokens; random when empty")
    lr: float = knob(3.5e-3, 0.0, 1000.0, help="base learning rate")
    epochs: int = knob(5, 0, 10000, help="passes over the support set")
    batch: int = knob(4, 1, 4096, help="images per step")


class MaPLe(Method):
    card = Card(
        id="maple", name="MaPLe", year=2023, venue="CVPR", paper="arXiv:2210.03117", code="muzairkhattak/multimodal-prompt-learning",
        family="text-visual prompt", supervision="supervised", difference="deep text prompts, coupled by linear maps to vision prompts",
        trains="text prompts and text-to-vision maps", needs=("text", "text-deep", "image-deep"), params_b16_k100=3_555_072,
        exposes=(Expose("context.ctx", as_="words"),),
        presets={"demo": {"depth": 3, "optimiser": "adam", "lr": 1e-3, "weight_decay": 0.0, "batch": 16, "steps": 150,
                          "schedule": "step-cosine", "augment": "none"},
                 "paper-cross-dataset": {"depth": 3, "lr": 2.6e-3, "epochs": 2}, "paper-50-epochs": {"epochs": 50}},
        claims=(Claim("average of 11, base", 16, "ViT-B-16", "accuracy", 0.8228, "repository README"),
                Claim("average of 11, new", 16, "ViT-B-16", "accuracy", 0.7514, "repository README")),
        departs=("float32 throughout; the code rounds prompts to half precision in every forward pass",
                 "depth is cut to the blocks that both towers have instead of failing", "any width of tower; the code is for 512 and 768"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        depth = min(hyper.depth, backbone.text_layers, backbone.image_layers)
        words = hyper.ctx_init if hyper.n_ctx <= 4 else None  # as in the code: more tokens than that start at random
        self.context = Context(backbone, task.classes, hyper.n_ctx, words=words, learn=hyper.n_ctx)
        self.deep = DeepTokens(depth, hyper.n_ctx, backbone.text_width)
        self.couple = Coupler(depth, backbone.text_width, backbone.image_width)
        self.to(backbone.device)

    def vision(self) -> list[Tensor]:
        """The vision tokens of all depths, each [n, D_v]."""
        return self.couple([self.context.ctx, *self.deep])

    def edits(self, batch: Batch | None = None) -> list[Edit]:
        first, *others = self.vision()
        start = self.context.frame(self.task.classes).start.shape[1]  # SigLIP's sentences have no start token
        return [*self.deep.edits("text", start), append(first), *deep("image", others)]

    def classes(self, names: ClassSet) -> Bank:
        return Bank(names, F.normalize(self.text(self.context.inputs(names)), dim=-1))
