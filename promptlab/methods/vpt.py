"""VPT: learned tokens beside the patches of a frozen vision transformer, at the input only (shallow) or fresh before every block (deep).

x = [cls; patches] + pos, then [x; V_0] with V_0 [n, D]; deep: before block i, 0 < i < depth, the last n rows are replaced by V_i [n, D].
v = proj(ln_post(cls row)), pred [B, C] = scale · cos(v, t_c), t_c the frozen sentence "a photo of a <name>.".
Source: *Visual Prompt Tuning*, ECCV 2022, arXiv:2203.12119 (eq. 4-7); in CLIP: ``muzairkhattak/multimodal-prompt-learning:
trainers/vpt.py, clip/model.py`` (tokens pass ``ln_pre``) and ``sIncerass/MVLPT: trainers/mvlpt.py`` (they do not).
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F

from promptlab.backbones.points import Edit
from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.method import Bank, Method
from promptlab.parts.mixer import enter, vpt_uniform
from promptlab.parts.tokens import append, deep
from promptlab.parts.twin import VisionTokens


@dataclass(frozen=True)
class Hyper(Train):
    n_ctx: int = knob(8, 1, 256, help="tokens of a block")
    depth: int = knob(12, 1, 64, help="blocks that get their own tokens: 1 is VPT-shallow, all of them VPT-deep")
    insertion: str = knob("before_ln_pre", choices=("before_ln_pre", "after_ln_pre"), help="whether the first tokens are normalised")
    init: str = knob("normal", choices=("normal", "uniform"), help="N(0, 0.02²), or the bound of the paper")
    dropout: float = knob(0.0, 0.0, 1.0, help="dropout on the tokens in training")
    template: str | None = knob("a photo of a {}.", help="sentence of every class; the data set's own when empty")
    lr: float = knob(2.5e-3, 0.0, 1000.0, help="base learning rate")
    epochs: int = knob(5, 0, 10000, help="passes over the support set")
    batch: int = knob(4, 1, 4096, help="images per step")


class VPT(Method):
    card = Card(
        id="vpt", name="VPT", year=2022, venue="ECCV", paper="arXiv:2203.12119", code="KMnP/vpt", family="visual prompt",
        supervision="supervised", difference="learned tokens beside the patches, at the input or before every block",
        trains="vision tokens", needs=("image-deep",), params_b16_k100=73_728, exposes=(Expose("vision.tokens.0", as_="slots"),),
        presets={"demo": {"optimiser": "adam", "lr": 5e-3, "weight_decay": 0.0, "batch": 16, "steps": 60, "schedule": "step-cosine",
                          "augment": "none"},
                 "shallow": {"depth": 1}, "as-mvlpt": {"insertion": "after_ln_pre", "init": "uniform"}},
        claims=(Claim("average of 11, base", 16, "ViT-B-16", "accuracy", 0.8024, "README of the CLIP port"),
                Claim("average of 11, new", 16, "ViT-B-16", "accuracy", 0.7343, "README of the CLIP port")),
        departs=("the head is the frozen text features, as in the ports to CLIP; the paper trains a linear head",
                 "tokens have the tower's own width; the paper's code can also learn narrower ones and a map",
                 "tokens stand behind the patches, which equals the paper's place behind the class token", "float32 throughout"),
        job=Job(),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        if hyper.template:
            replace(task.classes, templates=(hyper.template,))  # a sentence without place for the name is refused here
        self.vision = VisionTokens(min(hyper.depth, backbone.image_layers), hyper.n_ctx, backbone.image_width)
        if hyper.init == "uniform":
            with torch.no_grad():
                for tokens in self.vision.tokens:
                    tokens.copy_(vpt_uniform(backbone, *tokens.shape))
        self.to(backbone.device)

    def edits(self, batch: Batch | None = None) -> list[Edit]:
        first, *others = (F.dropout(t, self.hyper.dropout, self.training) for t in self.vision.tokens)
        inserted = append(first) if self.hyper.insertion == "before_ln_pre" else enter(first)
        return [inserted, *deep("image", others)]

    def classes(self, names: ClassSet) -> Bank:
        return Bank(names, self.plain(names, (self.hyper.template,) if self.hyper.template else None))
