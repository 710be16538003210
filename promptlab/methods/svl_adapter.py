"""SVL-Adapter: a small classifier on a self-supervised encoder, its logits averaged with the backbone's own.

g = W₂ ReLU(W₁ h(x) + b₁) + b₂, pred [B, C] = α g + (1 - α) · scale · cosine(v, t_c); h(x) [B, D_h] are raw features of an encoder that
saw pictures without labels (SimCLR on the task's own pictures, by default from ImageNet weights). Loss: CE(g).
α: "val": the first best of 0, 0.05, ..., 1 on validation pictures (SVL-Adapter); "confidence": 1 - mean_i max_c softmax of the
backbone's answers to unlabelled pictures (SVL-Adapter*).
Source: *SVL-Adapter: Self-Supervised Adapter for Vision-Language Pretrained Models*, BMVC 2022, arXiv:2210.03794 (eq. 3-5);
``omipan/svl_adapter: ssl_pretraining.py, low_shot_adapt.py, models.py``.
"""

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.backbones.points import Encoding
from promptlab.card import Card, Expose, Job, Train, knob
from promptlab.data.batch import Batch, Split
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.errors import BadData
from promptlab.fit.events import Event, Labelled, Note, Progress
from promptlab.fit.gradient import gradient
from promptlab.fit.pseudo import select
from promptlab.method import Bank, Method, Out
from promptlab.parts.selfsup import SecondEncoder, contrast, projector, unit_range


@dataclasses.dataclass(frozen=True)
class Hyper(Train):
    alpha: float | None = knob(None, 0.0, 1.0, live=True, help="share of the self-supervised side; chosen by 'select' when empty")
    select: str = knob("val", choices=("val", "confidence"), help="how α is chosen: SVL-Adapter, or SVL-Adapter* (no validation pictures)")
    confidence: str = knob("unit", choices=("unit", "raw"), help="confidence from unit or raw image features (the code's RN50)")
    alpha_step: float = knob(0.05, 0.001, 1.0, help="step of the search for α on validation pictures")
    pseudo: bool = knob(False, help="learn from the backbone's most confident guesses instead of the labels")
    k: int = knob(16, 1, 100000, help="pictures per guessed class, with pseudo")
    encoder: str = knob("resnet50", help="'world-ssl' (shipped), 'small' (random) or any timm model")
    hidden: int = knob(256, 1, 65536, help="hidden width of the classifier")
    ssl_epochs: int = knob(200, 0, 10000, help="passes of SimCLR over the unlabelled pictures; 0 = the encoder as it is")
    ssl_batch: int = knob(256, 2, 4096, help="pictures per step of SimCLR")
    ssl_lr: float = knob(0.03, 0.0, 100.0, help="its learning rate at batch 256")
    side: int = knob(112, 16, 1024, help="side in px of the pictures that a timm encoder sees")
    optimiser: str = knob("adam", choices=("sgd", "adam", "adamw"), help="optimiser")
    lr: float = knob(1e-3, 0.0, 1000.0, help="base learning rate")
    weight_decay: float = knob(0.0, 0.0, 1.0, help="weight decay (L2 in the gradient for sgd and adam)")
    schedule: str = knob("constant", choices=("epoch-cosine", "step-cosine", "constant"), help="learning-rate schedule")
    augment: str = knob("none", choices=("none", "crop"), help="train-time transform")


