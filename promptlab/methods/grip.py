"""GRIP, IFPL and FPL: any method, fitted without labels on the pseudo-labels that CLIP, and then the method itself, gives.

Round r labels K_r pictures a class from probabilities p [n, C] by a rule (boards, :mod:`promptlab.fit.boards`) and fits a fresh inner
method on them; p comes from "a photo of a {}" at first, then from the inner method of the round before.
    fpl: one round, K = k        ifpl: ``rounds`` rounds, K = k        grip: K_r = floor((r + 1) floor(n / rounds) / C)
Loss: "ul" CE(pseudo); "ssl" gamma CE(labelled) + CE(pseudo), gamma = |pseudo| / |labelled|; "trzsl" (only the first classes have labels,
the others are found) CE(seen) + gamma CE(unseen), gamma = |seen| / |unseen|.
Source: *Enhancing CLIP with CLIP*, NeurIPS 2023, arXiv:2306.01669; BatsResearch/menghini-neurips23-code (methods/*/*.py).
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.backbones.points import Edit
from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.create import inner
from promptlab.data.batch import Batch, Split
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.fit.boards import BOARD_RULES, growing
from promptlab.fit.events import Event, Finished, Labelled, Progress, Started
from promptlab.fit.gradient import gradient
from promptlab.fit.pseudo import Chosen
from promptlab.fit.rounds import SETTINGS, among, balance, known_classes, labelled_and_pool, mixed, together
from promptlab.fit.score import predictions
from promptlab.fit.state import restore, snapshot
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import Context


@dataclasses.dataclass(frozen=True)
class Hyper(Train):
    inner: str = knob("coop", help="id of the method that learns from the pseudo-labels")
    settings: str = knob("", help="knobs of the inner method, such as 'n_ctx=4,ctx_init=a photo of a'")
    variant: str = knob("grip", choices=("fpl", "ifpl", "grip"), help="one round; several with the same K; several with a growing K")
    setting: str = knob("ul", choices=SETTINGS, help="no labels; a few labelled pictures too; labels of the first classes only")
    rule: str = knob("leaderboard", choices=BOARD_RULES, help="who gets a label: public boards, best K of each class or of those predicted")
    k: int = knob(16, 1, 100000, help="pictures a class of fpl and ifpl")
    rounds: int = knob(10, 1, 100, help="rounds of ifpl and grip")
    seen: float = knob(0.62, 0.0, 1.0, help="share of the classes that have labels in 'trzsl'")
    held_out: float = knob(0.2, 0.0, 0.9, help="share of the pseudo-labelled pictures that is not trained on where K >= 10")
    period: bool = knob(False, help="keep the full stop of the inner method's sentences")
    paper_quirks: bool = knob(False, help="the code's slips: 'a photo of a {}name', prompts kept between rounds, inverse gamma in 'ssl'")
    lr: float = knob(0.1, 0.0, 1000.0, help="base learning rate")
    weight_decay: float = knob(0.1, 0.0, 1.0, help="weight decay")
    epochs: int = knob(150, 0, 10000, help="passes over the pseudo-labelled pictures in each round")
    batch: int = knob(16, 1, 4096, help="images per step")
    warmup_lr: float = knob(0.0, 0.0, 1000.0, help="learning rate of the warm-up epochs")
    augment: str = knob("none", choices=("none", "crop"), help="train-time transform")


class Grip(Method):
    card = Card(
        id="grip", name="GRIP", year=2023, venue="NeurIPS", paper="arXiv:2306.01669", code="BatsResearch/menghini-neurips23-code",
        family="text prompt", supervision="unsupervised", difference="any method, fitted on rounds of pseudo-labels that grow in number",
        trains="what its inner method trains", protocols=("few_shot", "base_to_new", "unlabelled"), params_b16_k100=8192,
        exposes=(Expose("inner.context.ctx", as_="words"),),
        presets={"demo": {"rounds": 3, "settings": "ctx_init=a photo of a", "optimiser": "adam", "lr": 5e-3, "weight_decay": 0.0,
                          "steps": 60, "batch": 32, "schedule": "step-cosine", "rule": "predicted", "held_out": 0.0}},
        claims=(Claim("eurosat, textual, no labels", None, "ViT-B-32", "accuracy", 0.572, "README"),),
        departs=("each round starts fresh and the first sentence is well formed, unless `paper_quirks` is on",
                 "one warm-up epoch at rate 0, not five rising", "'trzsl': a picture first taken for a seen class gets no label",
                 "an inner method with a recipe of its own weighs labelled and pseudo-labelled pictures alike"),
        job=Job("world:vehicles@sketch", protocol="unlabelled", test="test", shots=None),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.inner = inner("grip", hyper.inner, backbone, task, hyper, hyper.settings)
        for part in () if hyper.period else self.inner.modules():
            if isinstance(part, Context):
                part.suffix = ""
                part._frames.clear()
        self.labelled, self.weights = frozenset(), (0.0, 1.0)  # rows with a true label; weights of labelled and pseudo-labelled
        self.history: list[tuple[tuple[int, ...], Chosen]] = []  # pool rows and what was chosen, a round

    def edits(self, batch: Batch | None = None) -> list[Edit]:
        return self.inner.edits(batch)

    def classes(self, names: ClassSet) -> Bank:
        return self.inner.classes(names)

    def forward(self, batch: Batch, bank: Bank) -> Out:
        return self.inner(batch, bank)

    def predict(self, batch: Batch, bank: Bank) -> Out:
        return self.inner.predict(batch, bank)

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        """The inner method's terms; where labelled and pseudo-labelled pictures mix, its cross-entropy becomes the weighted two."""
        terms = self.inner.loss(out, batch)
        if self.labelled and "task" in terms:
            true = torch.tensor([row in self.labelled for row in batch.rows], device=out.pred.device)
            terms["task"] = mixed(out.pred, batch.target.to(out.pred.device), true, self.weights)
        return terms

    @torch.no_grad()
    def guess(self, pool: Split, form: str = "a photo of a {}") -> Tensor:
        """Logits [n, C] of the frozen backbone for the first pseudo-labels."""
        names, slip = self.task.classes, self.hyper.paper_quirks
        text = F.normalize(self.text([form + n for n in names.clean]), dim=-1) if slip else self.plain(names, (form,))
        return torch.cat([self.cosine(self.backbone.cached_image(b).pooled, text) for b in pool.batches(100)])

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        h, n = self.hyper, len(self.task.classes)
        known = known_classes(h.setting, n, h.seen)
        true, pool = labelled_and_pool(episode, known)
        plan = {"fpl": [h.k], "ifpl": [h.k] * h.rounds, "grip": growing(len(pool), n, h.rounds)}[h.variant]
        yield Started("grip", dataclasses.asdict(h), self.trainable())
        start, before, why, logits, self.history = self.state(), None, "done", self.guess(pool).cpu(), []
        for r, k in enumerate(plan):
            chosen = among(logits, max(1, k), h.rule, [c for c in range(n) if h.setting != "trzsl" or c not in known])
            self.history.append((pool.rows, chosen))
            counts = torch.bincount(chosen.label, minlength=n).tolist()
            yield Labelled(len(chosen.index), float(chosen.confidence.mean()), dict(zip(self.task.classes.names, counts, strict=True)))
            if not h.paper_quirks:
                restore(self.inner, *start)
            support = together(true, pool, chosen, h.held_out if k >= 10 else 0.0)
            self.weights = balance(h.setting, len(true or ()), len(chosen.index), h.paper_quirks and r > 0)
            why = yield from self.train_on(episode.replace(support=support), frozenset(true.rows if true else ()), ctx)
            if why != "done":  # a fresh method that was cut short knows less than the one of the round before
                restore(self.inner, *(before or self.state()))
                break
            before = self.state()
            logits = predictions(self.inner, pool) if r + 1 < len(plan) else logits
            yield Progress("rounds", r + 1, len(plan))
        yield Finished(ctx.elapsed, why)

    def state(self) -> tuple[dict[str, Tensor], set[str]]:
        """What the inner method has learned, and which of it are parameters."""
        return snapshot(self.inner), {n for n, _ in self.inner.named_parameters()}

    def train_on(self, episode: Episode, labelled: frozenset[int], ctx: Any) -> Iterator[Event]:
        """One round: the inner method's own recipe, or gradient descent with our terms where it has none; its value is why it ended."""
        why, plain = "done", type(self.inner).fit is Method.fit
        self.labelled = labelled
        try:
            for event in gradient(self.inner, episode, ctx, terms=self.loss) if plain else self.inner.fit(episode, ctx):
                why = event.why if isinstance(event, Finished) else why
                if not isinstance(event, Started | Finished):
                    yield event
        finally:
            self.labelled = frozenset()
        return why
