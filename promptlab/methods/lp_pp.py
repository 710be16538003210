"""LP++: a linear probe whose class weights are a learned image part plus a learned multiple of the text feature, with step sizes that
come from bounds on the curvature instead of tuning.

pred [B, C] = W f̂ + b + α ⊙ (f̂ T̂ᵀ), no temperature; f̂ [E] unit features, T̂ [C, E] the zero-shot classifier over all templates.
Start: W_c = Σ_{i of class c} f̂_i, b as a torch Linear, α_c = 250 · mean_k mean_{i of class k} f̂_i · t̂_k for every c. Full batch;
W and b by SGD with momentum and step 4 M / λ_max(F̂ᵀF̂) for M shots; every tenth step α ← α - M / (4 max_k Σ_i (f̂_i · t̂_k)²) · g.
Source: *LP++: A Surprisingly Strong Linear Probe for Few-Shot CLIP*, CVPR 2024, arXiv:2404.02285;
``FereshteShakeri/FewShot-CLIP-Strong-Baseline: methods/linear_probe_p2.py``.
"""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch, Split, View
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.errors import BadData
from promptlab.fit.events import Event, Finished, Note, Started, Step
from promptlab.fit.state import restore, snapshot
from promptlab.method import Bank, Method, Out
from promptlab.parts.memory import one_hot


@dataclass(frozen=True)
class Hyper(Train):
    steps: int | None = knob(300, 0, 10_000_000, help="full-batch steps")
    alpha_scale: float = knob(250.0, 0.0, 1e6, help="start of α over the mean cosine of the shots with their class text")
    alpha_every: int = knob(10, 1, 10_000, help="steps between two updates of α")
    accumulate: bool = knob(True, help="α follows the sum of all gradients so far, as in the code; off: only the newest")
    select_on: str = knob("val", choices=("val", "last"), help="keep the best step on validation pictures (later wins), or the last")
    crop_scale: float = knob(0.5, 0.01, 1.0, help="smallest area of the random crop")


class LPPP(Method):
    card = Card(
        id="lp_pp", name="LP++", year=2024, venue="CVPR", paper="arXiv:2404.02285", code="FereshteShakeri/FewShot-CLIP-Strong-Baseline",
        family="adapter", supervision="supervised", difference="a linear probe blended with the text features, a learned weight a class",
        trains="linear classifier and a text weight a class", open_vocabulary=False, protocols=("few_shot",), params_b16_k100=51_400,
        exposes=(Expose("alpha", as_="bars"), Expose("angle", as_="bars")), presets={"demo": {"augment": "none"}},
        claims=(Claim("average of 11, all", 16, "RN50", "accuracy", 0.744, "Table 1 (recalled, not checked)"),),
        departs=("validation has the protocol's min(shots, 4) pictures a class; the code takes as many as for training",
                 "float32 instead of float16", "classes with too few pictures keep them; the code draws them twice"),
        job=Job(data="world:textures@photo", protocol="few_shot", test="test", shots=4, against="linear_probe"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        classes, width = len(task.classes), backbone.joint_dim
        self.weight = nn.Parameter(torch.zeros(classes, width))
        self.bias = nn.Parameter((2 * torch.rand(classes) - 1) / math.sqrt(width))
        self.alpha = nn.Parameter(backbone.scale.detach().cpu().expand(1, classes).clone())
        self.to(backbone.device)

    def classes(self, names: ClassSet) -> Bank:
        rows, text = self.rows(names), self.plain(names, names.templates)
        angle = torch.rad2deg(torch.arccos(F.cosine_similarity(self.weight[rows].detach(), text).clamp(-1, 1)))
        return Bank(names, text, {"rows": rows, "angle": angle})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        f = F.normalize(self.image(batch).pooled.float(), dim=-1)
        return Out(self.score(f, bank), {"features": f, "angle": bank.extra["angle"]})

    def score(self, f: Tensor, bank: Bank) -> Tensor:
        """Unit features [B, E] → logits [B, C]."""
        rows = bank.extra["rows"]
        return f @ self.weight[rows].T + self.bias[rows] + self.alpha[:, rows] * (f @ bank.text.T)

    @torch.no_grad()
    def start(self, f: Tensor, y: Tensor, text: Tensor) -> tuple[float, float]:
        """Put W and α where the shots say; the step sizes of (W, b) and of α."""
        hot, count = one_hot(y, len(text)).to(f), len(f)
        self.weight.copy_(hot.T @ f)
        cosine = f @ text.T
        of_class = (cosine * hot).sum(0) / hot.sum(0).clamp(min=1)
        self.alpha.fill_(float(self.hyper.alpha_scale * of_class.mean()))
        # the same eigenvalues as those of the smaller of the two products
        largest = torch.linalg.eigvalsh((f.T @ f if len(f) > f.shape[1] else f @ f.T).double())[-1]
        return 4 * count / float(largest), count / (4 * float(cosine.square().sum(0).max()))

    def learn(self, f: Tensor, y: Tensor, bank: Bank) -> Iterator[tuple[float, float]]:
        """(loss before the step, step size of W), one a step; gradients of α add up until they are cleared."""
        h, (lr, lr_alpha) = self.hyper, self.start(f, y, bank.text)
        solver = torch.optim.SGD([self.weight, self.bias], lr, momentum=h.momentum)
        self.alpha.grad = None
        for i in range(h.steps or 0):
            loss = F.cross_entropy(self.score(f, bank), y)
            solver.zero_grad()
            if not h.accumulate:
                self.alpha.grad = None
            loss.backward()
            solver.step()
            if (i + 1) % h.alpha_every == 0:
                with torch.no_grad():
                    self.alpha -= lr_alpha * self.alpha.grad
            yield float(loss.detach()), lr
        self.alpha.grad = None

    @torch.no_grad()
    def features(self, split: Split, view: View = View()) -> tuple[Tensor, Tensor]:
        f = F.normalize(torch.cat([self.image(b).pooled.float() for b in split.batches(100, view=view)]), dim=-1)
        return f, split.targets.to(f.device)

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        h, support, val = self.hyper, episode.support, episode.val
        if support is None or support.targets is None or not len(support):
            raise BadData(f"lp_pp learns from labelled pictures and '{episode.task.name}' has none; give it shots.")
        yield Started(self.card.id, dataclasses.asdict(h), self.trainable(), h.steps or 0)
        bank = self.bank()
        shots = self.features(support, View(1, h.crop_scale, seed=h.seed) if h.augment == "crop" else View())
        held = self.features(val) if h.select_on == "val" and val is not None and val.targets is not None and len(val) else None
        best, kept = (-1.0, 0), snapshot(self)
        for i, (loss, lr) in enumerate(self.learn(*shots, bank), start=1):
            yield Step(i, h.steps or 0, {"task": loss}, lr)
            right = self._accuracy(held, bank) if held else 0.0
            best, kept = ((right, i), snapshot(self)) if right >= best[0] else (best, kept)
            if ctx.halt():
                break
        restore(self, kept, {n for n, _ in self.named_parameters()})
        yield Note(f"the state after step {best[1]} is kept" + (f" (accuracy {best[0]:.3f} on validation pictures)." if held else "."))
        yield Finished(ctx.elapsed, ctx.halt() or "done")

    @torch.no_grad()
    def _accuracy(self, held: tuple[Tensor, Tensor], bank: Bank) -> float:
        return float((self.score(held[0], bank).argmax(1) == held[1]).float().mean())
