"""MaskCLIP: a class for every position from a frozen CLIP, by leaving out the mixing of the last attention.

Dense features z [B, M, E] by the value path (:mod:`promptlab.parts.dense`), text t [C, E] as the template ensemble:
    S = cos(z_j, t_c)                                                        → [B, C, h, w], resized bilinearly by the task
    prompt denoising: P = softmax_c(100 S); a class whose largest P over the picture is below ``pd`` gets S = -100 everywhere
    key smoothing:    P = softmax_c(100 S); where max_c P_j < ``ks``, P_j becomes sum_i w_ji P_i with w = k k^T
Source: Zhou, Loy, Dai, ECCV 2022, arXiv:2112.01071; chongzhou96/MaskCLIP (maskclip_head.py, vit.py).
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
from promptlab.data.templates import SETS, template_set
from promptlab.fit.events import Note
from promptlab.method import Bank, Method, Out
from promptlab.parts.dense import frozen_dense, to_map

ABSENT = -100.0  # the cosine of a class that prompt denoising removes


def denoise(cosine: Tensor, threshold: float, scale: float = 100.0) -> Tensor:
    """Cosines [B, C, h, w] with :data:`ABSENT` for classes that no position believes in; threshold 0 changes nothing."""
    best = (scale * cosine).softmax(1).amax((2, 3), keepdim=True)
    return cosine.masked_fill(best < threshold, ABSENT)


def smooth(cosine: Tensor, keys: Tensor, threshold: float, scale: float = 100.0) -> Tensor:
    """Probabilities [B, C, h, w]; unsure positions take the key-weighted sum of all (not divided by the sum of weights).

    ``keys`` [B, M, D] are normalised over positions, as the public code does (a slip of a default there, kept here).
    """
    p = (scale * cosine).softmax(1).flatten(2).transpose(1, 2)
    k = F.normalize(keys, dim=1)
    unsure = p.amax(-1, keepdim=True) < threshold
    return to_map(torch.where(unsure, k @ k.transpose(1, 2) @ p, p), cosine.shape[2:])


@dataclass(frozen=True)
class Hyper(Train):
    templates: str = knob("ensemble85", choices=SETS, help="sentences whose features are averaged")
    pd: float = knob(0.0, 0.0, 1.0, live=True, help="prompt denoising: a class needs this probability somewhere (paper: 0.5)")
    ks: float = knob(0.0, 0.0, 1.0, live=True, help="key smoothing: positions below this probability are mixed (paper: 1)")
    scale: float = knob(100.0, 0.0, 1000.0, live=True, help="scale of the cosines inside the softmax")
    residual: bool = knob(True, help="ViT: keep the residual of the last attention (re-implementations often drop it)")
    mlp: bool = knob(True, help="ViT: keep the MLP of the last block")
    mode: str = knob("value", choices=("value", "attn"), help="value path, or the ordinary last attention for comparison")
    size: int | None = knob(None, 16, 4096, help="side of the pictures in px; None = the backbone's own")


class MaskCLIP(Method):
    card = Card(
        id="maskclip", name="MaskCLIP", year=2022, venue="ECCV", paper="arXiv:2112.01071", code="chongzhou96/MaskCLIP",
        family="other", supervision="training-free", kinds=("dense",), protocols=("few_shot",), trains="nothing",
        difference="the last attention passes each position's own value on, so every position can be compared with the names",
        needs=("tokens",), params_b16_k100=0,
        exposes=(Expose("cosine", as_="mask"),),
        presets={"demo": {"templates": "dataset-all", "residual": False, "mlp": False}, "paper-refined": {"pd": 0.5, "ks": 1.0}},
        claims=(Claim("voc20", None, "ViT-B-16", "miou", 49.5, "README"), Claim("context59", None, "ViT-B-16", "miou", 21.7, "README"),
                Claim("coco-stuff", None, "ViT-B-16", "miou", 12.5, "README")),
        departs=("activation, layer-norm epsilon and pixel statistics are the backbone's own (the public ViT configuration takes exact "
                 "GELU, 1e-6 and ImageNet statistics on weights trained otherwise)",
                 "one square picture instead of the whole picture at its own aspect ratio"),
        job=Job(data="world:scenes-masks@photo", protocol="few_shot", against="maskclip", against_hyper={"mode": "attn"}, test="test"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone.at(hyper.size) if hyper.size else backbone, task, hyper)

    def classes(self, names: ClassSet) -> Bank:
        """Unit-length ensemble features [C, E]."""
        return Bank(names, self.plain(names, template_set(self.hyper.templates, names)))

    def forward(self, batch: Batch, bank: Bank) -> Out:
        """``pred`` [B, C, h, w]: scale · cosine, or the smoothed probabilities when ``ks`` is on; ``aux["cosine"]``: before refinement."""
        h = self.hyper
        enc = frozen_dense(self.backbone, batch, h.mode, residual=h.residual, mlp=h.mlp, keys=h.ks > 0)
        cosine = to_map(F.normalize(enc.tokens.float(), dim=-1) @ bank.text.T, enc.grid)
        refined = denoise(cosine, h.pd, h.scale) if h.pd > 0 else cosine
        pred = smooth(refined, enc.taps["keys"], h.ks, h.scale) if h.ks > 0 else h.scale * refined
        return Out(pred, {"cosine": cosine})

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Any]:
        yield Note("maskclip needs no training: the frozen last attention already holds a feature for every position.")
