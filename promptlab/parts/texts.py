"""Many sentences a class: encoded once, cut where they are too long, and put together to class features or scores.

E joint width, N sentence, C class; ``owner`` [N] is the class of each sentence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 512  # sentences that are encoded at a time
AGGREGATES = ("mean", "merged", "max")


@torch.no_grad()
def unit_texts(clip: Any, texts: Sequence[str]) -> Tensor:
    """Unit-length features [N, E] of sentences, no gradient; what is longer than the tower holds is cut at its end."""
    distinct = list(dict.fromkeys(texts))
    parts = [distinct[i : i + CHUNK] for i in range(0, len(distinct), CHUNK)]
    found = torch.cat([clip.encode_text(clip.cut(part)).pooled.float() for part in parts])
    place = {t: i for i, t in enumerate(distinct)}
    return F.normalize(found[[place[t] for t in texts]], dim=-1)


def class_means(features: Tensor, owner: Tensor, classes: int) -> Tensor:
    """Mean of the unit sentence features of each class [C, E]; not unit length."""
    total = torch.zeros(classes, features.shape[1], device=features.device).index_add_(0, owner, features)
    return total / torch.bincount(owner, minlength=classes).clamp(min=1)[:, None].to(total)


def class_scores(v: Tensor, features: Tensor, owner: Tensor, classes: int, how: str = "mean") -> Tensor:
    """Cosine scores [B, C] of unit pictures v [B, E]: the "mean" or "max" over a class's sentences, or the cosine with the
    normalised mean of its embeddings ("merged"). mean and merged differ by the norm of each class's mean only."""
    if how == "max":
        start = torch.full((len(v), classes), -torch.inf, device=v.device)
        return start.scatter_reduce(1, owner.expand(len(v), -1), v @ features.T, "amax")
    means = class_means(features, owner, classes)
    return v @ (F.normalize(means, dim=-1) if how == "merged" else means).T


@dataclass(frozen=True)
class Sentences:
    """Several sentences of each of ``classes`` classes: ``texts`` N, ``owner`` [N], unit ``features`` [N, E]."""

    texts: tuple[str, ...]
    owner: Tensor
    features: Tensor
    classes: int

    @property
    def means(self) -> Tensor:
        """[C, E], not unit length: its norm says how much the sentences of a class agree."""
        return class_means(self.features, self.owner, self.classes)

    @property
    def centres(self) -> Tensor:
        """Unit class features [C, E]."""
        return F.normalize(self.means, dim=-1)

    def scores(self, v: Tensor, how: str = "mean") -> Tensor:
        """:func:`class_scores` of unit pictures [B, E]."""
        return class_scores(v, self.features, self.owner, self.classes, how)


class Library:
    """Encodes lists of sentences, one list a class, and remembers the last ones."""

    def __init__(self, clip: Any):
        self.clip, self._known = clip, {}

    def __call__(self, lists: Sequence[Sequence[str]]) -> Sentences:
        key = tuple(map(tuple, lists))
        if key not in self._known:
            texts = tuple(t for group in key for t in group)
            owner = torch.tensor([c for c, group in enumerate(key) for _ in group], device=self.clip.device)
            self._known = {key: Sentences(texts, owner, unit_texts(self.clip, texts), len(key))}
        return self._known[key]
