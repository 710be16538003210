"""Optimisers and learning-rate schedules, as the :class:`~promptlab.card.Train` knobs declare them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


def optimiser(hyper: Any, params: Sequence[Any]) -> torch.optim.Optimizer:
    """SGD and Adam put the decay into the gradient (L2), AdamW decouples it. ``params``: tensors, or groups as torch takes
    them; a group's ``scale`` multiplies its learning rate."""
    if hyper.optimiser == "sgd":
        return torch.optim.SGD(params, hyper.lr, momentum=hyper.momentum, weight_decay=hyper.weight_decay)
    kind = torch.optim.Adam if hyper.optimiser == "adam" else torch.optim.AdamW
    return kind(params, hyper.lr, eps=hyper.adam_eps, weight_decay=hyper.weight_decay)


@dataclass(frozen=True)
class Plan:
    """How many steps, in which epochs, at which learning rates."""

    hyper: Any
    per_epoch: int
    epochs: int
    total: int

    @staticmethod
    def of(hyper: Any, rows: int) -> "Plan":
        """The plan for a support set of ``rows``: the last partial batch is dropped unless it is the only one."""
        per_epoch = max(1, rows // hyper.batch)
        if hyper.steps is None:
            return Plan(hyper, per_epoch, hyper.epochs, hyper.epochs * per_epoch)
        return Plan(hyper, per_epoch, math.ceil(hyper.steps / per_epoch), hyper.steps)

    def steps_in(self, epoch: int) -> int:
        """Steps of an epoch; the last one may be cut by ``hyper.steps``."""
        return min(self.per_epoch, self.total - epoch * self.per_epoch)

    def rate(self, epoch: int, step: int) -> float:
        """Learning rate of step ``step`` (counted from 0 over the whole fit), which lies in ``epoch``."""
        h = self.hyper
        if h.schedule == "constant":
            return h.lr
        if h.schedule == "epoch-cosine":
            # the cosine counts from the end of the warm-up but over all epochs, as in the CoOp family, so it never reaches 0
            return h.warmup_lr if epoch < h.warmup else h.lr / 2 * (1 + math.cos(math.pi * (epoch - h.warmup) / self.epochs))
        if step < h.warmup_steps:
            return h.lr * (step + 1) / h.warmup_steps
        share = (step - h.warmup_steps) / max(1, self.total - h.warmup_steps)
        return h.final_lr + (h.lr - h.final_lr) / 2 * (1 + math.cos(math.pi * share))
