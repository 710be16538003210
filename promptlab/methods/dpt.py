"""DPT with CAVPT: a learned text context, deep vision prompts, and in the last blocks prompts that the likeliest classes make.

S = top-k of the frozen zero-shot logits; blocks 0 ... J-1 get vision prompts P_i [n, D_v] appended (taken off after the block); the later
blocks get LN2(o + q) of the classes in S, with q = meta(t_S) and o = attention of q over the tokens without gradient (``parts.looking``).
pred [B, C] = scale · cosine(v, t). Loss: CE(v, t) + α · CE of the class-aware logits at the true class; in the first ``warm_epochs``
CE(v₀, t) + CE(v, t₀) + 0.1 · CE(v, t) instead of the first term (₀ = frozen).
Source: *Dual Modality Prompt Tuning for Vision-Language Pre-Trained Model*, TMM 2023, arXiv:2208.08340 (eq. 6-15);
``fanrena/DPT: trainers/DPT.py``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.backbones.points import Edit
from promptlab.card import Card, Expose, Job, Train, knob
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.fit.events import Event
from promptlab.fit.gradient import gradient
from promptlab.fit.optim import Plan
from promptlab.method import Bank, Method, Out
from promptlab.parts.context import POSITIONS, Context
from promptlab.parts.looking import ClassAware, matching_rows


@dataclass(frozen=True)
class Hyper(Train):
    n_ctx: int = knob(16, 1, 64, help="text context vectors")
    position: str = knob("end", choices=POSITIONS, help="where the class name stands")
    n_vision: int = knob(10, 1, 256, help="vision prompts of a block")
    aware: int = knob(1, 1, 64, help="last blocks, which get class-aware prompts")
    selected: int = knob(10, 1, 1000, help="classes per picture that make prompts")
    inner: int = knob(32, 1, 1024, help="width of their queries and keys")
    extra: int = knob(10, 1, 256, help="learned rows beside the tokens that they look at")
    alpha: float = knob(0.3, 0.0, 10.0, help="weight of the class-aware loss")
    warm_epochs: int = knob(30, 0, 10000, help="first epochs, in which each branch learns against the frozen other")
    text_rate: float = knob(0.2, 0.0, 10.0, help="learning rate of the context as a share of lr")
    lr: float = knob(0.01, 0.0, 1000.0, help="base learning rate")
    epochs: int = knob(60, 0, 10000, help="passes over the support set")
    warmup: int = knob(10, 0, 10000, help="warm-up epochs at warmup_lr (epoch-cosine)")


class DPT(Method):
    card = Card(
        id="dpt", name="DPT (CAVPT)", year=2023, venue="TMM", paper="arXiv:2208.08340", code="fanrena/DPT", family="text-visual prompt",
        supervision="supervised", difference="text context, deep vision prompts, and prompts made by the likeliest classes",
        trains="context, vision prompts, a cross-attention", needs=("text", "image-deep"), params_b16_k100=1_213_184,
        exposes=(Expose("context.ctx", as_="words"), Expose("looks", as_="mask")),
        presets={"demo": {"n_vision": 4, "optimiser": "adam", "lr": 2e-3, "text_rate": 2.0, "weight_decay": 0.0, "batch": 16, "steps": 150,
                          "schedule": "step-cosine", "augment": "none", "warm_epochs": 2}},
        departs=("the context warms up as long as the vision side (10 epochs; the code: 1)", "float32 throughout",
                 "a state learned on other classes is loaded whole: the auxiliary classifier is used in training only"),
        job=Job("world:animals@thermal", against="coop"),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.context = Context(backbone, task.classes, hyper.n_ctx, position=hyper.position)
        aware, width = min(hyper.aware, backbone.image_layers), backbone.image_width
        self.vision = nn.Parameter(0.02 * torch.randn(backbone.image_layers - aware, hyper.n_vision, width))
        self.aware = nn.ModuleList(ClassAware(len(task.classes), backbone.joint_dim, width, hyper.inner, hyper.extra) for _ in range(aware))
        self.register_buffer("clock", torch.tensor([0, 1]))  # steps taken and steps an epoch: a resumed fit must know its epoch
        self.to(backbone.device)

    def classes(self, names: ClassSet) -> Bank:
        raw = self.text(self.context.inputs(names))
        return Bank(names, F.normalize(raw, dim=-1), {"raw": raw, "plain": self.plain(names)})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        frozen = self.backbone.cached_image(batch).pooled
        before = self.cosine(frozen, bank.extra["plain"])
        chosen = before.topk(min(self.hyper.selected, before.shape[1]), dim=1).indices
        logits, looks = [], []
        prompted = [*self.edits(batch), *self.prompts(bank.extra["raw"][chosen], logits, looks)]
        image = self.backbone.encode_image(batch.pixels(self.backbone.spec).to(self.backbone.device), prompted)
        pred = self.cosine(image.pooled, bank.text)
        halves = {"text_only": self.cosine(frozen, bank.text), "image_only": self.cosine(image.pooled, bank.extra["plain"])}
        maps = {} if self.training else {"looks": self._maps(looks[-1], chosen, before)}
        return Out(pred, {"chosen": chosen, "layer_logits": torch.stack(logits), "image": image.pooled, **halves, **maps})

    def prompts(self, text: Tensor, logits: list[Tensor], looks: list[Tensor]) -> list[Edit]:
        """Edits that append each block's prompts in place of those of the block before; ``text`` [B, k, E] asks in the last blocks."""
        first, grid = len(self.vision), self.backbone.grid
        native = getattr(self.backbone.image, "lead", 1) + grid[0] * grid[1]

        def common(own: Tensor) -> Any:
            return lambda x: torch.cat([x[:, :native], own.to(x.dtype).expand(len(x), -1, -1)], 1)

        def aware(layer: ClassAware) -> Any:
            def do(x: Tensor) -> Tensor:
                made, said, pattern = layer(text, x[:, :native])
                logits.append(said), looks.append(pattern[:, :, native - grid[0] * grid[1] : native])
                return torch.cat([x[:, :native], made.to(x.dtype)], 1)
            return do

        makers = [*(common(p) for p in self.vision), *(aware(layer) for layer in self.aware)]
        assert first + len(self.aware) == len(makers)
        return [Edit(f"image.block.{i}.in", do) for i, do in enumerate(makers)]

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        ce, aux, h = F.cross_entropy, out.aux, self.hyper
        if self.warm:
            halves = (ce(aux["text_only"], batch.target) + ce(aux["image_only"], batch.target))
            terms = {"halves": halves, "task": 0.1 * ce(out.pred, batch.target)}
        else:
            terms = {"task": ce(out.pred, batch.target)}
        layers = aux["layer_logits"]
        chosen = aux["chosen"].repeat(len(layers), 1)
        return {**terms, "aware": h.alpha * matching_rows(layers.flatten(0, 1), chosen, batch.target.repeat(len(layers)))}

    @property
    def warm(self) -> bool:
        """Whether the fit is in its first epochs."""
        return int(self.clock[0] // self.clock[1]) < self.hyper.warm_epochs

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        self.clock.copy_(torch.tensor([0, Plan.of(self.hyper, len(episode.support or ())).per_epoch]))
        text = {"params": [self.context.ctx], "scale": self.hyper.text_rate}
        yield from gradient(self, episode, ctx, params=[{"params": [self.vision, *self.aware.parameters()]}, text], terms=self._counted)

    def _counted(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        terms = self.loss(out, batch)
        self.clock[0] += 1
        return terms

    def _maps(self, looks: Tensor, chosen: Tensor, before: Tensor) -> Tensor:
        """Attention of the last block [B, C, h, w]; zero for classes that were not chosen."""
        maps = looks.new_zeros(*before.shape, looks.shape[-1])
        return maps.scatter(1, chosen[..., None].expand_as(looks), looks).unflatten(-1, self.backbone.grid)
