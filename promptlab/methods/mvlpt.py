"""MVLPT: prompts are first learned on many source tasks together, then tuned on the target.

Stage 1: classes of all sources one after another, pred [B, sum of C] over the union, cross-entropy (``per_task``: logits of other tasks are
multiplied by 0, not taken out); the prompts of several seeds are averaged. Stage 2: the same prompts, from there, on the target.
``instance``: "coop" (context), "vpt" (deep vision tokens), "upt" (both, through UPT's small transformer), "both" (both, apart).
Source: *Multitask Vision-Language Prompt Tuning*, WACV 2024, arXiv:2211.11720; ``sIncerass/MVLPT: trainers/mvlpt.py, scripts/avg_ckpt.py``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.backbones.points import Edit
from promptlab.card import Card, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.joint import join, own_classes
from promptlab.data.task import Episode, Task
from promptlab.fit.events import Event, Finished, Note, Progress, Started
from promptlab.fit.gradient import gradient
from promptlab.fit.state import restore, snapshot
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import POSITIONS
from promptlab.parts.mixer import MIXING, Prompts

SIZES = {"coop": (16, 0), "vpt": (0, 16), "upt": (4, 4), "both": (4, 4)}  # text vectors, vision tokens a block
TEMPLATE = "a photo of a {}."  # where only the pictures are prompted, whatever the data set


@dataclass(frozen=True)
class Hyper(Train):
    instance: str = knob("upt", choices=tuple(SIZES), help="which prompts are shared: MCoOp, MVPT, MUPT, or both sides apart")
    n_ctx: int | None = knob(None, 1, 64, help="text vectors; the paper's number for the instance when empty")
    n_vision: int | None = knob(None, 1, 256, help="vision tokens of a block; the paper's number when empty")
    deep: bool = knob(True, help="vision tokens for every block, not only the first")
    position: str = knob("middle", choices=POSITIONS, help="where the class name stands")
    class_specific: bool = knob(False, help="one context for every class; then nothing can be learned on other tasks first")
    dim: int = knob(128, 8, 1024, help="width of UPT's small transformer")
    heads: int = knob(1, 1, 4, help="its attention heads")
    mixing: str = knob("full", choices=MIXING, help="which prompts see each other in it")
    per_task: bool = knob(False, help="in stage 1, logits of other tasks are multiplied by 0")
    source_seeds: int = knob(3, 1, 16, help="stage-1 fits whose prompts are averaged")
    source_epochs: int = knob(200, 0, 10000, help="passes over the source tasks")
    source_steps: int | None = knob(None, 0, 10_000_000, help="training steps on the source tasks instead of epochs")
    epochs: int = knob(200, 0, 10000, help="passes over the support set")


class MVLPT(Method):
    card = Card(
        id="mvlpt", name="MVLPT", year=2024, venue="WACV", paper="arXiv:2211.11720", code="sIncerass/MVLPT", family="text-visual prompt",
        supervision="supervised", difference="prompts that start from what several source tasks share", trains="the wrapped prompts",
        needs=("text", "image-deep"), params_b16_k100=566_400, exposes=(Expose("attention", as_="matrix"),),
        presets={"demo": {"optimiser": "adam", "lr": 2e-3, "weight_decay": 0.0, "batch": 16, "steps": 60, "schedule": "step-cosine",
                          "augment": "none", "source_seeds": 1, "source_steps": 150},
                 "MCoOp": {"instance": "coop"}, "MVPT": {"instance": "vpt"}},
        departs=("the last epoch is kept in both stages; the code keeps the best one on validation", "the mixer of 'upt' attends over all "
                 "prompts (mixing='none' is the code's)", "single-label tasks only; no CoCoOp instance", "float32 throughout"),
        job=Job("world:animals@pixel-art+world:animals@sketch+world:animals@grayscale", "upt", "few_shot", 1, "test",
                note="a start from two sister styles is worth one or two points, less than the luck of which single shot was drawn; "
                     "more shots of the sources, or sources of the same style, change that little, and source prompts alone do not "
                     "transfer"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.prompts, self.joint = self._new(), None  # ``joint``: the class sets of all sources, in stage 1 only

    def _new(self) -> Prompts:
        h, (text, vision) = self.hyper, SIZES[self.hyper.instance]
        mixer = {"dim": h.dim, "heads": h.heads, "mixing": h.mixing} if h.instance == "upt" else {}
        made = Prompts(self.backbone, self.task.classes, text and (h.n_ctx or text), vision and (h.n_vision or vision), deep=h.deep,
                       position=h.position, per="class" if h.class_specific else "shared", **mixer)
        return made.to(self.backbone.device)

    def edits(self, batch: Batch | None = None) -> list[Edit]:
        return [] if batch is None else self.prompts.edits()

    def classes(self, names: ClassSet) -> Bank:
        return Bank(names, self._unit(names))

    def _unit(self, names: ClassSet) -> Tensor:
        if self.prompts.context is None:
            return self.plain(names, (TEMPLATE,))
        return F.normalize(self.text(self.prompts.context.inputs(names, ctx=self.prompts.mixed()[0])), dim=-1)

    def bank(self, names: ClassSet | None = None) -> Bank:
        """In stage 1 the classes of all sources one after another; else as always."""
        if names is not None or self.joint is None:
            return self.classes(names or self.task.classes)
        return Bank(self.task.classes, torch.cat([self._unit(c) for c in self.joint]))

    def forward(self, batch: Batch, bank: Bank) -> Out:
        aux = {}
        if not self.training and self.prompts.mixer is not None:
            aux = {"attention": self.prompts.attention(), "attention_names": self.prompts.labels()}
        return Out(self.cosine(self.image(batch).pooled, bank.text), aux)

    def own(self, pred: Tensor, target: Tensor) -> Tensor:
        """``pred`` with the logits of other tasks' classes set to 0, where that was asked for."""
        return pred * own_classes(target, [len(c) for c in self.joint]) if self.joint and self.hyper.per_task else pred

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        return {"task": F.cross_entropy(self.own(out.pred, batch.target), batch.target)}

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        if not episode.others:
            yield Note("there is one task only, so mvlpt starts from random prompts; join source tasks to the data with '+'.")
        elif self.hyper.class_specific:
            yield Note("prompts of one class each cannot start from other tasks, so these are left out.")
        else:
            yield from self._sources(episode, ctx)
        if why := ctx.halt():
            yield Finished(ctx.elapsed, why)
            return
        yield from gradient(self, episode, ctx)

    def _sources(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        """Stage 1: a fit on all sources for each seed; the mean of the prompts stays."""
        asked, mean, count = self.hyper, {}, self.hyper.source_seeds
        whole = episode.replace(support=join(episode.others), val=None)
        steps = asked.steps if asked.source_steps is None else asked.source_steps
        try:
            self.joint = tuple(o.task.classes for o in episode.others)
            for i in range(count):
                self.hyper = replace(asked, seed=asked.seed + i, epochs=asked.source_epochs, steps=steps)
                if i:
                    with torch.random.fork_rng(devices=[]):
                        torch.manual_seed(self.hyper.seed)
                        self.prompts.load_state_dict(self._new().state_dict())
                yield from (e for e in gradient(self, whole, ctx) if not isinstance(e, Started | Finished))
                mean = {k: (i * mean[k] + v) / (i + 1) if i else v for k, v in snapshot(self).items()}
                yield Progress("source tasks", i + 1, count)
                if ctx.halt():
                    break
        finally:
            self.joint, self.hyper = None, asked
            if mean:
                restore(self, mean)
