"""Small per-class queues that fill up along a stream and keep what is least uncertain (TDA, CVPR 2024)."""

from typing import NamedTuple

import torch
from torch import Tensor


class Item(NamedTuple):
    """``key`` [E] feature, ``entropy`` of its answer, ``prob`` [C] that answer, ``place`` in the stream."""

    key: Tensor
    entropy: float
    prob: Tensor
    place: int


class Queues:
    """One list a class, at most ``capacity`` long, sorted by entropy; a full one gives up its last item for a surer one."""

    def __init__(self, classes: int, capacity: int):
        self.classes, self.capacity = classes, capacity
        self.items: dict[int, list[Item]] = {}

    def add(self, label: int, item: Item) -> bool:
        """Whether the item found room."""
        queue = self.items.setdefault(label, [])
        if len(queue) < self.capacity:
            queue.append(item)
        elif queue and item.entropy < queue[-1].entropy:
            queue[-1] = item
        else:
            return False
        queue.sort(key=lambda i: i.entropy)  # stable: of equals the older stays in front
        return True

    def __len__(self) -> int:
        return sum(map(len, self.items.values()))

    @property
    def sizes(self) -> list[int]:
        """Items of each class [C]."""
        return [len(self.items.get(c, ())) for c in range(self.classes)]

    def ordered(self) -> list[tuple[int, Item]]:
        """(label, item), class by class, least uncertain first."""
        return [(c, item) for c in sorted(self.items) for item in self.items[c]]

    def keys(self) -> Tensor:
        """[M, E]."""
        return torch.stack([item.key for _, item in self.ordered()])

    def labels(self) -> Tensor:
        """One-hot [M, C] of the class that each item was filed under."""
        return torch.eye(self.classes)[[c for c, _ in self.ordered()]]

    def probs(self) -> Tensor:
        """[M, C]."""
        return torch.stack([item.prob for _, item in self.ordered()])


def votes(v: Tensor, keys: Tensor, values: Tensor, alpha: float, beta: float) -> Tensor:
    """alpha · exp(-beta (1 - v Kᵀ)) V: [B, E], [M, E], [M, C] → [B, C]."""
    return alpha * (-beta * (1 - v @ keys.T)).exp() @ values.to(v)
