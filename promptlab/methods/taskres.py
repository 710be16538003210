"""TaskRes: the zero-shot classifier stays as a fixed base and an additive residual is learned on it, one vector a class.

w_c = t_c + α x_c, pred [B, C] = scale · cosine(v, w_c); t_c [E] is the mean of the *raw* text features over the templates (so x lives
in their units), x [C, E] is zero at first. The text tower is not needed in training.
Source: *Task Residual for Tuning Vision-Language Models*, CVPR 2023, arXiv:2211.10277 (eq. 4-5); ``geekyutao/TaskRes:
trainers/taskres.py``.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.card import Card, Claim, Train, knob
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.method import Bank, Method
from promptlab.parts.heads import Residual


@dataclass(frozen=True)
class Hyper(Train):
    alpha: float = knob(0.5, 0.0, 100.0, live=True, help="α, the scale of the residual (1 for Flowers)")
    base: str = knob("regular", choices=("regular", "normalised"), help="raw text features, or unit ones with α over their mean norm")
    clean_names: bool = knob(False, help="read _ in names as spaces; the public code does not")
    optimiser: str = knob("adam", choices=("sgd", "adam", "adamw"), help="optimiser")
    epochs: int = knob(200, 0, 10000, help="passes over the support set")
    batch: int = knob(256, 1, 4096, help="images per step")


class TaskRes(Method):
    card = Card(
        id="taskres", name="TaskRes", year=2023, venue="CVPR", paper="arXiv:2211.10277", code="geekyutao/TaskRes",
        family="adapter", supervision="supervised", difference="a learned vector added to every class feature",
        trains="one residual a class", open_vocabulary=False, identity_at_init=True, protocols=("few_shot",), params_b16_k100=51_200,
        presets={"demo": {"lr": 0.1, "weight_decay": 0.0, "batch": 32, "steps": 200, "schedule": "step-cosine", "augment": "none"},
                 "paper-4shot": {"epochs": 100}, "paper-imagenet": {"lr": 2e-4}},
        claims=(Claim("imagenet", 16, "RN50", "accuracy", 0.6475, "Table 1 (recalled, not checked)"),),
        departs=("the enhanced base (a text projection tuned before, downloaded by the code) is left out",
                 "the template list does not grow when two models are built in one process"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.head = Residual(len(task.classes), backbone.joint_dim).to(backbone.device)
        self._bases: dict[tuple, Tensor] = {}  # frozen text features by names, so that a training step encodes no text

    def base(self, names: ClassSet) -> Tensor:
        """Mean of the raw text features over the templates [C, E], no gradient."""
        words = names.clean if self.hyper.clean_names else names.names
        key = (words, names.templates)
        if key not in self._bases:
            with torch.no_grad():
                each = [self.text([t.format(w) for w in words]) for t in names.templates]
            self._bases = {key: torch.stack(each).mean(0)}
        return self._bases[key]

    def classes(self, names: ClassSet) -> Bank:
        rows, base, alpha = self.rows(names), self.base(names), self.hyper.alpha
        if self.hyper.base == "normalised":
            base, alpha = F.normalize(base, dim=-1), alpha / base.norm(dim=-1).mean()
        return Bank(names, self.head(base, alpha, rows))
