"""One class a picture: pred [B, C] logits, target [B] class ids."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from promptlab import losses, metrics
from promptlab.data.kinds import toy


class Single:
    name = "single"
    headline = "accuracy"

    def loss(self, pred: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy."""
        return losses.cross_entropy(pred, target.to(pred.device))

    def probabilities(self, pred: Tensor) -> Tensor:
        """Softmax over classes [B, C]."""
        return pred.float().softmax(-1)

    def metrics(self, pred: Tensor, target: Tensor, names: Sequence[str]) -> dict[str, Any]:
        """accuracy, macro_f1, ece (shares of 1), per_class {name: recall} and the confusion matrix [true][predicted]."""
        return metrics.single(pred, target, names)

    def toy(self, size: int = 32, classes: int = 4, shots: int = 2, seed: int = 0) -> toy.Toy:
        """``shots`` noisy copies of every class pattern, one for validation, two for the test."""
        signal = toy.patterns(classes, size, seed)
        generator = torch.Generator().manual_seed(seed)

        def draw(n: int) -> tuple[Tensor, Tensor]:
            target = torch.arange(classes).repeat_interleave(n)
            return signal[target] + 0.3 * torch.randn(len(target), 3, size, size, generator=generator), target

        return toy.assemble(self.name, classes, shots, seed, {"support": draw(shots), "val": draw(1), "test": draw(2)})


KIND = Single()
