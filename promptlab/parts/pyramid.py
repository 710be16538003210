"""A segmentation head on a plain ViT: four block outputs become a feature pyramid, which is summed into one map of class scores.

Patch grids of four blocks are resized by 4, 2, 1 and 1/2; lateral 1 x 1 maps, top-down sums, 3 x 3 maps (FPN); each level runs through
3 x 3 maps with doublings up to the finest one; the sum of all levels gives the scores (Semantic FPN).
Source: ``raoyongming/DenseCLIP: segmentation/denseclip/models.py`` (``CLIPVisionTransformer``) and mmsegmentation's FPN and FPNHead.
Group norms stand for synchronised batch norms, so that small batches and single pictures give the same answer.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Pyramid(nn.Module):
    """``width`` of the tower; ``extra`` channels that are added to the third map; ``channels`` of all others; ``classes`` out."""

    def __init__(self, width: int, extra: int, classes: int, channels: int = 256, dropout: float = 0.1):
        super().__init__()
        def up() -> nn.Module:
            return nn.ConvTranspose2d(width, width, 2, 2)

        def norm() -> nn.Module:
            return nn.GroupNorm(1, width)

        self.resize = nn.ModuleList([nn.Sequential(norm(), up(), norm(), nn.GELU(), up()), nn.Sequential(norm(), up()), norm(),
                                     nn.Sequential(norm(), nn.MaxPool2d(2, 2))])
        self.lateral = nn.ModuleList(nn.Conv2d(width + (extra if i == 2 else 0), channels, 1) for i in range(4))
        self.smooth = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(4))
        self.levels = nn.ModuleList(nn.ModuleList(_conv(channels) for _ in range(max(1, i))) for i in range(4))
        self.score, self.drop = nn.Conv2d(channels, classes, 1), dropout

    def forward(self, maps: Sequence[Tensor], scores: Tensor) -> Tensor:
        """Four maps [B, D, h, w] of one grid and score maps [B, K, h, w] → logits [B, C, 4h, 4w]."""
        levels = [resize(m) for resize, m in zip(self.resize, maps, strict=True)]
        levels[2] = torch.cat([levels[2], scores], 1)
        levels = [lateral(m) for lateral, m in zip(self.lateral, levels, strict=True)]
        for i in (2, 1, 0):
            levels[i] = levels[i] + F.interpolate(levels[i + 1], size=levels[i].shape[-2:], mode="nearest")
        levels = [smooth(m) for smooth, m in zip(self.smooth, levels, strict=True)]
        total = 0
        for i, (layers, x) in enumerate(zip(self.levels, levels, strict=True)):
            for layer in layers:
                x = layer(x)
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False) if i else x
            total = total + (x if not i else F.interpolate(x, size=total.shape[-2:], mode="bilinear", align_corners=False))
        return self.score(F.dropout2d(total, self.drop, self.training))


def _conv(channels: int) -> nn.Module:
    groups = next(g for g in (32, 16, 8, 4, 2, 1) if channels % g == 0)
    return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.GroupNorm(groups, channels), nn.ReLU())
