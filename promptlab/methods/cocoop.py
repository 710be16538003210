"""CoCoOp: CoOp's context is shifted, for every picture anew, by a small network of the image feature.

π_b = W2 relu(W1 v̂_b) [D], t_bc = unit(T(SOS, ctx [n, D] + π_b, name_c, ".", EOT)), pred [B, C] = scale · v̂_b · t_bc.
Source: *Conditional Prompt Learning for Vision-Language Models*, CVPR 2022, arXiv:2203.05557 (section 3.2);
``KaiyangZhou/CoOp: trainers/cocoop.py``.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import Context, per_image


@dataclass(frozen=True)
class Hyper(Train):
    n_ctx: int = knob(4, 1, 64, help="learned vectors, when there are no initial words")
    ctx_init: str | None = knob("a photo of a", help="initial words; their number is then that of the vectors")
    reduction: int = knob(16, 1, 1024, help="the hidden layer has joint width // reduction units")
    batch: int = knob(1, 1, 4096, help="images per step; the text tower runs once for each of them")
    epochs: int = knob(10, 0, 10000, help="passes over the support set")


class CoCoOp(Method):
    card = Card(
        id="cocoop", name="CoCoOp", year=2022, venue="CVPR", paper="arXiv:2203.05557", code="KaiyangZhou/CoOp",
        family="text prompt", supervision="supervised", difference="learned context vectors plus a shift computed from the image",
        trains="context vectors and a two-layer network", needs=("text",), params_b16_k100=35360,
        exposes=(Expose("context.ctx", as_="words"), Expose("shift", as_="shift")),
        presets={"demo": {"batch": 32, "optimiser": "adam", "lr": 5e-3, "weight_decay": 0.0, "steps": 100, "schedule": "step-cosine",
                          "augment": "none"}},
        claims=(Claim("average of 11, new", 16, "ViT-B-16", "accuracy", 0.7169, "table 1"),),
        departs=("float32 learnables instead of float16", "all images of a batch go through the text tower together"),
        job=Job("world:vehicles@pixel-art", against="coop", test="new"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        joint, hidden = backbone.joint_dim, max(1, backbone.joint_dim // hyper.reduction)
        self.context = Context(backbone, task.classes, hyper.n_ctx, words=hyper.ctx_init)
        layers = [("linear1", nn.Linear(joint, hidden)), ("relu", nn.ReLU()), ("linear2", nn.Linear(hidden, backbone.text_width))]
        self.meta_net = nn.Sequential(OrderedDict(layers)).to(backbone.device)

    def classes(self, names: ClassSet) -> Bank:
        """Names only: the prompts depend on the picture."""
        return Bank(names)

    def forward(self, batch: Batch, bank: Bank) -> Out:
        v = F.normalize(self.image(batch).pooled.float(), dim=-1)
        shift = self.meta_net(v)  # [B, D]

        def encode(part: Tensor) -> Tensor:
            return self.text(self.context.inputs(bank.names, shift=part))

        text = F.normalize(per_image(encode, shift[:, None], len(bank.names)), dim=-1)
        return Out(self.cosine(v, text), {"shift": shift, "text": text})
