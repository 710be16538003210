"""PromptSRC: deep prompts of both towers that are held near the frozen model, and averaged over the epochs with Gaussian weights.

L = cross-entropy + λ_t mean|t - t°| + λ_v mean|v - v°| + λ_z T² KL(p° ‖ p) / C, where t [C, E], v [B, E] are the prompted unit features,
t° [C, E] the frozen mean of many sentences, v° [B, E] the frozen feature of the same crop, p, p° [B, C] their softmaxes at temperature T.
After the last epoch θ = Σ_e w_e θ_e, w_e ∝ N(e; μ, σ²) over the epochs e = 1 ... E. Prompts as in IVLP.
Source: *Self-regulating Prompts*, ICCV 2023, arXiv:2307.06948 (eq. 3-8); ``muzairkhattak/PromptSRC: trainers/promptsrc.py``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn.functional import l1_loss, normalize

from promptlab.backbones.points import Edit
from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.data.templates import SETS, template_set
from promptlab.fit import average
from promptlab.fit.events import Event
from promptlab.fit.gradient import gradient
from promptlab.fit.optim import Plan
from promptlab.losses import kl
from promptlab.method import Bank, Method, Out
from promptlab.parts.twin import Twin


@dataclass(frozen=True)
class Hyper(Train):
    n_ctx: int = knob(4, 1, 64, help="text tokens")
    depth: int = knob(9, 1, 64, help="text blocks with their own tokens, the input included")
    n_vision: int = knob(4, 1, 256, help="vision tokens")
    depth_vision: int = knob(9, 0, 64, help="image blocks with their own tokens")
    ctx_init: str | None = knob("a photo of a", help="first words of the sentence; used for up to 4 tokens")
    text_weight: float = knob(25.0, 0.0, 1000.0, help="λ_t, pull of the class features to those of the frozen model")
    image_weight: float = knob(10.0, 0.0, 1000.0, help="λ_v, pull of the image features to the frozen ones")
    logits_weight: float = knob(1.0, 0.0, 1000.0, help="λ_z, pull of the answers to the frozen ones")
    temperature: float = knob(1.0, 0.01, 100.0, help="T of that pull")
    teacher: str = knob("ensemble60", choices=SETS, help="sentences of the frozen class features")
    gpa: bool = knob(True, help="average the prompts over the epochs")
    gpa_mean: float = knob(15.0, -1000.0, 10000.0, help="μ, the epoch that counts most")
    gpa_std: float = knob(1.0, 1e-3, 10000.0, help="σ, in epochs")
    lr: float = knob(2.5e-3, 0.0, 1000.0, help="base learning rate")
    epochs: int = knob(20, 0, 10000, help="passes over the support set")
    batch: int = knob(4, 1, 4096, help="pictures of a step")


class PromptSRC(Method):
    card = Card(
        id="promptsrc", name="PromptSRC", year=2023, venue="ICCV", paper="arXiv:2307.06948", code="muzairkhattak/PromptSRC",
        family="text-visual prompt", supervision="supervised", needs=("text", "text-deep", "image-deep"), params_b16_k100=46_080,
        difference="deep prompts of both towers, held near the frozen model and averaged over epochs", trains="text and vision prompts",
        exposes=(Expose("text", as_="kept"), Expose("prompts.context.ctx", as_="averaging")),
        presets={"demo": {"optimiser": "adam", "lr": 5e-3, "weight_decay": 0.0, "batch": 16, "steps": 60, "schedule": "step-cosine",
                          "augment": "none", "gpa_mean": 3.0},
                 "paper-cross-dataset": {"depth": 3, "depth_vision": 3, "gpa_mean": 6.0, "gpa_std": 10.0},
                 "paper-few-shot": {"epochs": 50, "gpa_mean": 30.0, "gpa_std": 30.0},
                 "paper-few-shot-fine": {"epochs": 50, "gpa_mean": 45.0, "gpa_std": 5.0}},
        claims=(Claim("average of 11, base", 16, "ViT-B-16", "accuracy", 0.8426, "repository README"),
                Claim("average of 11, new", 16, "ViT-B-16", "accuracy", 0.7610, "repository README")),
        departs=("the average is of the learnables, in float32; the code averages all weights in half precision",
                 "a fit cut by steps has fewer epochs than its mean may say; the weights are normalised over those it has",
                 "temperatures other than 1 follow the usual T² rule; the code has 1 only"),
        job=Job(against="ivlp", test="new"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        text, vision = (hyper.n_ctx, hyper.depth), (hyper.n_vision, hyper.depth_vision)
        self.prompts = Twin(backbone, task.classes, text=text, vision=vision, words=hyper.ctx_init).to(backbone.device)

    def edits(self, batch: Batch | None = None) -> list[Edit]:
        return self.prompts.edits()

    def classes(self, names: ClassSet) -> Bank:
        raw = self.text(self.prompts.inputs(names))
        return Bank(names, normalize(raw, dim=-1))

    def forward(self, batch: Batch, bank: Bank) -> Out:
        image = normalize(self.image(batch).pooled.float(), dim=-1)
        return Out(self.cosine(image, bank.text), {"text": bank.text, "image": image})

    def teacher(self, names: ClassSet) -> Tensor:
        """Frozen class features [C, E]: the mean of raw features over the sentences, unit length."""
        return self.backbone.zero_shot(names.clean, template_set(self.hyper.teacher, names), mean="raw")

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        h, text = self.hyper, self.teacher(self.task.classes)
        image = normalize(self.backbone.cached_image(batch).pooled.float(), dim=-1)
        answers = kl(out.pred, self.cosine(image, text), h.temperature) * h.temperature**2 / len(text)
        return {**super().loss(out, batch), "text": h.text_weight * l1_loss(out.aux["text"], text),
                "image": h.image_weight * l1_loss(out.aux["image"], image), "logits": h.logits_weight * answers}

    def epoch_weights(self, epochs: int) -> list[float]:
        """w_e of the epochs 1 ... E; without averaging the last one has all."""
        h = self.hyper
        return average.gaussian_weights(epochs, h.gpa_mean, h.gpa_std) if h.gpa else [0.0] * (epochs - 1) + [1.0]

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        epochs = Plan.of(self.hyper, len(episode.support or ())).epochs
        yield from average.epochs(self, gradient(self, episode, ctx), self.epoch_weights(epochs), ctx)