class SVLAdapter(Method):
    card = Card(
        id="svl_adapter", name="SVL-Adapter", year=2022, venue="BMVC", paper="arXiv:2210.03794", code="omipan/svl_adapter",
        family="adapter", supervision="supervised", difference="mixed with a classifier on a self-supervised encoder",
        trains="a two-layer classifier", open_vocabulary=False, protocols=("few_shot",), params_b16_k100=550_244,
        exposes=(Expose("adapter", as_="bars"), Expose("plain", as_="bars")),
        presets={"demo": {"encoder": "world-ssl", "ssl_epochs": 0, "steps": 300}, "star": {"select": "confidence"}},
        departs=("the confidence of SVL-Adapter* comes from unit features of unlabelled training pictures; the code takes test pictures "
                 "and, for all but ViT-L/14, raw features (confidence='raw')", "the logit scale is the backbone's own instead of 100",
                 "classes that are never guessed get no pseudo-labels; the code gives them second choices"),
        job=Job("world:textures@thermal", protocol="few_shot", test="test"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.encoder = SecondEncoder(hyper.encoder, hyper.side)
        self.mlp = nn.Sequential(nn.Linear(self.encoder.width, hyper.hidden), nn.ReLU(), nn.Linear(hyper.hidden, len(task.classes)))
        self.register_buffer("found", torch.tensor(0.5))
        self.to(backbone.device)

    @property
    def share(self) -> float | Tensor:
        """α in force: the knob, or what was found."""
        return self.found if self.hyper.alpha is None else self.hyper.alpha

    def features(self, batch: Batch) -> Tensor:
        """Self-supervised features [B, D_h]; each picture is encoded once."""
        def encode(pixels: Tensor) -> Encoding:
            return Encoding(self.encoder(unit_range(pixels.to(self.backbone.device), self.backbone.spec, self.encoder.side)))

        return self.backbone.cached_image(batch, encode=encode, variant=self.encoder.variant).pooled

    def classes(self, names: ClassSet) -> Bank:
        return Bank(names, self.plain(names, names.templates), {"rows": self.rows(names)})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        plain = self.cosine(self.image(batch).pooled, bank.text)
        adapter = self.mlp(self.features(batch))[:, bank.extra["rows"]]
        return Out(self.share * adapter + (1 - self.share) * plain, {"adapter": adapter, "plain": plain})

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        return {"task": F.cross_entropy(out.aux["adapter"], batch.target)}

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        pool = episode.pool or episode.support  # labels are not read
        if not pool:
            raise BadData(f"svl_adapter learns from pictures and '{episode.task.name}' has none; give it some.")
        yield from self._pretrain(pool, ctx)
        if self.hyper.pseudo:
            guessed = select(self._plain(pool).softmax(-1).cpu(), "per_class", self.hyper.k)
            yield Labelled(len(guessed.index), float(guessed.confidence.mean()))
            episode = episode.replace(support=Split(pool.source, pool.take(guessed.index.tolist()).rows, guessed.label), val=None)
        for finished in gradient(self, episode, ctx, params=self.mlp.parameters()):
            if type(finished).__name__ != "Finished":
                yield finished
        yield Note(f"alpha {self._choose(episode.val, pool):.3g} is the share of the self-supervised side.")
        yield finished

    def _pretrain(self, pool: Split, ctx: Any) -> Iterator[Event]:
        """SimCLR: SGD, a cosine per step; the encoder's adapted weights become part of the state."""
        h, size = self.hyper, min(self.hyper.ssl_batch, len(pool))
        if not h.ssl_epochs or size < 2:
            return
        encoder, rng = copy.deepcopy(self.encoder.module).requires_grad_(True).train(), torch.Generator().manual_seed(h.seed)
        head = projector(self.encoder.width).to(self.backbone.device)
        opt = torch.optim.SGD([*encoder.parameters(), *head.parameters()], h.ssl_lr * size / 256, momentum=0.9, weight_decay=5e-4)
        fall = torch.optim.lr_scheduler.CosineAnnealingLR(opt, h.ssl_epochs * max(1, len(pool) // size))
        for epoch in range(h.ssl_epochs):
            for batch in pool.batches(size, order=torch.randperm(len(pool), generator=rng), drop_last=True):
                if ctx.halt():
                    return
                pixels = batch.pixels(self.backbone.spec).to(self.backbone.device)
                opt.zero_grad()
                contrast(encoder, head, unit_range(pixels, self.backbone.spec, self.encoder.side).clamp(0, 1), rng).backward()
                opt.step(), fall.step()
            self.encoder.keep(encoder)
            yield Progress("self-supervision", epoch + 1, h.ssl_epochs)

    @torch.no_grad()
    def _plain(self, split: Split, raw: bool = False) -> Tensor:
        """The backbone's answers [n, C]; ``raw``: without making the image features unit length."""
        text = self.bank().text
        found = [self.image(b).pooled.float() for b in split.batches(100)]
        return torch.cat([self.backbone.scale * v @ text.T if raw else self.cosine(v, text) for v in found])

    @torch.no_grad()
    def _choose(self, val: Split | None, pool: Split) -> float:
        """α by the rule of the hyper-parameters; without validation pictures by confidence."""
        if self.hyper.select == "val" and val is not None and val.targets is not None and len(val):
            plain, g = self._plain(val), torch.cat([self.mlp(self.features(b)) for b in val.batches(100)])
            grid = [i * self.hyper.alpha_step for i in range(int(1 / self.hyper.alpha_step + 1e-6) + 1)]
            right = [float((a * g + (1 - a) * plain).argmax(1).eq(val.targets.to(g.device)).float().mean()) for a in grid]
            self.found.fill_(grid[right.index(max(right))])  # the first of the best
        else:
            self.found.fill_(1 - self._plain(pool, self.hyper.confidence == "raw").softmax(-1).amax(-1).mean())
        return float(self.share)
