"""DualCoOp: two learned contexts per label, for "is there" and "is not there", each read where the picture says most about it.

Prompts t^- and t^+ [2, C, E] from ctx_neg and ctx_pos; positions z [B, M, E] from the value path of the last attention (the
mean token of a ResNet, or the class token of a ViT, first); both unit length:
    S^±[b,j,c] = kappa · cos(z_bj, t^±_c)        w = softmax over j of S^+ (the positive prompt alone decides where to look)
    l^±[b,c] = lambda · sum_j w S^±              P(c is there) = softmax(l^-, l^+)[+] = sigmoid(l^+ - l^-)
with kappa = 20, lambda = 5 (CLIP's own scale is not used), trained by the asymmetric loss summed over the known labels.
Source: Sun, Hu, Saenko, NeurIPS 2022, arXiv:2206.09541, eqs. 1-4; sunxm2357/DualCoOp (models/dualcoop.py, clip/model.py).
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.losses import asymmetric
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import Context
from promptlab.parts.dense import frozen_dense, spatial_softmax, to_map

NEGATIVE, POSITIVE = 0, 1


@dataclass(frozen=True)
class Hyper(Train):
    n_ctx_pos: int = knob(16, 1, 64, help="learned vectors of the positive prompt")
    n_ctx_neg: int = knob(16, 1, 64, help="learned vectors of the negative prompt")
    ctx_init_pos: str | None = knob(None, help="initial words of the positive prompt")
    ctx_init_neg: str | None = knob(None, help="initial words of the negative prompt")
    class_specific: bool = knob(False, help="a pair of contexts for each class (more labels known), or one pair for all")
    kappa: float = knob(20.0, 0.0, 1000.0, live=True, help="scale of the cosines, and sharpness of where to look")
    pool_scale: float = knob(5.0, 0.0, 1000.0, live=True, help="scale of the pooled scores (lambda)")
    gamma_pos: float = knob(1.0, 0.0, 10.0, help="focus of present labels")
    gamma_neg: float = knob(2.0, 0.0, 10.0, help="focus of absent labels")
    clip_neg: float = knob(0.05, 0.0, 1.0, help="absent labels with a probability below this cost nothing")
    eps: float = knob(1e-6, 0.0, 0.1, help="smallest probability inside the logarithm")
    loss_w: float = knob(0.03, 0.0, 1000.0, help="weight of the summed loss")
    residual: bool = knob(True, help="ViT: keep the residual of the last attention in the positions' features")
    mlp: bool = knob(True, help="ViT: keep the MLP of the last block")
    size: int | None = knob(None, 16, 4096, help="side of the pictures in px; None = the backbone's own")
    augment: str = knob("none", choices=("none", "crop"), help="train-time transform")


class DualCoOp(Method):
    card = Card(
        id="dualcoop", name="DualCoOp", year=2022, venue="NeurIPS", paper="arXiv:2206.09541", code="sunxm2357/DualCoOp",
        family="text prompt", supervision="supervised", kinds=("multi",), protocols=("few_shot", "base_to_new"),
        difference="a positive and a negative learned context a label, pooled where the positive prompt looks",
        trains="two contexts", needs=("text", "tokens"), params_b16_k100=16_384,
        exposes=(Expose("positive.ctx", as_="words"), Expose("negative.ctx", as_="words"), Expose("weights", as_="mask"),
                 Expose("cosine_pos", as_="mask"), Expose("cosine_neg", as_="mask")),
        presets={"demo": {"ctx_init_pos": "a photo of a", "ctx_init_neg": "a photo of the", "residual": False, "optimiser": "adam",
                          "weight_decay": 0.0, "lr": 5e-3, "schedule": "step-cosine", "steps": 300},
                 "zero-shot-classes": {"n_ctx_pos": 64, "n_ctx_neg": 64, "loss_w": 0.01},
                 "paper-partial": {"class_specific": True, "size": 448}},
        claims=(Claim("coco, 50 % of the labels", None, "RN101 at 448 px", "map", 82.5, "Tables 2-4, from memory"),
                Claim("voc2007, 50 % of the labels", None, "RN101 at 448 px", "map", 93.6, "Tables 2-4, from memory")),
        departs=("also runs on a ViT: positions are value-path patch tokens, the class token stands in for the mean token",
                 "input side is the backbone's own unless `size` is set (the paper: 448 px, 224 px for unseen classes)",
                 "train transform is the square picture without cutout and RandAugment",
                 "float32 instead of autocast; last epoch instead of the best one on the test split",
                 "all classes are encoded at each step (the public code draws 100 where there are many)"),
        job=Job(data="world:scenes@photo", protocol="few_shot", test="test"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone.at(hyper.size) if hyper.size else backbone, task, hyper)
        per = "class" if hyper.class_specific else "shared"
        self.positive = Context(self.backbone, task.classes, hyper.n_ctx_pos, words=hyper.ctx_init_pos, per=per)
        self.negative = Context(self.backbone, task.classes, hyper.n_ctx_neg, words=hyper.ctx_init_neg, per=per)

    def classes(self, names: ClassSet) -> Bank:
        """Unit-length text features [2, C, E], the negative prompts first."""
        both = [F.normalize(self.text(context.inputs(names)), dim=-1) for context in (self.negative, self.positive)]
        return Bank(names, torch.stack(both))

    def positions(self, batch: Batch) -> tuple[Tensor, tuple[int, int]]:
        """Frozen features [B, 1 + h·w, E], the mean (or class) token first, not normalised; and the grid."""
        enc = frozen_dense(self.backbone, batch, residual=self.hyper.residual, mlp=self.hyper.mlp, pos_embed=True)
        return torch.cat([enc.pooled[:, None], enc.tokens], 1).float(), enc.grid

    def similarity(self, batch: Batch, bank: Bank) -> tuple[Tensor, tuple[int, int]]:
        """Cosines [B, M, 2, C] of every position with every prompt, and the grid."""
        z, grid = self.positions(batch)
        return torch.einsum("bme,nce->bmnc", F.normalize(z, dim=-1), bank.text), grid

    def forward(self, batch: Batch, bank: Bank) -> Out:
        """``pred`` [B, C] = l^+ - l^-; ``aux``: the pair [B, 2, C], and maps [B, C, h, w] of weights and cosines."""
        cosine, grid = self.similarity(batch, bank)
        pooled, weights = spatial_softmax(cosine, cosine[:, :, POSITIVE, None], self.hyper.kappa)
        pair = self.hyper.kappa * self.hyper.pool_scale * pooled
        maps = {"weights": weights[:, :, 0], "cosine_pos": cosine[:, :, POSITIVE], "cosine_neg": cosine[:, :, NEGATIVE]}
        return Out(pair[:, POSITIVE] - pair[:, NEGATIVE], {"pair": pair, **{k: to_map(v[:, 1:], grid) for k, v in maps.items()}})

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        """Asymmetric loss, summed over the known labels (so batch size and number of labels scale it)."""
        h = self.hyper
        return {"task": h.loss_w * asymmetric(out.aux["pair"], batch.target, h.gamma_pos, h.gamma_neg, h.clip_neg, h.eps)}
