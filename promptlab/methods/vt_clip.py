"""VT-CLIP: each class text looks at the picture's regions and takes in what matters, then is matched as usual.

t'_c = unit(t̂_c + β · softmax(Q Kᵀ / √d) V W_o) with Q = t̂ W_q and K, V from the projected local features [B, M, E] (unit length);
pred [B, C] = scale · v̂ · t'_c. W_o = 0 at first, so that the start is zero-shot.
Source: *VT-CLIP: Enhancing Vision-Language Models with Visual-guided Texts*, arXiv:2112.02399. No code could be found and the numbers
below are unverified: the form is checked from memory and public summaries only.
"""

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F

from promptlab.card import Card, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.errors import BadHyper
from promptlab.method import Bank, Method, Out
from promptlab.parts.looking import TextToImage


@dataclass(frozen=True)
class Hyper(Train):
    heads: int = knob(8, 1, 64, help="attention heads")
    beta: float = knob(1.0, 0.0, 100.0, live=True, help="how much of what was seen goes into the text")
    optimiser: str = knob("adamw", choices=("sgd", "adam", "adamw"), help="optimiser")
    lr: float = knob(1e-3, 0.0, 1000.0, help="base learning rate")
    weight_decay: float = knob(1e-4, 0.0, 1.0, help="weight decay (L2 in the gradient for sgd and adam)")
    epochs: int = knob(100, 0, 10000, help="passes over the support set")
    schedule: str = knob("step-cosine", choices=("epoch-cosine", "step-cosine", "constant"), help="learning-rate schedule")


class VTCLIP(Method):
    card = Card(
        id="vt_clip", name="VT-CLIP", year=2021, venue="arXiv", paper="arXiv:2112.02399", code="", checked="memory", family="adapter",
        supervision="supervised", difference="class texts moved by what they find in the picture's regions",
        trains="one cross-attention of four maps", needs=("tokens",), identity_at_init=True, params_b16_k100=1_048_576,
        exposes=(Expose("looks", as_="mask"),),
        presets={"demo": {"optimiser": "adam", "lr": 3e-3, "weight_decay": 0.0, "steps": 200, "augment": "none"}},
        departs=("written from memory, since no code was found: no layer norms, self-attention or feed-forward part, W_o = 0 at first",
                 "heads 8, β 1 and the recipe are choices of ours"),
        job=Job("world:animals@thermal", against="clip_adapter", protocol="few_shot", test="test"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        if backbone.joint_dim % hyper.heads:
            raise BadHyper(f"heads of vt_clip must divide the feature width {backbone.joint_dim} of {backbone.name}; got {hyper.heads}.")
        self.look = TextToImage(backbone.joint_dim, hyper.heads).to(backbone.device)

    def classes(self, names: ClassSet) -> Bank:
        return Bank(names, None, {"plain": self.plain(names, names.templates)})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        image, plain = self.image(batch, tokens=True), bank.extra["plain"]
        found, pattern = self.look(plain, F.normalize(image.tokens.float(), dim=-1))
        text = F.normalize(plain + self.hyper.beta * found, dim=-1)  # [B, C, E]
        grid = image.grid or (1, pattern.shape[-1])
        return Out(self.cosine(image.pooled, text), {"text": text, "looks": pattern.unflatten(-1, grid)})
