"""RePrompt, retrieval-enhanced: the few shots are a database, and the neighbours of a picture shape its vision prompts and its answer.

Keys h_j [E] are frozen unit features of the shots; w = softmax(ĥ(x) · h_j / τ) over the k nearest; p_kNN(c) = Σ_{j: y_j = c} w_j.
Retrieval prompt: g(Σ w_j [h_j; t_{y_j}]) [D_v] is added to the vision prompts of every block, g: Linear, ReLU, Linear.
Loss (1 + β (-log p_kNN(y))) · CE(z, y), a shot never being its own neighbour; answer p = λ p_kNN + (1 - λ) softmax(z), pred = log p.
Source: *Retrieval-Enhanced Visual Prompt Learning for Few-shot Classification*, arXiv:2306.02243. No code was found: checked from memory,
and the retrieval against its sibling ``zjunlp/PromptKG: RetroPrompt``. It is unrelated to *RePrompt: Planning by Automatic Prompt
Engineering for LLM Agents* (arXiv:2406.11132) and to the RePrompts for text-to-image models (arXiv:2302.09466).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.backbones.points import Edit
from promptlab.card import Card, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.fit.events import Event, Progress
from promptlab.fit.gradient import gradient
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import Context
from promptlab.parts.memory import Cache, one_hot


@dataclass(frozen=True)
class Hyper(Train):
    ctx_init: str | None = knob("a photo of a", help="initial words of the context; random when empty")
    n_ctx: int = knob(4, 1, 64, help="context vectors without initial words")
    n_vision: int = knob(4, 1, 256, help="vision prompts of a block")
    depth: int = knob(12, 1, 64, help="blocks with vision prompts")
    hidden: int = knob(64, 1, 4096, help="hidden width of the map from neighbours to prompts")
    k: int = knob(16, 1, 1000, live=True, help="neighbours")
    temperature: float = knob(1.0, 0.001, 100.0, live=True, help="τ of the weights of neighbours; 1 as in the sibling's code")
    mix: float = knob(0.2, 0.0, 1.0, live=True, help="λ, share of the neighbours' vote in the answer")
    beta: float = knob(1.0, 0.0, 100.0, help="how much more shots count whose neighbours disagree with their label")
    weighting: str = knob("sample", choices=("sample", "batch"), help="that weight for each picture, or its mean (the sibling's code)")


class RePrompt(Method):
    card = Card(
        id="reprompt", name="RePrompt (retrieval-enhanced)", year=2023, venue="arXiv", paper="arXiv:2306.02243", code="", checked="memory",
        family="text-visual prompt", supervision="supervised", difference="prompts, loss and answer that look up the nearest shots",
        trains="context, vision prompts, a map from neighbours to prompts", needs=("text", "image-deep"), params_b16_k100=154_432,
        exposes=(Expose("context.ctx", as_="words"), Expose("votes", as_="bars"), Expose("prompted", as_="bars")),
        presets={"demo": {"depth": 3, "k": 64, "temperature": 0.05, "mix": 0.7, "beta": 0.3, "optimiser": "adam", "lr": 1e-3,
                          "weight_decay": 0.0, "batch": 16, "steps": 150, "schedule": "step-cosine", "augment": "none"}},
        departs=("a reconstruction: no code was found, and the map from neighbours to prompts is ours",
                 "no convolution adapters in the image tower", "the database holds plain views of the shots"),
        job=Job(against="reprompt", against_hyper={"mix": 0.0, "beta": 0.0}),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.context = Context(backbone, task.classes, hyper.n_ctx, words=hyper.ctx_init)
        depth, width = min(hyper.depth, backbone.image_layers), backbone.image_width
        self.vision = nn.Parameter(0.02 * torch.randn(depth, hyper.n_vision, width))
        self.map = nn.Sequential(nn.Linear(2 * backbone.joint_dim, hyper.hidden), nn.ReLU(), nn.Linear(hyper.hidden, width))
        nn.init.zeros_(self.map[2].weight), nn.init.zeros_(self.map[2].bias)  # the start is the plain prompts
        self.cache = Cache(backbone.joint_dim, len(task.classes))
        self.places: dict[tuple[str, int], list[int]] = {}  # of the shots, so that none is its own neighbour while learning
        self.to(backbone.device)

    def edits(self, batch: Batch | None = None) -> list[Edit]:
        if batch is None:
            return []
        move = self.map(self.retrieve(batch)[1])[:, None]  # [B, 1, D_v]
        first, *deep = self.vision
        n = len(first)
        entering = Edit("image.block.0.in", lambda x: torch.cat([x, (first + move).to(x.dtype)], 1))
        return [entering, *(Edit(f"image.block.{i + 1}.in", lambda x, p=p: p + move, slots=(-n, None)) for i, p in enumerate(deep))]

    def retrieve(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Votes p_kNN [B, C] and what the neighbours are, Σ w [h; t] [B, 2E]; zeros before the database is filled."""
        query = F.normalize(self.backbone.cached_image(batch).pooled.float(), dim=-1)
        if not len(self.cache):
            return query.new_zeros(len(query), len(self.task.classes)), query.new_zeros(len(query), 2 * query.shape[1])
        near = self.cache.affinity(query)
        if self.training:
            for i, row in enumerate(batch.rows):
                near[i, self.places.get((batch.source.key, row), [])] = -torch.inf
        top, index = near.topk(min(self.hyper.k, near.shape[1]), dim=1)
        weight = (top / self.hyper.temperature).softmax(-1).nan_to_num()[..., None]  # a lone shot has no neighbour
        labels = self.cache.values[index]
        texts = labels @ self.plain(self.task.classes)
        return (weight * labels).sum(1), (weight * torch.cat([self.cache.keys[index], texts], -1)).sum(1)

    def classes(self, names: ClassSet) -> Bank:
        own = {n: i for i, n in enumerate(self.task.classes.names)}
        known = torch.tensor([own.get(n, -1) for n in names.names], device=self.backbone.device)
        return Bank(names, F.normalize(self.text(self.context.inputs(names)), dim=-1), {"known": known})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        z = self.cosine(self.image(batch).pooled, bank.text)
        known = bank.extra["known"]
        votes = self.retrieve(batch)[0][:, known] * (known >= 0)  # nobody votes for a class without shots
        p = self.hyper.mix * votes + (1 - self.hyper.mix) * z.softmax(-1)
        pred = (p / p.sum(1, keepdim=True).clamp_min(1e-30)).clamp_min(1e-30).log()
        return Out(pred, {"z": z, "votes": votes, "prompted": z.softmax(-1)})

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        doubt = -out.aux["votes"].detach().gather(1, batch.target[:, None])[:, 0].log().clamp_min(-100)
        doubt = doubt if self.hyper.weighting == "sample" else doubt.mean()
        return {"task": ((1 + self.hyper.beta * doubt) * F.cross_entropy(out.aux["z"], batch.target, reduction="none")).mean()}

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        if support := episode.support:
            with torch.no_grad():
                keys = torch.cat([self.backbone.cached_image(b).pooled.float() for b in support.batches(100)])
            self.cache.fill(F.normalize(keys, dim=-1), one_hot(support.targets, len(self.task.classes)).to(keys))
            self.places = {}
            for i, row in enumerate(support.rows):
                self.places.setdefault((support.source.key, row), []).append(i)
            yield Progress("database", 1, 1)
        yield from gradient(self, episode, ctx)
