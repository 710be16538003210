"""POUF: a learned context that moves class texts onto unlabelled pictures, by a transport cost in both directions and sure, varied answers.

c = cos(v_b, t_k) [B, K], l = s c with a learned scale s, D = 1 - c, p_b = softmax_k(l_b); all of one batch:
    L_T  = mean_b sum_k D softmax_k(l) + mean_k sum_b D softmax_b(l)          (the second softmax runs over the pictures)
    L_IM = mean_b H(p_b) - H(mean_b p_b)
    L = L_T + 0.3 L_IM
Source: Tanwisuth et al., ICML 2023, arXiv:2305.00350; korawat-tanwisuth/POUF (pouf_lvm/examples/pouf/image_classification/pouf.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.fit.events import Event
from promptlab.fit.gradient import gradient
from promptlab.fit.rounds import unnamed
from promptlab.losses import information, two_way_transport
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import Context


@dataclass(frozen=True)
class Hyper(Train):
    ctx_init: str | None = knob("a photo of a", help="initial words; random when empty")
    n_ctx: int = knob(4, 1, 64, help="learned vectors; the words of ctx_init set it themselves")
    im_weight: float = knob(0.3, 0.0, 100.0, help="weight of the information term")
    scale_lr: float = knob(5e-4, 0.0, 1.0, help="learning rate of the scale, as a share of lr")
    lr: float = knob(1e-3, 0.0, 1000.0, help="base learning rate")
    weight_decay: float = knob(1e-3, 0.0, 1.0, help="weight decay")
    batch: int = knob(96, 2, 4096, help="images per step; both losses read the whole batch, so small ones are noisy")
    steps: int | None = knob(5000, 0, 10_000_000, help="training steps instead of epochs")
    schedule: str = knob("constant", choices=("epoch-cosine", "step-cosine", "constant"), help="learning-rate schedule")


class POUF(Method):
    card = Card(
        id="pouf", name="POUF", year=2023, venue="ICML", paper="arXiv:2305.00350", code="korawat-tanwisuth/POUF", family="text prompt",
        supervision="unsupervised", difference="learned context that transports class texts to unlabelled pictures and back",
        trains="context vectors and the scale", protocols=("few_shot", "base_to_new", "unlabelled"), needs=("text",), params_b16_k100=2049,
        exposes=(Expose("context.ctx", as_="words"), Expose("to_classes", as_="plan"), Expose("to_pictures", as_="plan")),
        presets={"demo": {"optimiser": "adam", "lr": 2e-3, "weight_decay": 0.0, "steps": 60, "schedule": "step-cosine", "augment": "none"}},
        claims=(Claim("domainnet, mean of the tasks", None, "ViT-B-16", "accuracy", 0.602, "approximate, from memory"),),
        departs=("prompts and scale only; tuning the whole model is left out", "plain instead of Nesterov momentum",
                 "constant rate instead of the slow inverse decay (0.6 of the first rate at the end of the run)",
                 "last epoch instead of the best one on the test domain"),
        job=Job("world:animals@pixel-art", protocol="unlabelled", test="test", shots=None),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.context = Context(backbone, task.classes, hyper.n_ctx, words=hyper.ctx_init)
        self.log_scale = nn.Parameter(backbone.scale.detach().clone().float().log())

    def classes(self, names: ClassSet) -> Bank:
        return Bank(names, F.normalize(self.text(self.context.inputs(names)), dim=-1))

    def forward(self, batch: Batch, bank: Bank) -> Out:
        """``aux``: cosines [B, C], and for each picture its plan over classes, for each class its plan over the batch."""
        cosine = F.normalize(self.image(batch).pooled.float(), dim=-1) @ bank.text.T
        pred = self.log_scale.exp() * cosine
        plans = {"to_classes": pred.softmax(1), "to_pictures": pred.softmax(0)}
        return Out(pred + self.backbone.bias, {"cosine": cosine, "scaled": pred, **plans})

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        """``transport`` and ``information``; no label is read."""
        return {"transport": two_way_transport(1 - out.aux["cosine"], out.aux["scaled"]),
                "information": self.hyper.im_weight * information(out.aux["scaled"])}

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        groups = [{"params": [self.context.ctx]}, {"params": [self.log_scale], "scale": self.hyper.scale_lr}]
        yield from gradient(self, episode.replace(support=unnamed(episode)), ctx, params=groups)
