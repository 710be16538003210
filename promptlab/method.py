"""The contract of a method: its difference from the backbone's own answer.

Seven verbs with working defaults; the empty ``Method`` *is* zero-shot. Override what the paper changes and nothing else.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.backbones.points import Edit, Encoding, TextInput
from promptlab.card import Card, Train
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.kinds import kind_of
from promptlab.data.task import Episode, Task
from promptlab.errors import BackboneLacks, ClosedVocabulary, WrongKind


@dataclass(frozen=True)
class Bank:
    """All that depends on the class names only. ``text``: unit-length [C, E], several prompts [N, C, E], or None where the
    prompts depend on the image; ``extra``: whatever else the method's ``forward`` reads."""

    names: ClassSet
    text: Tensor | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Out:
    """``pred``: what the task's kind judges: float32 logits [B, C] (single, multi) or [B, C, h, w] (dense); ``aux``: what pictures show."""

    pred: Tensor
    aux: dict[str, Any] = field(default_factory=dict)


class Method(nn.Module):
    """One paper's way to adapt a frozen backbone. ``parameters()`` and ``state_dict()`` are exactly the learnables."""

    card: ClassVar[Card]
    Hyper: ClassVar[type] = Train

    def __init__(self, backbone: Any, task: Task, hyper: Any):
        """Make learnables from ``hyper`` (and the names in ``task.classes``); no data, no printing, no training.

        Random initialisation draws from torch's global generator, which the caller has seeded.
        """
        super().__init__()
        if task.kind not in self.card.kinds:
            raise WrongKind(f"{self.card.id} handles {' and '.join(self.card.kinds)} tasks; '{task.name}' is {task.kind}.")
        if lacks := sorted(set(self.card.needs) - set(backbone.offers)):
            raise BackboneLacks(f"{self.card.id} needs {', '.join(lacks)}, which backbone {backbone.name} does not offer.")
        object.__setattr__(self, "backbone", backbone)  # not a submodule: its weights are not ours
        self.task, self.hyper, self.kind = task, hyper, kind_of(task.kind)

    # ---- what a paper changes -------------------------------------------------------------------------------------

    def edits(self, batch: Batch | None = None) -> list[Edit]:
        """Edits of both towers, as functions of the learnables; ``batch`` is None on the class side."""
        return []

    def classes(self, names: ClassSet) -> Bank:
        """The class side; default: the template's text features, through the text edits if there are any."""
        if not self.card.open_vocabulary:
            self.closed(names)
        return Bank(names, F.normalize(self.text(names.prompts()), dim=-1) if self._text_edits() else self.plain(names))

    def forward(self, batch: Batch, bank: Bank) -> Out:
        """Default: scale · cosine of image and class features, plus the backbone's bias."""
        return Out(self.cosine(self.image(batch).pooled, bank.text))

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        """Named terms, summed by the recipe."""
        return {"task": self.kind.loss(out.pred, batch.target)}

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Any]:
        """Learn; yields events. Default: gradient descent on the support set."""
        from promptlab.fit.gradient import gradient

        yield from gradient(self, episode, ctx)

    def predict(self, batch: Batch, bank: Bank) -> Out:
        """Answer without learning; called in eval mode inside ``sandbox`` and ``no_grad``."""
        return self(batch, bank)

    # ---- what a paper uses ----------------------------------------------------------------------------------------

    def image(self, batch: Batch, *, tokens: bool = False, taps: Sequence[str] = ()) -> Encoding:
        """The only door to the image tower. Without image edits and taps the frozen encoding comes from the cache."""
        edits = [e for e in self.edits(batch) if e.at.startswith("image.")]
        if not edits and not taps:
            return self.backbone.cached_image(batch, tokens=tokens)
        pixels = batch.pixels(self.backbone.spec).to(self.backbone.device)
        return self.backbone.encode_image(pixels, edits, taps, tokens=tokens)

    def text(self, prompts: TextInput | Sequence[str], batch: Batch | None = None) -> Tensor:
        """Text features [N, E], float32, not normalised, with the method's text edits applied."""
        return self.backbone.encode_text(prompts, self._text_edits(batch)).pooled.float()

    def plain(self, names: ClassSet, templates: Sequence[str] | None = None) -> Tensor:
        """The unedited backbone's class features [C, E], unit length, no gradient, cached (mean of unit vectors over templates)."""
        return self.backbone.zero_shot(names.clean, tuple(templates or names.templates[:1]))

    def cosine(self, image: Tensor, text: Tensor) -> Tensor:
        """scale · cos(image, text) (+ bias): image [B, E], text unit-length [C, E] or per image [B, C, E] → float32 [B, C]."""
        v = F.normalize(image.float(), dim=-1)
        sim = v @ text.T if text.ndim == 2 else torch.einsum("be,bce->bc", v, text)
        return self.backbone.scale * sim + self.backbone.bias

    def closed(self, names: ClassSet) -> None:
        """Refuse other names than those the learnables were made for."""
        if names.names != self.task.classes.names:
            raise ClosedVocabulary(
                f"{self.card.id} learned one vector for each of its {len(self.task.classes)} classes and cannot answer for others; "
                f"use an open-vocabulary method such as coop, or fit it on the new names."
            )

    def rows(self, names: ClassSet) -> list[int]:
        """Labels that ``names`` have in the task; :class:`ClosedVocabulary` where one is not among the learned classes."""
        own = {n: i for i, n in enumerate(self.task.classes.names)}
        if not own.keys() >= set(names.names):
            self.closed(names)
        return [own[n] for n in names.names]

    def bank(self, names: ClassSet | None = None) -> Bank:
        """``classes(names)``, by default for the names of the task."""
        return self.classes(names or self.task.classes)

    def logits(self, images: Tensor, names: ClassSet | None = None) -> Tensor:
        """Differentiable float32 logits [B, C] of normalised pixels [B, 3, H, W]."""
        return self(Batch.of(images), self.bank(names)).pred.float()

    def trainable(self) -> int:
        """Number of learnable scalars."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def _text_edits(self, batch: Batch | None = None) -> list[Edit]:
        return [e for e in self.edits(batch) if e.at.startswith("text.")]


@contextmanager
def sandbox(method: Method) -> Iterator[Method]:
    """Run a method and put its state and mode back bit for bit afterwards, whatever happened inside."""
    state = {k: v.detach().clone() for k, v in method.state_dict().items()}
    grads, training = [p.requires_grad for p in method.parameters()], method.training
    method.eval()
    try:
        yield method
    finally:
        with torch.no_grad():
            for k, v in method.state_dict().items():
                if k in state:
                    v.copy_(state[k])
        for p, g in zip(method.parameters(), grads, strict=True):
            p.requires_grad_(g)
            p.grad = None
        method.train(training)
