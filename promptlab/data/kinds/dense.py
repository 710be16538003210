"""One class a pixel: pred [B, C, h, w] logits of any resolution, target [B, H, W] class ids, -1 = not judged."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab import losses, metrics
from promptlab.data.kinds import toy


class Dense:
    name = "dense"
    headline = "miou"

    def fit_size(self, pred: Tensor, target: Tensor) -> Tensor:
        """Logits resized bilinearly to the target's height and width: [B, C, h, w] → [B, C, H, W]."""
        same = pred.shape[-2:] == target.shape[-2:]
        return pred.float() if same else F.interpolate(pred.float(), size=target.shape[-2:], mode="bilinear", align_corners=False)

    def loss(self, pred: Tensor, target: Tensor) -> Tensor:
        """Mean pixel cross-entropy over the judged pixels."""
        return losses.cross_entropy(self.fit_size(pred, target), target.to(pred.device))

    def probabilities(self, pred: Tensor) -> Tensor:
        """Softmax over classes at every pixel [B, C, h, w]."""
        return pred.float().softmax(1)

    def metrics(self, pred: Tensor, target: Tensor, names: Sequence[str]) -> dict[str, Any]:
        """miou, pixel accuracy and per_class {name: intersection over union}."""
        return metrics.dense(self.fit_size(torch.as_tensor(pred), torch.as_tensor(target)), target, names)

    def toy(self, size: int = 32, classes: int = 4, shots: int = 2, seed: int = 0) -> toy.Toy:
        """Two half pictures of two classes side by side; the line between them is not judged."""
        signal = toy.patterns(classes, size, seed)
        generator = torch.Generator().manual_seed(seed)

        def draw(n: int) -> tuple[Tensor, Tensor]:
            left = torch.arange(classes).repeat_interleave(n)
            right = (left + 1) % classes
            pixels, half = signal[left].clone(), size // 2
            pixels[..., half:] = signal[right][..., half:]
            target = left[:, None, None].repeat(1, size, size)
            target[..., half:] = right[:, None, None]
            target[..., half] = losses.UNKNOWN
            return pixels + 0.3 * torch.randn(pixels.shape, generator=generator), target

        return toy.assemble(self.name, classes, shots, seed, {"support": draw(shots), "val": draw(1), "test": draw(2)})


KIND = Dense()
