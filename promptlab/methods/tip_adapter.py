"""Tip-Adapter: the shots become a key-value memory whose votes are added to the zero-shot logits; nothing is trained.

pred [B, C] = scale · v̂ t_cᵀ + α exp(-β (1 - v̂ Kᵀ)) V with keys K [M, E] (per shot: the mean of raw features over augmented
passes, then unit length), values V [M, C] one-hot, t_c the mean over templates. Tip-Adapter-F (``finetune``) then trains K alone.
α and β are searched on validation pictures, never on test pictures.
Source: *Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification*, ECCV 2022, arXiv:2207.09519 (eq. 3-7);
``gaopengcuhk/Tip-Adapter: main.py, utils.py``.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.card import Card, Claim, Expose, Train, knob
from promptlab.data.batch import Batch, Split, View
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.errors import BadData
from promptlab.fit.events import Event, Finished, Note, Progress, Started
from promptlab.fit.gradient import gradient
from promptlab.method import Bank, Method, Out
from promptlab.parts.memory import Cache, one_hot, search, ticks


@dataclass(frozen=True)
class Hyper(Train):
    alpha: float | None = knob(None, 0.0, 1000.0, live=True, help="α, weight of the memory; empty: as found in fit")
    beta: float | None = knob(None, 0.0, 1000.0, live=True, help="β, sharpness of the memory; empty: as found in fit")
    init_alpha: float = knob(1.17, 0.0, 1000.0, help="α before the search and in training; 1.17 to 10 in the paper, by data set")
    init_beta: float = knob(1.0, 0.0, 1000.0, help="β before the search and in training")
    select_on: str = knob("val", choices=("val", "support", "init", "test_compat"),
                          help="search α, β on validation pictures, on the shots (each left out in turn), not at all, or as in the code")
    search_alpha: float = knob(10.0, 0.1, 1000.0, help="end of the search for α")
    search_beta: float = knob(12.0, 0.1, 1000.0, help="end of the search for β")
    alphas: int = knob(20, 1, 1000, help="values of α that are tried")
    betas: int = knob(200, 1, 1000, help="values of β that are tried")
    passes: int = knob(10, 1, 1000, help="augmented passes over the shots that a key averages")
    finetune: bool = knob(False, help="Tip-Adapter-F: train the keys too")
    optimiser: str = knob("adamw", choices=("sgd", "adam", "adamw"), help="optimiser")
    lr: float = knob(1e-3, 0.0, 1000.0, help="base learning rate")
    weight_decay: float = knob(1e-2, 0.0, 1.0, help="weight decay")
    adam_eps: float = knob(1e-4, 0.0, 1.0, help="eps of Adam and AdamW")
    epochs: int = knob(20, 0, 10000, help="passes over the support set")
    batch: int = knob(256, 1, 4096, help="images per step")
    schedule: str = knob("step-cosine", choices=("epoch-cosine", "step-cosine", "constant"), help="learning-rate schedule")
    crop_scale: float = knob(0.5, 0.01, 1.0, help="smallest area of the random crop")


class TipAdapter(Method):
    card = Card(
        id="tip_adapter", name="Tip-Adapter", year=2022, venue="ECCV", paper="arXiv:2207.09519", code="gaopengcuhk/Tip-Adapter",
        family="adapter", supervision="training-free", difference="votes of the nearest shots added to the zero-shot logits",
        trains="nothing, or the keys of the memory (-F)", open_vocabulary=False, identity_at_init=True, protocols=("few_shot",),
        params_b16_k100=0, exposes=(Expose("affinity", as_="memory"),),
        presets={"demo": {"augment": "none", "passes": 1, "batch": 32, "lr": 3e-3}, "F": {"finetune": True}},
        claims=(Claim("average of 11, all", 16, "RN50", "accuracy", 0.7032, "repository exp.log"),
                Claim("average of 11, all, -F", 16, "RN50", "accuracy", 0.7583, "repository exp.log")),
        departs=("the last epoch of -F is kept, and α, β come from validation pictures; the code takes the best epoch on the test set, "
                 "and searches on it for ImageNet ('test_compat' does the latter, on a set that the caller must hand over)",
                 "the logit scale is the backbone's own instead of the constant 100 (equal for OpenAI weights)",
                 "classes with too few pictures get fewer keys instead of repeated ones; -F drops the last partial batch"),
    )
    Hyper = Hyper
    test: Split | None = None  # read by select_on="test_compat" only

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.cache = Cache(backbone.joint_dim, len(task.classes), learn_keys=hyper.finetune)
        self.register_buffer("found", torch.tensor([hyper.init_alpha, hyper.init_beta]))
        self.to(backbone.device)

    @property
    def live(self) -> tuple[float | Tensor, float | Tensor]:
        """α and β in force: the knobs, or what the search found."""
        return tuple(f if knob is None else knob for knob, f in zip((self.hyper.alpha, self.hyper.beta), self.found, strict=True))

    def classes(self, names: ClassSet) -> Bank:
        return Bank(names, self.plain(names, names.templates), {"rows": self.rows(names)})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        v, (alpha, beta) = F.normalize(self.image(batch).pooled.float(), dim=-1), self.live
        affinity = self.cache.affinity(v)
        votes = alpha * self.cache.votes(affinity, beta)[:, bank.extra["rows"]]
        plain = self.cosine(v, bank.text)
        return Out(plain + votes, {"affinity": affinity, "plain": plain, "votes": votes})

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        where, why = self._where(episode), "done"
        yield Started(self.card.id, dataclasses.asdict(self.hyper), self.trainable())
        yield from self._remember(episode.support, ctx)
        if self.hyper.finetune:
            for event in gradient(self, episode, ctx):
                if isinstance(event, Finished):
                    why = event.why
                elif not isinstance(event, Started):
                    yield event
        yield from self._select(*where)
        yield Finished(ctx.elapsed, ctx.halt() or why)

    def _remember(self, support: Split, ctx: Any) -> Iterator[Event]:
        """Keys: mean of the raw features over the passes, then unit length."""
        h, total = self.hyper, torch.zeros(())
        for i in range(h.passes):
            if ctx.halt():
                break
            view = View(1 + i, h.crop_scale, seed=h.seed) if h.augment == "crop" else View()
            found = [self.backbone.cached_image(b).pooled.float() for b in support.batches(100, view=view)]
            total = total.to(found[0]) + torch.cat(found)
            self.cache.fill(F.normalize(total / (i + 1), dim=-1), one_hot(support.targets, len(self.task.classes)).to(total))
            yield Progress("memory", i + 1, h.passes)

    def _where(self, episode: Episode) -> tuple[Split | None, str, bool]:
        """On what α and β are selected (None: nowhere), why, and whether a picture must not vote for itself."""
        h, val = self.hyper, episode.val
        if h.select_on == "test_compat":
            if self.test is None:
                raise BadData("select_on=test_compat of tip_adapter selects on test pictures, which a fit never holds; "
                              "set method.test to the split yourself, or use 'val'.")
            return self.test, "on TEST pictures, as in the public code: do not report the accuracy on them", False
        if h.select_on == "val" and val is not None and val.targets is not None and len(val):
            return val, "on validation pictures", False
        if h.select_on == "init" or h.finetune or len(episode.support) < 2 * len(self.task.classes):
            return None, "as given" if h.select_on == "init" else "as given, since there are no validation pictures", False
        return episode.support, "on the shots, each left out of the memory in turn", True

    def _select(self, split: Split | None, how: str, left_out: bool) -> Iterator[Event]:
        if split is not None and len(self.cache):
            h, bank = self.hyper, self.bank()
            with torch.no_grad():
                outs = [self(b, bank) for b in split.batches(100)]
            affinity, plain = (torch.cat([o.aux[k] for o in outs]) for k in ("affinity", "plain"))
            if left_out:
                affinity = affinity.masked_fill(torch.eye(len(affinity), dtype=torch.bool, device=affinity.device), -torch.inf)
            betas, alphas = ticks(h.search_beta, h.betas), ticks(h.search_alpha, h.alphas)
            best = search(self.cache, plain, affinity, split.targets.to(plain.device), betas, alphas)
            self.found.copy_(torch.tensor([best.alpha, best.beta]))
        yield Note(f"alpha {float(self.found[0]):.3g} and beta {float(self.found[1]):.3g} are chosen {how}.")
