"""LaFTer: a linear classifier learned on sentences, which then teaches a prompted image tower on unlabelled pictures.

Stage 1, on unit text features e [N, E] of descriptions and templates: CE(W (e + 0.1 eps), class), eps ~ N(0, I) fresh at each step.
Stage 2: teacher argmax W_0 unit(f(weak view)) without prompts, W_0 = W after stage 1; student W f(view, prompts), f not normalised;
    CE with label smoothing 0.1 over all pictures; learned: W [K, E], n prompts behind the patches after ln_pre, all layer norms
Source: Mirza et al., NeurIPS 2023, arXiv:2305.18287; jmiemirza/LaFTer (LaFTer.py, trainers/LaFTer.py, utils/utils.py).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.backbones.points import Edit
from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch, View
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.data.templates import SETS, template_set
from promptlab.fit.events import Event, Finished, Note, Step
from promptlab.fit.gradient import gradient
from promptlab.fit.optim import optimiser
from promptlab.fit.rounds import unnamed
from promptlab.losses import cross_entropy
from promptlab.method import Bank, Method, Out
from promptlab.parts.weights import Delta


@dataclass(frozen=True)
class Hyper(Train):
    n_prompts: int = knob(50, 1, 256, help="learned tokens of the image tower")
    noise: float = knob(0.1, 0.0, 10.0, help="noise on the text features of stage 1")
    text_steps: int = knob(500, 0, 100_000, help="steps of stage 1 (400 to 600 by data set)")
    templates: str = knob("ensemble80", choices=SETS, help="sentences beside the descriptions of the classes")
    smoothing: float = knob(0.1, 0.0, 0.9, help="label smoothing of both stages")
    frozen_teacher: bool = knob(False, help="teach with the untouched tower; in the public code the teacher shares the learned layer norms")
    optimiser: str = knob("adamw", choices=("sgd", "adam", "adamw"), help="optimiser")
    lr: float = knob(5e-4, 0.0, 1000.0, help="base learning rate of both stages")
    weight_decay: float = knob(0.01, 0.0, 1.0, help="weight decay")
    batch: int = knob(50, 1, 4096, help="images per step")
    schedule: str = knob("constant", choices=("epoch-cosine", "step-cosine", "constant"), help="learning-rate schedule")
    crop_scale: float = knob(0.2, 0.01, 1.0, help="smallest area of the student's random crop")


class LaFTer(Method):
    card = Card(
        id="lafter", name="LaFTer", year=2023, venue="NeurIPS", paper="arXiv:2305.18287", code="jmiemirza/LaFTer", family="other",
        supervision="unsupervised", difference="a classifier learned on sentences teaches a prompted image tower on unlabelled pictures",
        trains="linear head, image tokens, layer norms of the image tower", needs=("image-deep", "image-weights"), open_vocabulary=False,
        protocols=("few_shot", "unlabelled"), params_b16_k100=129_536, exposes=(Expose("features", as_="features"),),
        presets={"demo": {"n_prompts": 4, "templates": "dataset-all", "text_steps": 600, "lr": 5e-3, "frozen_teacher": True, "steps": 80,
                          "batch": 32, "schedule": "step-cosine", "augment": "none"}},
        claims=(Claim("mean gain over zero-shot", None, "ViT-B-32", "accuracy", 0.038, "up to +0.117; abstract"),),
        departs=("the strong view is a random crop with flip, without colour jitter, grey and blur", "weight decay on all learnables alike",
                 "layer norms are kept as their change from the start, so decay pulls them back to it",
                 "descriptions are those of the class set; without any, templates alone are read",
                 "last epoch instead of the best one on the test pictures"),
        job=Job("world:vehicles@sketch", protocol="unlabelled", test="test", shots=None, against="lafter", against_hyper={"steps": 0},
                note="the gain is that of stage 2 over the classifier of stage 1; that classifier is worse than zero-shot in a style "
                     "that pocket never saw (validation: 48.4, zero-shot 65.1), and the student wins back two thirds of the loss"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        weights = backbone.image.weights
        self.head = nn.Linear(backbone.joint_dim, len(task.classes), bias=False)
        self.prompts = nn.Parameter(torch.empty(hyper.n_prompts, backbone.image_width).uniform_(-0.0625, 0.0625))
        self.norms = Delta(weights, [n for n in weights if "ln_" in n])
        self.register_buffer("teacher", self.head.weight.detach().clone())
        self.to(backbone.device)

    def edits(self, batch: Batch | None = None) -> list[Edit]:
        grow = Edit("image.block.0.in", lambda x: torch.cat([x, self.prompts.to(x.dtype).expand(len(x), -1, -1)], 1))
        return [grow, *self.norms.edits()]

    def classes(self, names: ClassSet) -> Bank:
        return Bank(names, None, {"rows": self.rows(names)})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        f = self.image(batch).pooled.float()
        return Out(self.head(f)[:, bank.extra["rows"]], {"features": f})

    @torch.no_grad()
    def teach(self, batch: Batch) -> Tensor:
        """Classes [B] that the text-trained head sees in the plain view, without prompts."""
        plain = batch.with_view(View())
        if self.hyper.frozen_teacher:
            f = self.backbone.cached_image(plain).pooled
        else:
            f = self.backbone.encode_image(plain.pixels(self.backbone.spec).to(self.backbone.device), self.norms.edits()).pooled
        return (F.normalize(f.float(), dim=-1) @ self.teacher.T).argmax(1)

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy with the teacher's classes; no label is read."""
        return {"teacher": cross_entropy(self.head(out.aux["features"]), self.teach(batch), self.hyper.smoothing)}

    @torch.no_grad()
    def sentences(self) -> tuple[Tensor, Tensor]:
        """Unit text features [N, E] of all sentences and their classes [N]."""
        names, forms = self.task.classes, template_set(self.hyper.templates, self.task.classes)
        said = [(*names.descriptions.get(n, ()), *(f.format(c) for f in forms)) for n, c in zip(names.names, names.clean, strict=True)]
        texts = [t for each in said for t in each]
        e = torch.cat([self.backbone.encode_text(texts[i : i + 256]).pooled for i in range(0, len(texts), 256)])
        return F.normalize(e.float(), dim=-1), torch.tensor([c for c, each in enumerate(said) for _ in each], device=e.device)

    def read(self, ctx: Any) -> Iterator[Event]:
        """Stage 1; its value is why it ended early, or None."""
        h, (e, y) = self.hyper, self.sentences()
        opt = optimiser(h, [self.head.weight])
        for i in range(h.text_steps):
            if why := ctx.halt():
                return why
            start = time.perf_counter()
            loss = cross_entropy(self.head(e + h.noise * torch.randn_like(e)), y, h.smoothing)
            opt.zero_grad(set_to_none=True)
            loss.backward()
            opt.step()
            yield Step(i + 1, h.text_steps, {"text": float(loss.detach())}, h.lr, time.perf_counter() - start)
        self.teacher.copy_(self.head.weight.detach())
        return None

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        support = unnamed(episode)
        if not self.task.classes.descriptions:
            yield Note("the classes came without descriptions, so lafter's classifier is learned on templates alone.")
        why = yield from self.read(ctx)
        self.head.weight.grad = None
        if why:
            yield Finished(ctx.elapsed, why)
            return
        yield from gradient(self, episode.replace(support=support), ctx)
