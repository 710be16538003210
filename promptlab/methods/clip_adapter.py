"""CLIP-Adapter: a bottleneck bends the image feature, and the result is blended with the feature itself.

a = ReLU(W2 ReLU(W1 v)), v' = ρ a + (1 - ρ) v, pred [B, C] = scale · cosine(v', t_c); v [B, E] is the raw image feature,
W1 [E/4, E], W2 [E, E/4], no biases; the last ReLU makes the correction non-negative.
Source: *CLIP-Adapter: Better Vision-Language Models with Feature Adapters*, IJCV 2024, arXiv:2110.04544 (eq. 2-4);
``gaopengcuhk/CLIP-Adapter: clip_adapter.py``.
"""

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F

from promptlab.card import Card, Claim, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.task import Task
from promptlab.method import Bank, Method, Out
from promptlab.parts.heads import Bottleneck

NORMS = ("raw_then_norm", "norm_first", "norm_first_no_renorm")


@dataclass(frozen=True)
class Hyper(Train):
    ratio: float = knob(0.2, 0.0, 1.0, live=True, help="ρ, the share of the adapter in the image feature")
    reduction: int = knob(4, 1, 64, help="how much narrower the bottleneck is than the feature")
    norm: str = knob("raw_then_norm", choices=NORMS, help="normalise after blending, before the adapter too, or only before")
    lr: float = knob(0.1, 0.0, 1000.0, help="base learning rate")
    epochs: int = knob(300, 0, 10000, help="passes over the support set")
    batch: int = knob(256, 1, 4096, help="images per step")
    views: int = knob(20, 0, 1024, help="cached augmented views per image; 0 = fresh crops each epoch")


class CLIPAdapter(Method):
    card = Card(
        id="clip_adapter", name="CLIP-Adapter", year=2024, venue="IJCV", paper="arXiv:2110.04544", code="gaopengcuhk/CLIP-Adapter",
        family="adapter", supervision="supervised", difference="a bottleneck on the image feature, blended with the feature",
        trains="two bias-free linear maps", params_b16_k100=131_072,
        presets={"demo": {"optimiser": "adam", "lr": 1e-3, "weight_decay": 0.0, "batch": 32, "steps": 300, "schedule": "step-cosine",
                          "augment": "none"},
                 "paper": {"lr": 1e-5, "batch": 32, "epochs": 200, "views": 0}},
        claims=(Claim("average of 11, all", 16, "RN50", "accuracy", 0.7444, "gaopengcuhk/Tip-Adapter: exp.log"),),
        departs=("the default recipe (SGD 0.1, 300 epochs over 20 cached views, batch 256) is the re-implementation's in jusiro/CLAP, "
                 "since the paper's lr 1e-5 is not in the public code; it is the preset 'paper'",
                 "the text features are encoded once; the code encodes them in every step, frozen",
                 "the text adapter of the paper, which is not in the code, is left out", "any feature width; the code is for 1024"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.adapter = Bottleneck(backbone.joint_dim, hyper.reduction).to(backbone.device)

    def forward(self, batch: Batch, bank: Bank) -> Out:
        v, rho = self.image(batch).pooled.float(), self.hyper.ratio
        v = v if self.hyper.norm == "raw_then_norm" else F.normalize(v, dim=-1)
        bent = self.adapter(v)
        mixed = rho * bent + (1 - rho) * v
        if self.hyper.norm == "norm_first_no_renorm":
            pred = self.backbone.scale * mixed @ bank.text.T + self.backbone.bias
        else:
            pred = self.cosine(mixed, bank.text)
        return Out(pred, {"before": v, "after": mixed, "adapter": bent})
