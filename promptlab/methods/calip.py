"""CALIP: positions of the picture and class texts look at each other through an attention without parameters; two terms are added.

With unit features G [E] of the picture, F_s [M, E] of its positions and F_t [C, E] of the classes, A = 2 F_s F_tᵀ [M, C]:
texts that saw the picture F_t' = softmax_M(A)ᵀ F_s [C, E], picture that read the texts F_v' = (mean_M + max_M)(softmax_C(A) F_t) [E],
pred [B, C] = scale · (G F_tᵀ + β₂ G F_t'ᵀ + β₃ F_v' F_tᵀ); neither F_t' nor F_v' is brought to unit length. β₂, β₃ are searched on
labelled pictures that are not the test's.
Source: *CALIP: Zero-Shot Enhancement of CLIP with Parameter-free Attention*, AAAI 2023, arXiv:2209.14169 (eq. 4-8);
``ZiyuGuo99/CALIP: run_imagenet.py, utils.py``.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch, Split
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.fit.events import Event, Finished, Note, Started
from promptlab.method import Bank, Method, Out
from promptlab.parts.dense import to_map
from promptlab.parts.mixing import Mixed, ladder, search_pair

SHARP = 100.0  # temperature of the second map that is shown


@dataclass(frozen=True)
class Hyper(Train):
    beta2: float | None = knob(None, 0.0, 1000.0, live=True, help="β₂, weight of texts that saw the picture; empty: as found in fit")
    beta3: float | None = knob(None, 0.0, 1000.0, live=True, help="β₃, weight of the picture that read the texts; empty: as found in fit")
    init_beta2: float = knob(1.0, 0.0, 1000.0, help="β₂ where nothing is searched")
    init_beta3: float = knob(0.05, 0.0, 1000.0, help="β₃ where nothing is searched")
    temperature: float = knob(2.0, 0.0, 1000.0, live=True, help="factor of the cosines in the attention")
    select_on: str = knob("support", choices=("support", "val", "init"), help="labelled pictures that the weights are searched on, or none")
    bottom: float = knob(1e-3, 0.0, 1000.0, help="start of both searches")
    top_beta2: float = knob(2.0, 0.001, 1000.0, help="end of the search for β₂")
    top_beta3: float = knob(0.1, 0.001, 1000.0, help="end of the search for β₃")
    grid: int = knob(200, 1, 2000, help="values of each that are tried")


class CALIP(Method):
    card = Card(
        id="calip", name="CALIP", year=2023, venue="AAAI", paper="arXiv:2209.14169", code="ZiyuGuo99/CALIP", family="other",
        supervision="training-free", difference="positions and class texts attend to each other without parameters; two logit terms more",
        trains="nothing; two weights are searched", needs=("tokens",),
        exposes=(Expose("grid", as_="search"), Expose("attention", as_="mask"), Expose("sharp", as_="mask")),
        presets={"demo": {"grid": 50}},
        claims=(Claim("imagenet", None, "RN50", "accuracy", 0.6057, "Table 1 (recalled, not checked)"),),
        departs=("β₂, β₃ are searched on the labelled shots (or validation pictures); the code searches on the test pictures",
                 "the logit scale is the backbone's own instead of the constant 100 (equal for OpenAI weights)",
                 "the few-shot variant CALIP-FS, which was never released, is left out"),
        job=Job(data="world:food@grayscale", protocol="few_shot", test="test", against_hyper={"templates": "dataset-all"}),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.register_buffer("found", torch.tensor([hyper.init_beta2, hyper.init_beta3]))
        self.register_buffer("grid", torch.zeros(hyper.grid, hyper.grid))  # accuracies of the search
        self.to(backbone.device)

    @property
    def live(self) -> tuple[float, float]:
        """β₂ and β₃ in force: the knobs, or what the search found."""
        h = self.hyper
        return (float(self.found[0]) if h.beta2 is None else h.beta2, float(self.found[1]) if h.beta3 is None else h.beta3)

    def classes(self, names: ClassSet) -> Bank:
        return Bank(names, self.plain(names, names.templates))

    def forward(self, batch: Batch, bank: Bank) -> Out:
        seen, (beta2, beta3), text = self.image(batch, tokens=True), self.live, bank.text
        whole, parts = (F.normalize(x.float(), dim=-1) for x in (seen.pooled, seen.tokens))
        cosine = parts @ text.T  # [B, M, C]
        looked, read = (self.hyper.temperature * cosine).softmax(1), (self.hyper.temperature * cosine).softmax(2) @ text
        plain, scale = self.cosine(whole, text), self.backbone.scale
        # G · F_t' = Σ_M softmax_M(A) (G · F_s): no tensor of B x C x E
        one = scale * torch.einsum("bm,bmc->bc", torch.einsum("be,bme->bm", whole, parts), looked)
        two = scale * (read.mean(1) + read.amax(1)) @ text.T
        aux = {"plain": plain, "texts": one, "pictures": two, "parts": parts, "whole": whole}
        maps = {"attention": to_map(looked, seen.grid), "sharp": to_map((SHARP * cosine).softmax(1), seen.grid)}
        return Out(plain + beta2 * one + beta3 * two, {**aux, **maps})

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        h = self.hyper
        split = {"support": episode.support or episode.val, "val": episode.val or episode.support, "init": None}[h.select_on]
        yield Started(self.card.id, dataclasses.asdict(h), 0)
        if split is None or split.targets is None or not len(split):
            yield Note("calip searched nothing, so its two weights are as given.")
        else:
            best = self.search(split)
            self.found.copy_(torch.tensor([best.first, best.second]))
            self.grid.copy_(best.grid)
            yield Note(f"beta2 {best.first:.3g} and beta3 {best.second:.3g} are best on {len(split)} labelled pictures "
                       f"(accuracy {best.accuracy:.3f}).")
        yield Finished(ctx.elapsed, ctx.halt() or "done")

    @torch.no_grad()
    def search(self, split: Split) -> Mixed:
        """Accuracies over the grid of both weights."""
        h, bank = self.hyper, self.bank()
        outs = [self(batch, bank).aux for batch in split.batches(100)]
        plain, one, two = (torch.cat([o[k] for o in outs]) for k in ("plain", "texts", "pictures"))
        firsts, seconds = (ladder(h.bottom, top, h.grid) for top in (h.top_beta2, h.top_beta3))
        return search_pair(plain, one, two, split.targets.to(plain.device), firsts, seconds)
