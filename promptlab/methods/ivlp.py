"""IVLP: deep prompts of both towers, trained together without any tie; the control of every multi-modal prompt method.

ctx [n, D_t] are the leading words of "a photo of a <name>.", T_i [n, D_t] replace them before text block i; V_0 [m, D_v] is appended to
the patches, V_i [m, D_v] replaces it before image block i (0 < i < depth). pred [B, C] = scale · cosine, nothing detached.
Source: the baseline of *MaPLe*, CVPR 2023, arXiv:2210.03117; ``muzairkhattak/multimodal-prompt-learning: trainers/independentVL.py,
clip/model.py``.
"""

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F

from promptlab.backbones.points import Edit
from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.method import Bank, Method
from promptlab.parts.twin import Twin


@dataclass(frozen=True)
class Hyper(Train):
    n_ctx: int = knob(2, 1, 64, help="text tokens of a block")
    depth: int = knob(12, 1, 64, help="text blocks with tokens of their own, the input included")
    n_vision: int = knob(2, 1, 256, help="vision tokens of a block")
    depth_vision: int = knob(12, 0, 64, help="image blocks with tokens of their own; 0: text prompts only")
    ctx_init: str | None = knob("a photo of a", help="initial words, for up to 4 text tokens; random when empty")
    lr: float = knob(3.5e-3, 0.0, 1000.0, help="base learning rate")
    epochs: int = knob(5, 0, 10000, help="passes over the support set")
    batch: int = knob(4, 1, 4096, help="images per step")


class IVLP(Method):
    card = Card(
        id="ivlp", name="IVLP", year=2023, venue="CVPR", paper="arXiv:2210.03117", code="muzairkhattak/multimodal-prompt-learning",
        family="text-visual prompt", supervision="supervised", difference="deep prompts of both towers, each on its own",
        trains="text and vision tokens", needs=("text", "text-deep", "image-deep"), params_b16_k100=30_720,
        exposes=(Expose("prompts.vision.tokens.0", as_="moved"), Expose("prompts.context.ctx", as_="words")),
        presets={"demo": {"optimiser": "adam", "lr": 5e-3, "weight_decay": 0.0, "batch": 16, "steps": 60, "schedule": "step-cosine",
                          "augment": "none"},
                 "language-only": {"n_ctx": 4, "depth_vision": 0, "lr": 2.5e-3}},
        claims=(Claim("average of 11, base", 16, "ViT-B-16", "accuracy", 0.8215, "repository README"),
                Claim("average of 11, new", 16, "ViT-B-16", "accuracy", 0.7407, "repository README")),
        departs=("float32 throughout; the code rounds prompts to half precision in every forward pass",
                 "each depth is cut to the blocks of its tower instead of failing"),
        job=Job(),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.prompts = Twin(backbone, task.classes, text=(hyper.n_ctx, hyper.depth), vision=(hyper.n_vision, hyper.depth_vision),
                            words=hyper.ctx_init)
        self.to(backbone.device)

    def edits(self, batch: Batch | None = None) -> list[Edit]:
        return self.prompts.edits()

    def classes(self, names: ClassSet) -> Bank:
        return Bank(names, F.normalize(self.text(self.prompts.inputs(names)), dim=-1))
