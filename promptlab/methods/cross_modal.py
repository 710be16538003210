"""Cross-modal adaptation: class names are further training examples, so one linear head learns from pictures and sentences together.

pred [B, C] = scale · W f̂ᵀ with W [C, E] (not renormalised, no bias), first the zero-shot classifier: the unit mean of raw text features
over the templates. A step's loss is CE over B picture features and B text features x̂ [E] (one of every class's sentences), as one batch.
After the fit W may be mixed with its start: W_a = a W + (1 - a) W_0.
Source: *Multimodality Helps Unimodality: Cross-Modal Few-Shot Learning with Multimodal Models*, CVPR 2023, arXiv:2301.06267;
``linzhiqiu/cross_modal_adaptation: train.py, engine/model/head.py``.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.card import Card, Claim, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.fit.events import Event, Note
from promptlab.fit.gradient import gradient
from promptlab.method import Bank, Method, Out
from promptlab.parts.texts import unit_texts

CHECK_EVERY = 100  # steps between two looks at the validation pictures


@dataclass(frozen=True)
class Hyper(Train):
    texts: bool = knob(True, help="learn from sentences too; off: pictures only (the uni-modal baseline)")
    init: str = knob("zero_shot", choices=("zero_shot", "random"), help="where the head starts")
    wise: float = knob(1.0, 0.0, 1.0, live=True, help="share of the trained head in its mix with the zero-shot head (0.5 in the paper)")
    select_on: str = knob("val", choices=("val", "last"), help="keep the best state on validation pictures, or the last")
    optimiser: str = knob("adamw", choices=("sgd", "adam", "adamw"), help="optimiser")
    lr: float = knob(1e-3, 0.0, 1000.0, help="base learning rate (1e-3 and 1e-4 are tried in the paper)")
    weight_decay: float = knob(1e-2, 0.0, 1.0, help="weight decay (0, 1e-2 and 1e-4 are tried in the paper)")
    steps: int | None = knob(12_800, 0, 10_000_000, help="training steps instead of epochs")
    batch: int = knob(16, 1, 4096, help="pictures per step; as many sentences come with them")
    schedule: str = knob("step-cosine", choices=("epoch-cosine", "step-cosine", "constant"), help="learning-rate schedule")
    warmup_steps: int = knob(50, 0, 1_000_000, help="linear warm-up steps (step-cosine)")
    crop_scale: float = knob(1.0, 0.01, 1.0, help="smallest area of the random crop; 1: the centre crop and its mirror image")
    views: int = knob(2, 0, 1024, help="cached augmented views per image; 0 = fresh crops each epoch")


class CrossModal(Method):
    card = Card(
        id="cross_modal", name="Cross-Modal", year=2023, venue="CVPR", paper="arXiv:2301.06267", code="linzhiqiu/cross_modal_adaptation",
        family="adapter", supervision="supervised", difference="a linear head that learns from pictures and from sentences alike",
        trains="weights of a linear classifier", open_vocabulary=False, identity_at_init=True, protocols=("few_shot",),
        params_b16_k100=51_200, presets={"demo": {"steps": 600, "augment": "none"}},
        claims=(Claim("average of 11, all", 16, "RN50", "accuracy", 0.76, "Table 2 (recalled, not checked)"),),
        departs=("the logit scale is the backbone's own instead of the constant exp(4.60517) (equal for OpenAI weights)",
                 "each step draws its sentences afresh instead of going through a shuffled list, and at most as many as there are",
                 "validated after the epoch nearest to every 100th step; no sweep over learning rate, decay and batch",
                 "the adapter and partial-fine-tuning variants are clip_adapter and wise_ft here"),
        job=Job(data="world:animals@sketch", protocol="few_shot", test="test", shots=1, against="linear_probe"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        start = self.start(task.classes) if hyper.init == "zero_shot" else torch.randn(len(task.classes), backbone.joint_dim) / 32
        self.weight = nn.Parameter(start.detach().float().clone())
        self.register_buffer("drawn", torch.zeros((), dtype=torch.long))  # batches of sentences so far, so that a resumed fit goes on
        self._texts: dict[tuple, Tensor] = {}  # frozen features, so that a training step encodes no sentence

    def start(self, names: ClassSet) -> Tensor:
        """Zero-shot head [C, E]."""
        return self.backbone.zero_shot(names.clean, names.templates, mean="raw")

    def sentences(self, names: ClassSet) -> Tensor:
        """Unit text features of every template and class [K · C, E]; row k · C + c belongs to class c."""
        if (key := (names.clean, names.templates)) not in self._texts:
            self._texts = {key: unit_texts(self.backbone, [p for t in names.templates for p in names.prompts(t)])}
        return self._texts[key]

    def classes(self, names: ClassSet) -> Bank:
        rows, a = self.rows(names), 1.0 if self.training else self.hyper.wise
        head = self.weight[rows]
        head = head if a == 1 else a * head + (1 - a) * self.start(names)
        return Bank(names, F.normalize(head, dim=-1), {"head": head, "texts": self.sentences(names) if self.training else None})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        v = F.normalize(self.image(batch).pooled.float(), dim=-1)
        aux = {"features": v}
        if bank.extra["texts"] is not None:
            chosen = self._draw(len(bank.extra["texts"]), len(batch)).to(v.device)
            aux |= {"text_pred": self.score(bank.extra["texts"][chosen], bank), "text_target": chosen % len(bank.names)}
        return Out(self.score(v, bank), aux)

    def score(self, x: Tensor, bank: Bank) -> Tensor:
        """scale · x Wᵀ of unit features, pictures' or sentences': [B, E] → [B, C]."""
        return self.backbone.scale * x @ bank.extra["head"].T + self.backbone.bias

    def _draw(self, stock: int, count: int) -> Tensor:
        generator = torch.Generator().manual_seed(self.hyper.seed * 1_000_003 + int(self.drawn))
        self.drawn += 1
        return torch.randperm(stock, generator=generator)[:count]

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        """Both means, weighted so that their sum is the mean over the joint batch."""
        texts, n = out.aux.get("text_target") if self.hyper.texts else None, len(out.pred)
        if texts is None:
            return super().loss(out, batch)
        share = n / (n + len(texts))
        return {"image": share * F.cross_entropy(out.pred, batch.target),
                "text": (1 - share) * F.cross_entropy(out.aux["text_pred"], texts)}

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        val, shots = episode.val, len(episode.support or ())
        if self.hyper.select_on == "val" and ctx.val_every == 0 and val is not None and val.targets is not None and shots:
            every = max(1, round(CHECK_EVERY / max(1, shots // self.hyper.batch)))
            ctx = dataclasses.replace(ctx, keep="best", val_every=every)
            yield Note(f"the best of every {every} epochs on validation pictures is kept.")
        yield from gradient(self, episode, ctx)
