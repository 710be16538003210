"""CLIP-LoRA: rank-2 updates of the attention maps of both towers, one set of hyper-parameters for everything.

y = W x + b + (α / √r) B A drop(x) for the q, k, v (and o) maps of every block: A [r, D] Kaiming-uniform, B [D, r] zero, dropout drawn
apart for each map on the input of the low-rank branch only. pred [B, C] = scale · cosine, the sentences encoded anew each step.
Source: *Low-Rank Few-Shot Adaptation of Vision-Language Models*, CVPRW 2024, arXiv:2405.18541 (eq. 5-6); ``MaxZanella/CLIP-LoRA:
lora.py, loralib/layers.py, run_utils.py``.
"""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from promptlab.backbones.points import Edit
from promptlab.card import Card, Claim, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.errors import BadHyper
from promptlab.method import Bank, Method
from promptlab.parts.weights import LowRank, blocks


@dataclass(frozen=True)
class Hyper(Train):
    encoder: str = knob("both", choices=("both", "vision", "text"), help="towers that are adapted")
    params: str = knob("qkv", help="attention maps that are adapted, letters of qkvo")
    layers: str = knob("all", help="blocks that are adapted: all, or numbers such as 0,1,6-11")
    rank: int = knob(2, 1, 1024, help="r, the rank of every update")
    alpha: float = knob(1.0, 0.0, 1000.0, help="α; the update is scaled by α / √r")
    dropout: float = knob(0.25, 0.0, 0.99, help="dropout on the input of the low-rank branch")
    steps_per_shot: int = knob(500, 0, 100_000, help="training steps per shot where steps is empty; 0 = use epochs")
    optimiser: str = knob("adamw", choices=("sgd", "adam", "adamw"), help="optimiser")
    lr: float = knob(2e-4, 0.0, 1000.0, help="base learning rate")
    weight_decay: float = knob(1e-2, 0.0, 1.0, help="weight decay")
    schedule: str = knob("step-cosine", choices=("epoch-cosine", "step-cosine", "constant"), help="learning-rate schedule")
    final_lr: float = knob(1e-6, 0.0, 1000.0, help="learning rate at the end (step-cosine)")


class CLIPLoRA(Method):
    card = Card(
        id="clip_lora", name="CLIP-LoRA", year=2024, venue="CVPRW", paper="arXiv:2405.18541", code="MaxZanella/CLIP-LoRA",
        family="adapter", supervision="supervised", difference="low-rank updates of the attention maps of both towers",
        trains="low-rank factors", needs=("text-weights", "image-weights", "image-deep"), identity_at_init=True,
        params_b16_k100=184_320,
        presets={"demo": {"batch": 16, "steps": 100, "lr": 2e-3, "augment": "none"}, "vision-only": {"encoder": "vision"}},
        claims=(Claim("average of 11, all", 16, "ViT-B-16", "accuracy", 0.830, "Table 1 (recalled, not checked)"),),
        departs=("the update is added in every pass and never merged into the weights, so modes can switch without rounding",
                 "the logit scale is the backbone's own instead of the constant 100 (equal for OpenAI weights)",
                 "float32 instead of autocast with a gradient scaler"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        if not hyper.params or set(hyper.params) - set("qkvo") or len(set(hyper.params)) < len(hyper.params):
            raise BadHyper(f"params of clip_lora must be different letters of qkvo, such as 'qkv'; got {hyper.params!r}.")
        sides = {"both": ("image", "text"), "vision": ("image",), "text": ("text",)}[hyper.encoder]
        shapes = {}
        for side in sides:
            weights, count = getattr(backbone, side).weights, getattr(backbone, f"{side}_layers")
            names = [f"{side}.weights.block.{i}.attn.{p}" for i in blocks(hyper.layers, count) for p in hyper.params]
            shapes |= {n: weights[n].shape for n in names}
        self.lora = LowRank(shapes, hyper.rank, hyper.alpha, hyper.dropout).to(backbone.device)

    def edits(self, batch: Batch | None = None) -> list[Edit]:
        return self.lora.edits()

    def classes(self, names: ClassSet) -> Bank:
        """First template through the adapted text tower; all templates where that tower stays frozen (as in the code)."""
        return Bank(names, self.plain(names, names.templates)) if self.hyper.encoder == "vision" else super().classes(names)

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Any]:
        h = self.hyper
        if h.steps is None and h.steps_per_shot:
            shots = episode.shots or math.ceil(len(episode.support) / len(self.task.classes))
            self.hyper = dataclasses.replace(h, steps=h.steps_per_shot * shots)
        yield from super().fit(episode, ctx)
