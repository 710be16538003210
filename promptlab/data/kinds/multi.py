"""Any number of classes a picture: pred [B, C] with sigmoid(pred) = P(class is there), target [B, C] in {1, 0, -1 = unknown}."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from promptlab import losses, metrics
from promptlab.data.kinds import toy


class Multi:
    name = "multi"
    headline = "map"

    def loss(self, pred: Tensor, target: Tensor) -> Tensor:
        """Binary cross-entropy, mean over the known labels."""
        return losses.known_bce(pred, target.to(pred.device))

    def probabilities(self, pred: Tensor) -> Tensor:
        """Sigmoid a class [B, C]."""
        return pred.float().sigmoid()

    def metrics(self, pred: Tensor, target: Tensor, names: Sequence[str]) -> dict[str, Any]:
        """map, per_class {name: average precision}, and precision, recall, F1 overall and per class at threshold 0.5."""
        return metrics.multi(pred, target, names)

    def toy(self, size: int = 32, classes: int = 4, shots: int = 2, seed: int = 0) -> toy.Toy:
        """Sums of one or two class patterns; in the support one label in eight is unknown."""
        signal = toy.patterns(classes, size, seed)
        generator = torch.Generator().manual_seed(seed)

        def draw(n: int, unknown: float = 0.0) -> tuple[Tensor, Tensor]:
            first = torch.arange(classes).repeat_interleave(n)
            target = torch.zeros(len(first), classes, dtype=torch.long)
            target[torch.arange(len(first)), first] = 1
            second = torch.rand(len(first), generator=generator) < 0.5
            target[second, (first[second] + 1) % classes] = 1
            noise = 0.3 * torch.randn(len(first), 3, size, size, generator=generator)
            hidden = (torch.rand(target.shape, generator=generator) < unknown) & (target == 0)
            return torch.einsum("bc,cdhw->bdhw", target.float(), signal) + noise, target.masked_fill(hidden, losses.UNKNOWN)

        parts = {"support": draw(shots, 1 / 8), "val": draw(1), "test": draw(2)}
        return toy.assemble(self.name, classes, shots, seed, parts)


KIND = Multi()
