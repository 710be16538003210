"""Prompts of both towers that know nothing of each other: deep text tokens and deep vision tokens (IVLP, and what is built on it).

Text: ctx [n, D_t] are the leading words of a sentence, T_i [n, D_t] replace them before text block i, 0 < i < depth. Vision: V_0
[m, D_v] is appended to the patches (before ``ln_pre``), V_i replaces it before image block i. Deeper blocks keep what came out.
Source: ``muzairkhattak/multimodal-prompt-learning: clip/model.py, trainers/independentVL.py``.
"""

from typing import Any

import torch
from torch import nn

from promptlab.backbones.points import Edit, TextInput
from promptlab.data.classes import ClassSet
from promptlab.parts.context import Context
from promptlab.parts.tokens import DeepTokens, append, deep

MOST_WORDS = 4  # as in the public code, longer contexts start at random


class VisionTokens(nn.Module):
    """``tokens.0`` [n, D] is appended to the patches, ``tokens.i`` replaces it before block i; a depth of 0 adds nothing."""

    def __init__(self, depth: int, n: int, width: int, std: float = 0.02):
        super().__init__()
        self.tokens = nn.ParameterList(std * torch.randn(n, width) for _ in range(depth))

    def edits(self) -> list[Edit]:
        tokens = list(self.tokens)
        return [append(tokens[0]), *deep("image", tokens[1:])] if tokens else []


class Twin(nn.Module):
    """``context``, ``deep`` (text) and ``vision``; depths count the input and are cut to the blocks that a tower has."""

    def __init__(self, clip: Any, names: ClassSet, *, text: tuple[int, int], vision: tuple[int, int], words: str | None):
        """``text`` and ``vision``: (tokens, depth)."""
        super().__init__()
        n, depth = text
        self.context = Context(clip, names, n, words=words if n <= MOST_WORDS else None, learn=n)
        self.deep = DeepTokens(min(depth, clip.text_layers), n, clip.text_width)
        self.vision = VisionTokens(min(vision[1], clip.image_layers), vision[0], clip.image_width)
        self.start = self.context.frame(names).start.shape[1]  # SigLIP's sentences have no start token

    def edits(self) -> list[Edit]:
        """Edits of both towers."""
        return [*self.deep.edits("text", self.start), *self.vision.edits()]

    def inputs(self, names: ClassSet) -> TextInput:
        return self.context.inputs(names)
