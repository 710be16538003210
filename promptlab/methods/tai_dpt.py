"""TaI-DPT: prompts learned from captions alone; the nouns of a caption are its labels, its words stand in for the regions of a picture.

Two contexts, one for the whole (t_c) and one for parts (t'_c), features [C, E], all unit length. A caption gives g [E] (end token)
and g_l [L, E] (every token); a picture the global feature and z_j [M, E] (value path, no positions):
    l^G_c = s cos(g, t_c)            A_lc = cos(g_l, t'_c), padding left out
    l^L_c = sum_l softmax_l(kappa A)_lc s A_lc        s = 4; kappa = 50 over words, 40 over regions
    loss = rank(l^G) + rank(l^L), rank = mean over captions of sum over (present p, absent n) of max(0, 1 - l_p + l_n)
pred = (1 - share) l^G + share l^L with share = 0.5. No picture is needed to learn.
Source: Guo et al., CVPR 2023, arXiv:2211.12739; guozix/TaI-DPT (trainers/Caption_distill_double.py, trainers/utils.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.data.batch import Batch, Split
from promptlab.data.captions import Captions
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.data.templates import SETS, template_set
from promptlab.fit.events import Event, Note
from promptlab.fit.gradient import gradient
from promptlab.losses import asymmetric, known_bce, pairwise_ranking
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import POSITIONS, Context
from promptlab.parts.dense import place_free, spatial_softmax, to_map
from promptlab.parts.sentences import word_features

REMEMBERED = 8192  # captions whose word features are kept during a fit


@dataclass(frozen=True)
class Hyper(Train):
    n_ctx: int = knob(16, 1, 64, help="learned vectors of each of the two prompts")
    ctx_init: str | None = knob(None, help="initial words of both prompts; random when empty")
    position: str = knob("end", choices=POSITIONS, help="where the class name stands")
    class_specific: bool = knob(False, help="a context for every class; then other names cannot be asked for")
    scale: float = knob(4.0, 0.0, 1000.0, help="s, scale of the cosines")
    words: float = knob(50.0, 0.0, 1000.0, help="sharpness of the softmax over the words of a caption")
    regions: float = knob(40.0, 0.0, 1000.0, live=True, help="sharpness of the softmax over the regions of a picture (4 on NUS-WIDE)")
    share: float = knob(0.5, 0.0, 1.0, live=True, help="weight of the local score (0: the global prompt alone, TaI)")
    margin: float = knob(1.0, 0.0, 100.0, help="margin of the ranking loss")
    objective: str = knob("ranking", choices=("ranking", "asymmetric", "binary"), help="loss of each of the two scores")
    templates: str = knob("ensemble80", choices=SETS, help="sentences of every class that are added to the captions")
    plain: int = knob(9, 0, 1000, help="times that 'a photo of a {}.' of every class is added")
    epochs: int = knob(20, 0, 10000, help="passes over the captions")
    batch: int = knob(512, 1, 4096, help="captions per step")
    lr: float = knob(1e-4, 0.0, 1000.0, help="base learning rate")
    augment: str = knob("none", choices=("none", "crop"), help="train-time transform (captions have none)")


class TaIDPT(Method):
    card = Card(
        id="tai_dpt", name="TaI-DPT", year=2023, venue="CVPR", paper="arXiv:2211.12739", code="guozix/TaI-DPT", family="text prompt",
        supervision="unsupervised", kinds=("multi",), protocols=("captions", "few_shot"),
        difference="a global and a local learned context, fitted on captions instead of pictures", trains="two contexts",
        needs=("causal-text", "tokens", "text"), params_b16_k100=16_384,
        exposes=(Expose("whole.ctx", as_="words"), Expose("parts.ctx", as_="words"), Expose("weights", as_="mask"),
                 Expose("cosine", as_="mask")),
        presets={"demo": {"ctx_init": "a photo of a", "optimiser": "adam", "weight_decay": 0.0, "lr": 1e-2, "batch": 32, "steps": 60,
                          "schedule": "step-cosine", "templates": "dataset-all", "plain": 1}},
        claims=(Claim("voc2007", None, "RN50", "map", 88.3, "table 1, from memory"), Claim("coco", None, "RN50", "map", 65.1, "table 1, "
                "from memory"), Claim("nus-wide", None, "RN50", "map", 46.5, "table 1, from memory")),
        departs=("nouns are found by rules (lower case, singular, longest name first) instead of a tagger and a lemmatiser",
                 "without captions it learns from the templates alone, and says so",
                 "last epoch instead of the best one on a part of the test pictures", "the three unused scalars are not made",
                 "also runs on a ViT: the class token is the global feature, regions are value-path patch tokens"),
        job=Job("world:scenes", protocol="captions", test="test", shots=None),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        how = {"words": hyper.ctx_init, "position": hyper.position, "per": "class" if hyper.class_specific else "shared"}
        self.whole, self.parts = (Context(backbone, task.classes, hyper.n_ctx, **how) for _ in range(2))
        self.heard: dict[tuple, tuple[Tensor, ...]] = {}  # frozen features of captions

    def classes(self, names: ClassSet) -> Bank:
        """Unit-length features [2, C, E] of the global and the local prompts."""
        return Bank(names, torch.stack([F.normalize(self.text(c.inputs(names)), dim=-1) for c in (self.whole, self.parts)]))

    def seen(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None, tuple[int, int] | None]:
        """Unit features of the whole [B, E] and of its parts [B, M, E], padding [B, M] (captions) and grid (pictures)."""
        if not isinstance(batch.source, Captions):
            enc = place_free(self.backbone, batch)
            return F.normalize(enc.pooled.float(), dim=-1), F.normalize(enc.tokens.float(), dim=-1), None, enc.grid
        keys = [(batch.source.key, row) for row in batch.rows]
        if new := [i for i, k in enumerate(keys) if k not in self.heard]:
            found = word_features(self.backbone, batch.source.said([batch.rows[i] for i in new]))
            self.heard = {} if len(self.heard) > REMEMBERED else self.heard
            self.heard |= {keys[i]: tuple(f[j] for f in found) for j, i in enumerate(new)}
            return self.seen(batch)
        words, pooled, padding = zip(*(self.heard[k] for k in keys), strict=True)
        words = torch.nn.utils.rnn.pad_sequence(words, batch_first=True)
        padding = torch.nn.utils.rnn.pad_sequence(padding, batch_first=True, padding_value=True)
        return F.normalize(torch.stack(pooled), dim=-1), F.normalize(words, dim=-1), padding, None

    def forward(self, batch: Batch, bank: Bank) -> Out:
        """``aux``: both scores [B, C], ``similarity`` and ``word_weights`` [B, M, C]; of pictures also maps [B, C, h, w]."""
        h, (whole, parts, padding, grid) = self.hyper, self.seen(batch)
        cosine = parts @ bank.text[1].T
        by = cosine if padding is None else cosine.masked_fill(padding[..., None], -1e4)
        pooled, weights = spatial_softmax(cosine, by, h.regions if padding is None else h.words)
        scores = {"global": h.scale * whole @ bank.text[0].T, "local": h.scale * pooled, "similarity": cosine, "word_weights": weights}
        maps = {"weights": to_map(weights, grid), "cosine": to_map(cosine, grid)} if grid else {}
        return Out((1 - h.share) * scores["global"] + h.share * scores["local"], {**scores, **maps})

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        """One term a score, by ``objective``."""
        target = batch.target.to(out.pred.device)
        of = {"ranking": lambda x: pairwise_ranking(x, target, self.hyper.margin), "binary": lambda x: known_bce(x, target),
              "asymmetric": lambda x: asymmetric(x, target, eps=1e-8) / target.numel()}[self.hyper.objective]
        return {name: of(out.aux[name]) for name in ("global", "local")}

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        said, labels = self.sentences(episode.task.classes)
        if episode.support is not None and isinstance(episode.support.source, Captions):
            said = [*episode.support.source.said(episode.support.rows), *said]
            labels = torch.cat([episode.support.targets, labels])
        else:
            yield Note("no captions came, so tai_dpt learns from sentences of one class each; pictures and their labels are not read.")
        try:
            yield from gradient(self, episode.replace(support=Split(Captions(said), tuple(range(len(said))), labels)), ctx)
        finally:
            self.heard = {}

    def sentences(self, names: ClassSet) -> tuple[list[str], Tensor]:
        """Texts about one class each, ``plain`` times a photo and once every template, with labels [n, C]."""
        forms = ("a photo of a {}.",) * self.hyper.plain + template_set(self.hyper.templates, names)
        return [f.format(n) for n in names.clean for f in forms], torch.eye(len(names), dtype=torch.long).repeat_interleave(len(forms), 0)
