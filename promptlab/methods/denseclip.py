"""DenseCLIP: pixel-text score maps, from texts that have looked at the picture, beside a segmentation head that reads them.

T [K, E] = texts with a learned context (not unit length), Z [B, M, E] = projected patch tokens, g [B, E] the global feature:
    T' = T + gamma * Decoder(T, [g; Z])        [B, K, E], gamma [E] = 1e-4 at first (:mod:`promptlab.parts.decoder`)
    A = cos(Z, T')                             [B, K, h, w], joined to the third map of a feature pyramid (:mod:`promptlab.parts.pyramid`)
    L = CE(head) + 0.4 CE(A / tau), both at the labels' size, tau = 0.07; pred = the head's logits
Source: Rao et al., CVPR 2022, arXiv:2112.01518; raoyongming/DenseCLIP (segmentation/denseclip/{denseclip,models}.py, configs).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.backbones.points import Edit, Encoding
from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.fit.events import Event
from promptlab.fit.gradient import gradient
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import Context
from promptlab.parts.decoder import ContextDecoder
from promptlab.parts.dense import to_map
from promptlab.parts.pyramid import Pyramid
from promptlab.parts.weights import Delta


@dataclass(frozen=True)
class Hyper(Train):
    n_ctx: int = knob(8, 1, 64, help="learned vectors before the name")
    width: int = knob(256, 8, 4096, help="width of the context decoder")
    heads: int = knob(4, choices=(1, 2, 4, 8), help="heads of the context decoder")
    layers: int = knob(3, 1, 12, help="layers of the context decoder")
    dropout: float = knob(0.1, 0.0, 0.9, help="dropout of decoder and head")
    gamma: float = knob(1e-4, 0.0, 10.0, help="first value of gamma, what the decoder adds")
    tau: float = knob(0.07, 1e-3, 10.0, help="temperature of the score maps in their loss")
    aux_weight: float = knob(0.4, 0.0, 10.0, help="weight of the score maps' loss")
    head: str = knob("fpn", choices=("fpn", "score"), help="who answers: the segmentation head, or the score maps alone")
    channels: int = knob(256, 8, 1024, help="channels of the segmentation head")
    backbone_lr: float = knob(0.1, 0.0, 10.0, help="learning rate of the image tower, as a share of lr (0: frozen)")
    double_class: bool = knob(True, help="ViT: the class embedding is added twice to its token, as in the public code")
    size: int | None = knob(None, 16, 4096, help="side of the pictures in px; None = the backbone's own (the paper: 640)")
    optimiser: str = knob("adamw", choices=("sgd", "adam", "adamw"), help="optimiser")
    lr: float = knob(1e-4, 0.0, 1000.0, help="base learning rate")
    weight_decay: float = knob(1e-4, 0.0, 1.0, help="weight decay of everything but norms, biases and gamma")
    steps: int | None = knob(80_000, 0, 10_000_000, help="training steps instead of epochs")
    schedule: str = knob("step-cosine", choices=("epoch-cosine", "step-cosine", "constant"), help="learning-rate schedule")
    warmup_steps: int = knob(1500, 0, 1_000_000, help="linear warm-up steps")
    final_lr: float = knob(1e-6, 0.0, 1000.0, help="learning rate at the end")
    augment: str = knob("none", choices=("none",), help="train-time transform (masks are not cropped)")


class DenseCLIP(Method):
    card = Card(
        id="denseclip", name="DenseCLIP", year=2022, venue="CVPR", paper="arXiv:2112.01518", code="raoyongming/DenseCLIP",
        family="text prompt", supervision="supervised", kinds=("dense",), protocols=("few_shot",), open_vocabulary=False,
        difference="texts refined by the picture, matched with every pixel, and a segmentation head that reads the match",
        trains="context, context decoder, gamma, segmentation head, image tower", needs=("text", "tokens", "vit", "image-weights"),
        params_b16_k100=104_169_572,
        exposes=(Expose("score", as_="mask"), Expose("plain", as_="mask"), Expose("context.ctx", as_="words")),
        presets={"demo": {"backbone_lr": 0.0, "double_class": False, "channels": 32, "width": 64, "lr": 2e-3, "steps": 150, "batch": 16,
                          "warmup_steps": 5},
                 "tiny": {"backbone_lr": 0.0, "double_class": False, "channels": 8, "width": 16, "layers": 1, "dropout": 0.0}},
        claims=(Claim("ade20k", None, "ViT-B-16", "miou", 50.6, "README"), Claim("ade20k", None, "RN50", "miou", 43.5, "README")),
        departs=("semantic segmentation on a ViT; detection and residual networks are left out", "cosine instead of a polynomial schedule",
                 "group norms instead of synchronised batch norms, no drop path, no augmentation, one whole square picture",
                 "names may be longer than three tokens, positions of other sizes are resized bicubically"),
        job=Job("world:scenes-masks", against="maskclip", protocol="few_shot", test="test", shots=16),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone.at(hyper.size) if hyper.size else backbone, task, hyper)
        b, k = self.backbone, len(task.classes)
        self.context = Context(b, task.classes, hyper.n_ctx, suffix="")
        nn.init.trunc_normal_(self.context.ctx.data)
        self.decoder = ContextDecoder(b.joint_dim, hyper.width, hyper.heads, hyper.layers, hyper.dropout)
        self.gamma = nn.Parameter(torch.full((b.joint_dim,), hyper.gamma))
        self.head = Pyramid(b.image_width, k, k, hyper.channels, hyper.dropout) if hyper.head == "fpn" else None
        self.tower = Delta(b.image.weights) if hyper.backbone_lr else None
        n = b.image_layers
        self.blocks = [f"image.block.{i}.out" for i in (max(n // 3 - 1, 0), max(n // 2 - 1, 0), max(2 * n // 3 - 1, 0), n - 1)]
        self.to(b.device)

    def edits(self, batch: Batch | None = None) -> list[Edit]:
        cls = self.backbone.image.weights["image.weights.cls"].reshape(1, 1, -1)
        twice = [Edit("image.embed", lambda x: x + cls, slots=(0, 1))] if self.hyper.double_class else []
        return [*(self.tower.edits() if self.tower is not None else []), *twice]

    def classes(self, names: ClassSet) -> Bank:
        """Text features of all learned classes [K, E], not normalised (the decoder's queries see each other); rows asked for."""
        return Bank(names, None, {"text": self.text(self.context.inputs(self.task.classes)), "rows": self.rows(names)})

    def seen(self, batch: Batch) -> Encoding:
        """Global feature, patch tokens and the four block outputs; remembered where the tower is frozen."""
        def encode(pixels: Tensor) -> Encoding:
            out = self.backbone.encode_image(pixels, self.edits(), tuple(dict.fromkeys(self.blocks)), tokens=True)
            return Encoding(out.pooled, out.tokens, out.grid, {k: out.taps[k] for k in dict.fromkeys(self.blocks)})

        if self.tower is not None:
            return encode(batch.pixels(self.backbone.spec).to(self.backbone.device))
        return self.backbone.cached_image(batch, tokens=True, encode=encode, variant=("denseclip", self.hyper.double_class))

    def refine(self, seen: Encoding, text: Tensor) -> Tensor:
        """What the picture adds to the texts, before gamma [B, K, E]."""
        memory = torch.cat([seen.pooled[:, None], seen.tokens], 1)
        return self.decoder(text.expand(len(memory), -1, -1), memory)

    def forward(self, batch: Batch, bank: Bank) -> Out:
        """``aux``: ``score`` and ``plain`` (without the decoder) [B, C, h, w]; the whole score maps and head's logits for the loss."""
        seen, text, rows = self.seen(batch), bank.extra["text"], bank.extra["rows"]
        z = F.normalize(seen.tokens.float(), dim=-1)
        refined = F.normalize(text + self.gamma * self.refine(seen, text), dim=-1)
        score, plain = (to_map(z @ t.transpose(-1, -2), seen.grid) for t in (refined, F.normalize(text, dim=-1)))
        lead = seen.taps[self.blocks[0]].shape[1] - z.shape[1]
        maps = [to_map(seen.taps[b][:, lead:].float(), seen.grid) for b in self.blocks]
        whole = score / self.hyper.tau if self.head is None else self.head(maps, score)
        return Out(whole[:, rows], {"score": score[:, rows], "plain": plain[:, rows], "scores": score, "head": whole})

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        """Pixel cross-entropy of the head and of the score maps over tau."""
        scores = self.kind.loss(out.aux["scores"] / self.hyper.tau, batch.target)
        if self.head is None:
            return {"score": scores}
        return {"task": self.kind.loss(out.aux["head"], batch.target), "score": self.hyper.aux_weight * scores}

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        own = [p for n, p in self.named_parameters() if not n.startswith("tower.")]
        groups = [{"params": [p for p in own if p.ndim > 1]}, {"params": [p for p in own if p.ndim < 2], "weight_decay": 0.0}]
        tower = [{"params": list(self.tower.parameters()), "scale": self.hyper.backbone_lr}] if self.tower is not None else []
        yield from gradient(self, episode, ctx, params=[*groups, *tower])
