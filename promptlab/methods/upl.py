"""UPL: CoOp without labels, fitted on CLIP's own most confident guesses; several copies are averaged.

ŷ_i = argmax p_i with p = softmax(scale · v̂ · T̂ᵀ) [n, C]; of each predicted class the K pictures with the largest p are labelled;
pred [B, C] = mean over copies s of scale · v̂ · t_csᵀ.
Source: *Unsupervised Prompt Learning for Vision-Language Models*, arXiv:2204.03649; ``tonyhuang2022/UPL: trainers/upltrainer.py``.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.card import Card, Expose, Job, Train, knob
from promptlab.data.batch import Batch, Split
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.errors import BadData
from promptlab.fit.events import Event, Finished, Labelled, Progress, Started
from promptlab.fit.gradient import gradient
from promptlab.fit.pseudo import RULES, Chosen, select
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import Context


@dataclasses.dataclass(frozen=True)
class Hyper(Train):
    k: int = knob(16, 1, 100000, help="pictures labelled per predicted class (in all, with rule 'overall')")
    rule: str = knob("per_class", choices=RULES, help="which pictures are labelled")
    threshold: float = knob(0.9, 0.0, 1.0, help="smallest confidence of the threshold rules")
    copies: int = knob(16, 1, 64, help="prompts that are trained from different seeds and averaged")
    n_ctx: int = knob(16, 1, 64, help="learned vectors of a prompt")
    ctx_init: str | None = knob(None, help="initial words; random when empty")


class Upl(Method):
    card = Card(
        id="upl", name="UPL", year=2022, venue="arXiv", paper="arXiv:2204.03649", code="tonyhuang2022/UPL", family="text prompt",
        supervision="unsupervised", difference="learned context, fitted on the backbone's own confident guesses",
        trains="context vectors, several copies", protocols=("few_shot", "base_to_new", "unlabelled"), needs=("text",),
        params_b16_k100=131072, exposes=(Expose("contexts.0.ctx", as_="words"),),
        presets={"demo": {"copies": 2, "ctx_init": "a photo of a", "optimiser": "adam", "weight_decay": 0.0, "lr": 0.005, "steps": 60,
                          "schedule": "step-cosine", "augment": "none"}},
        departs=("one backbone labels (UPL* averages eight)", "float32 context instead of float16"),
        job=Job(data="world:vehicles@sketch", protocol="few_shot", test="test"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        contexts = [Context(backbone, task.classes, hyper.n_ctx, words=hyper.ctx_init) for _ in range(hyper.copies)]
        self.contexts, self.only = nn.ModuleList(contexts), None  # ``only``: the copy in training

    def classes(self, names: ClassSet) -> Bank:
        """Unit features of all copies [N, C, E], of one while that one is trained."""
        used = self.contexts if self.only is None else [self.contexts[self.only]]
        return Bank(names, torch.stack([F.normalize(self.text(c.inputs(names)), dim=-1) for c in used]))

    def forward(self, batch: Batch, bank: Bank) -> Out:
        return Out(self.cosine(self.image(batch).pooled, bank.text.mean(0)))  # the mean of the copies' logits: not unit length

    @torch.no_grad()
    def guess(self, pool: Split) -> Tensor:
        """Zero-shot logits of unlabelled pictures [n, C], from the test transform."""
        frozen = self.plain(self.task.classes)
        return torch.cat([self.cosine(self.image(batch).pooled, frozen) for batch in pool.batches(100)])

    def choose(self, prob: Tensor) -> Chosen:
        """Pseudo-labels from probabilities [n, C]."""
        return select(prob, self.hyper.rule, self.hyper.k, self.hyper.threshold)

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        pool = episode.pool or episode.support  # labels of the support are not read
        if not pool:
            raise BadData(f"upl learns from unlabelled pictures and '{episode.task.name}' has none; give it some.")
        chosen = self.choose(self.guess(pool).softmax(-1).cpu())
        if not len(chosen.index):
            raise BadData(f"no picture is surer than threshold={self.hyper.threshold:g}; lower it or use rule='per_class'.")
        counts = torch.bincount(chosen.label, minlength=len(self.task.classes)).tolist()
        yield Labelled(len(chosen.index), float(chosen.confidence.mean()), dict(zip(self.task.classes.names, counts, strict=True)))
        rows = tuple(pool.rows[i] for i in chosen.index.tolist())
        yield from self._copies(episode.replace(support=Split(pool.source, rows, chosen.label)), ctx)

    def _copies(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        asked, why, done = self.hyper, "done", 0
        try:
            for i, context in enumerate(self.contexts):
                self.only, self.hyper = i, dataclasses.replace(asked, seed=asked.seed + i)
                for event in gradient(self, episode, ctx, params=[context.ctx]):
                    why = event.why if isinstance(event, Finished) else why
                    if not isinstance(event, Finished) and not (i and isinstance(event, Started)):
                        yield event
                done = i + 1
                yield Progress("copies", done, len(self.contexts))
                if why != "done":
                    break
        finally:  # stopped early: copies that never trained would only add noise, so they repeat the trained ones
            self.only, self.hyper = None, asked
            with torch.no_grad():
                for i in range(max(done, 1), len(self.contexts)):
                    self.contexts[i].ctx.copy_(self.contexts[i % max(done, 1)].ctx)
        yield Finished(ctx.elapsed, why)
