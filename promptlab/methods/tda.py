"""TDA: two small queues a class that fill up along the test stream, one of sure answers that vote for their class, one of half-sure
answers that vote against the classes they leave open. Nothing is trained.

For each picture, with v [E] unit, ℓ = scale · v · T̂ᵀ [C], p = softmax ℓ, H its entropy in nats, ŷ = argmax ℓ:
1. positive queue ŷ takes (v, H); 2. so does negative queue ŷ, with p, if low < H / log₂ C < high;
3. pred = ℓ + α⁺ exp(-β⁺ (1 - v K⁺ᵀ)) onehot(ŷ⁺) - α⁻ exp(-β⁻ (1 - v K⁻ᵀ)) [mask_low < p⁻ < mask_high].
A full queue gives up its least sure item for a surer one. With several views the surest of them are averaged.
A stream begins with a bank (``bank()``) and is kept in it, so two evaluations never see each other.
Source: *Efficient Test-Time Adaptation of Vision-Language Models*, CVPR 2024, arXiv:2403.18293; ``kdiAAA/TDA: tda_runner.py, utils.py``.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode
from promptlab.data.templates import SETS, template_set
from promptlab.data.transforms import views
from promptlab.fit.events import Event, Note
from promptlab.losses import entropy, marginal_entropy
from promptlab.method import Bank, Method, Out
from promptlab.parts.queues import Item, Queues, votes


@dataclass(frozen=True)
class Hyper(Train):
    alpha_pos: float = knob(2.0, 0.0, 1000.0, live=True, help="α⁺, weight of the positive queues (1 to 5 in the paper, by data set)")
    beta_pos: float = knob(5.0, 0.0, 1000.0, live=True, help="β⁺, their sharpness (1 to 8 in the paper, by data set)")
    alpha_neg: float = knob(0.117, 0.0, 1000.0, live=True, help="α⁻, weight of the negative queues")
    beta_neg: float = knob(1.0, 0.0, 1000.0, live=True, help="β⁻, their sharpness")
    capacity_pos: int = knob(3, 0, 1000, help="items of a positive queue; 0: none")
    capacity_neg: int = knob(2, 0, 1000, help="items of a negative queue; 0: none")
    low: float = knob(0.2, 0.0, 1.0, live=True, help="entropy over log2 of the classes above which an answer is half-sure")
    high: float = knob(0.5, 0.0, 1.0, live=True, help="... and below which it is (it never exceeds 0.693)")
    mask_low: float = knob(0.03, 0.0, 1.0, live=True, help="probability above which a class is left open")
    mask_high: float = knob(1.0, 0.0, 1.0, live=True, help="... and below which it is")
    templates: str = knob("dataset", choices=SETS, live=True, help="sentences around the name; several are averaged")
    n_views: int = knob(1, 1, 1024, live=True, help="views of a test picture (64 for ImageNet in the paper)")
    share: float = knob(0.1, 0.0, 1.0, live=True, help="share of several views, the surest ones, that is averaged")
    augmix: bool = knob(True, live=True, help="distort the views by AugMix")


class TDA(Method):
    card = Card(
        id="tda", name="TDA", year=2024, venue="CVPR", paper="arXiv:2403.18293", code="kdiAAA/TDA", family="adapter",
        supervision="test-time", difference="votes of earlier test pictures, for and against classes, added to the logits",
        trains="nothing", protocols=("few_shot", "base_to_new", "stream"), stream=True, params_b16_k100=0,
        exposes=(Expose("entropy", as_="queues"), Expose("entropies", as_="views")), presets={"demo": {}},
        claims=(Claim("imagenet", None, "RN50", "accuracy", 0.6135, "repository README"),
                Claim("average of 10", None, "RN50", "accuracy", 0.6103, "repository README")),
        departs=("pictures come in the order of the test set, not shuffled: pictures sorted by class are another stream",
                 "the logit scale is the backbone's own instead of the constant 100 (equal for OpenAI weights)",
                 "one α⁺, β⁺ by default (those of ImageNet) where the code has a pair for each test set, tuned on it",
                 "float32 instead of float16"),
        job=Job(data="world:animals@sketch", protocol="few_shot", test="test", hyper={"alpha_pos": 20.0, "beta_pos": 8.0}),
    )
    Hyper = Hyper

    def classes(self, names: ClassSet) -> Bank:
        h = self.hyper
        queues = {"positive": Queues(len(names), h.capacity_pos), "negative": Queues(len(names), h.capacity_neg), "seen": [0]}
        return Bank(names, self.plain(names, template_set(h.templates, names)), queues)

    def forward(self, batch: Batch, bank: Bank) -> Out:
        found = [self.follow(self.views(batch.row(i)), bank) for i in range(len(batch))]
        return Out(torch.cat([o.pred for o in found]), {k: torch.stack([o.aux[k] for o in found]) for k in found[0].aux})

    def views(self, batch: Batch) -> Tensor:
        """Features [V, E] of one picture: the test transform alone from the cache, or with crops of it."""
        h = self.hyper
        if h.n_views == 1:
            return self.image(batch).pooled
        return self.image(Batch.of(views(batch, h.n_views, self.backbone.spec, seed=h.seed, augmix=h.augmix))).pooled

    def follow(self, features: Tensor, bank: Bank) -> Out:
        """The next picture of the stream, as its views' features [V, E]: filed first, then answered, so that it hears itself."""
        h, positive, negative = self.hyper, bank.extra["positive"], bank.extra["negative"]
        v = F.normalize(features.float(), dim=-1)
        logits = self.cosine(v, bank.text)
        entropies = entropy(logits)
        kept = entropies.argsort(stable=True)[: max(1, int(h.share * len(v)))]
        v, plain, prob = v[kept].mean(0, keepdim=True), logits[kept].mean(0, keepdim=True), logits[kept].softmax(-1).mean(0)
        unsure = float(marginal_entropy(logits[kept]).detach())
        label, item = int(plain.argmax()), Item(v[0].detach(), unsure, prob.detach(), bank.extra["seen"][0])
        bank.extra["seen"][0] += 1
        share = unsure / math.log2(max(2, len(bank.names)))  # nats over bits, as in the code
        positive.add(label, item)
        if h.low < share < h.high:
            negative.add(label, item)
        pred = plain
        if len(positive):
            pred = pred + votes(v, positive.keys(), positive.labels(), h.alpha_pos, h.beta_pos)
        if len(negative):
            p = negative.probs()
            pred = pred - votes(v, negative.keys(), (p > h.mask_low) & (p < h.mask_high), h.alpha_neg, h.beta_neg)
        said = {"before": prob, "after": pred[0].softmax(-1), "entropy": torch.tensor(share), "feature": v[0], "plain": plain[0]}
        return Out(pred, {"entropies": entropies, "kept": kept, **{k: t.detach() for k, t in said.items()}})

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        yield Note("tda learns nothing before the test: its queues fill up along the test pictures and are empty again for the next test.")
