"""Learned tokens inside a tower: appended to the patches, or put in the place of prompt tokens before deeper blocks.

Added image tokens stand last in the sequence, get no position and pass ``ln_pre`` like the others; deeper ones replace them
just before a block and never see ``ln_pre``. Text prompts stand right after the start token (slots 1 ... n; from 0 where a
tokenizer has none), so that deep text prompts stay in the shared prefix. Vision attention has no order, so "last" equals every
other place.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from promptlab.backbones.points import Edit


def append(tokens: Tensor) -> Edit:
    """Append ``tokens`` [n, D] (the same for all images) after the patches, before ``ln_pre``."""
    return Edit("image.embed", lambda x: torch.cat([x, tokens.to(x.dtype).expand(len(x), -1, -1)], dim=1))


def replace(side: str, block: int, tokens: Tensor, start: int = 1) -> Edit:
    """Replace the prompt slots at the input of ``block`` by ``tokens`` [n, D]: the last n of an image, n from ``start`` of a text."""
    n = tokens.shape[0]
    slots = (-n, None) if side == "image" else (start, start + n)
    return Edit(f"{side}.block.{block}.in", lambda x: tokens.to(x.dtype).expand(len(x), -1, -1), slots=slots)


class DeepTokens(nn.Module):
    """Fresh tokens for the blocks 1 ... depth - 1 of a tower: ``tokens.{i}`` [n, D] ~ N(0, std^2) enters block i + 1.

    What stands in block 0 is not here: it is the context (text) or the appended tokens (image), so ``depth`` counts it.
    """

    def __init__(self, depth: int, n: int, width: int, std: float = 0.02):
        super().__init__()
        self.tokens = nn.ParameterList(std * torch.randn(n, width) for _ in range(depth - 1))

    def __iter__(self):
        return iter(self.tokens)

    def edits(self, side: str, start: int = 1) -> list[Edit]:
        return deep(side, list(self.tokens), start)


def deep(side: str, tokens: Sequence[Tensor], start: int = 1) -> list[Edit]:
    """Replace the slots before block i + 1 by ``tokens[i]`` [n, D]."""
    return [replace(side, i + 1, t, start) for i, t in enumerate(tokens)]


class Coupler(nn.Module):
    """One linear map per depth from text to vision tokens (MaPLe): ``first`` for the input, ``deep.{i}`` for block i + 1.

    The deep maps are copies of one layer, so they start identical (PyTorch's default initialisation).
    """

    def __init__(self, depth: int, source: int, target: int):
        super().__init__()
        self.first = nn.Linear(source, target)
        layer = nn.Linear(source, target)
        self.deep = nn.ModuleList(copy.deepcopy(layer) for _ in range(depth - 1))

    def forward(self, tokens: Sequence[Tensor]) -> list[Tensor]:
        """``tokens``: the context and the deep text tokens, each [n, source] → as many vision tokens [n, target]."""
        return [layer(t) for layer, t in zip((self.first, *self.deep), tokens, strict=True)]
