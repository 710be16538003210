"""CoOp: the words around a class name become free vectors, fitted by cross-entropy; both towers stay frozen.

t_c = unit(T(SOS, ctx [n, D], name_c, ".", EOT)) [E], pred [B, C] = scale · v̂ · t_cᵀ; ctx is shared, or one a class [C, n, D].
Source: *Learning to Prompt for Vision-Language Models*, IJCV 2022, arXiv:2109.01134 (eq. 1-3); ``KaiyangZhou/CoOp: trainers/coop.py``.
"""

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F

from promptlab.card import Card, Claim, Expose, Train, knob
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.method import Bank, Method
from promptlab.parts.context import POSITIONS, Context


@dataclass(frozen=True)
class Hyper(Train):
    n_ctx: int = knob(16, 1, 64, help="learned vectors; the words of ctx_init set it themselves")
    ctx_init: str | None = knob(None, help="initial words, such as 'a photo of a'; random when empty")
    position: str = knob("end", choices=POSITIONS, help="where the class name stands")
    class_specific: bool = knob(False, help="one context for every class; then other names cannot be asked for")


class CoOp(Method):
    card = Card(
        id="coop", name="CoOp", year=2022, venue="IJCV", paper="arXiv:2109.01134", code="KaiyangZhou/CoOp",
        family="text prompt", supervision="supervised", difference="learned context vectors around the class name",
        trains="context vectors", needs=("text",), params_b16_k100=8192, exposes=(Expose("context.ctx", as_="words"),),
        presets={
            "demo": {"optimiser": "adam", "lr": 0.01, "weight_decay": 0.0, "steps": 200, "schedule": "step-cosine", "augment": "none"},
            "paper-16shot": {"epochs": 200},
            "paper-1shot": {"epochs": 50},
            "paper-base-to-new": {"ctx_init": "a photo of a", "epochs": 200},
        },
        claims=(Claim("average of 11, base", 16, "ViT-B-16", "accuracy", 0.8269, "CoCoOp, table 1"),
                Claim("average of 11, new", 16, "ViT-B-16", "accuracy", 0.6322, "CoCoOp, table 1")),
        departs=("float32 context instead of float16", "init words with class-specific contexts start every class from the words; "
                 "the public code drops the class-specific setting without saying so"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        per = "class" if hyper.class_specific else "shared"
        self.context = Context(backbone, task.classes, hyper.n_ctx, words=hyper.ctx_init, position=hyper.position, per=per)

    def classes(self, names: ClassSet) -> Bank:
        return Bank(names, F.normalize(self.text(self.context.inputs(names)), dim=-1))
