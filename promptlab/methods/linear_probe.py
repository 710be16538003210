"""Linear probe: forget the text and fit logistic regression on frozen image features; the plainest reference of all.

pred [B, C] = W f + b with raw features f [E] (not normalised) and W [C, E], b [C] at the minimum of mean CE + |W|² / (2 C n).
The strength C is found on validation pictures: the best of seven decades, then eight halvings of the decade on both sides.
Source: Radford et al. 2021, arXiv:2103.00020 (section 3.2); protocol of ``KaiyangZhou/CoOp: lpclip/linear_probe.py``.
"""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch, Split, View
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.errors import BadData
from promptlab.fit.events import Event, Finished, Note, Progress, Started
from promptlab.method import Bank, Method, Out
from promptlab.parts.probe import logistic

DECADES = (1e6, 1e4, 1e2, 1.0, 1e-2, 1e-4, 1e-6)


@dataclass(frozen=True)
class Hyper(Train):
    c: float | None = knob(None, 1e-9, 1e9, help="C, inverse strength of the decay; empty: searched on validation pictures")
    default_c: float = knob(0.316, 1e-9, 1e9, help="C where there are no validation pictures (the value of CLIP's own example)")
    halvings: int = knob(8, 0, 30, help="refinements of the search")
    iterations: int = knob(1000, 1, 100_000, help="most L-BFGS steps of one fit")
    augment: str = knob("none", choices=("none", "crop"), help="train-time transform")


class LinearProbe(Method):
    card = Card(
        id="linear_probe", name="Linear probe", year=2021, venue="ICML", paper="arXiv:2103.00020", code="KaiyangZhou/CoOp",
        family="adapter", supervision="supervised", difference="a linear classifier on image features; the text is not used",
        trains="weights and biases of a linear classifier", open_vocabulary=False, protocols=("few_shot",), params_b16_k100=51_300,
        exposes=(Expose("path", as_="search"),), presets={"demo": {"halvings": 3, "iterations": 300}},
        departs=("shots are those of all other methods (the code draws its own with NumPy)",
                 "the solver is torch's L-BFGS on centred features in float64, stopped where scikit-learn's stops"),
        claims=(Claim("imagenet", 16, "RN50", "accuracy", 0.5587, "CoOp, figure 3 (recalled, not checked)"),),
        job=Job(protocol="few_shot", test="test"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.head = nn.Linear(backbone.joint_dim, len(task.classes))
        self.register_buffer("path", torch.zeros(len(DECADES) + 2 * hyper.halvings, 2))  # (C, accuracy on validation) in order; 0: unused
        self.to(backbone.device)

    def classes(self, names: ClassSet) -> Bank:
        return Bank(names, None, {"rows": self.rows(names)})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        f = self.image(batch).pooled.float()
        return Out(self.head(f)[:, bank.extra["rows"]], {"features": f})

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        h, support, val = self.hyper, episode.support, episode.val
        if support is None or support.targets is None or not len(support):
            raise BadData(f"linear_probe learns from labelled pictures and '{episode.task.name}' has none; give it shots.")
        yield Started(self.card.id, dataclasses.asdict(h), self.trainable())
        data = self.features(support, View(1, h.crop_scale, seed=h.seed) if h.augment == "crop" else View())
        if h.c is None and val is not None and val.targets is not None and len(val):
            yield from self._search(data, self.features(val), ctx)
        else:
            self._solve(data, h.default_c if h.c is None else h.c)
        yield Finished(ctx.elapsed, ctx.halt() or "done")

    @torch.no_grad()
    def features(self, split: Split, view: View = View()) -> tuple[Tensor, Tensor]:
        """Raw features [n, E] and labels [n] of a split."""
        f = torch.cat([self.image(b).pooled.float() for b in split.batches(100, view=view)])
        return f, split.targets.to(f.device)

    def _solve(self, data: tuple[Tensor, Tensor], c: float) -> None:
        weight, bias = logistic(*data, len(self.task.classes), c, self.hyper.iterations)
        with torch.no_grad():
            self.head.weight.copy_(weight)
            self.head.bias.copy_(bias)

    def _search(self, data: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], ctx: Any) -> Iterator[Event]:
        """The winner of the decades, then of each pair of ends; the head of the last winner stays, as in the code."""
        tried, self.path[:] = [], 0.0

        def score(c: float) -> tuple[float, dict[str, Tensor]]:
            self._solve(data, c)
            found = float((self.head(val[0]).argmax(1) == val[1]).float().mean())
            self.path[len(tried)] = torch.tensor([c, found])
            tried.append(c)
            return found, {k: v.clone() for k, v in self.head.state_dict().items()}

        best = None
        for c in DECADES:
            found = score(c)
            best = (c, *found) if best is None or found[0] > best[1] else best  # the first of equals
            yield Progress("search", len(tried), len(self.path))
            if ctx.halt():
                break
        left, right = math.log10(best[0]) - 1, math.log10(best[0]) + 1
        for _ in range(self.hyper.halvings):
            if ctx.halt():
                break
            low, high = score(10**left), score(10**right)
            middle, up = (left + right) / 2, low[0] < high[0]
            best = (10 ** (right if up else left), *(high if up else low))
            left, right = (middle, right) if up else (left, middle)
            yield Progress("search", len(tried), len(self.path))
        self.head.load_state_dict(best[2])
        yield Note(f"C {best[0]:.3g} is chosen on validation pictures (accuracy {best[1]:.3f}).")
