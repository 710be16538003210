"""One set of prompts for both towers: text context and vision tokens, optionally mixed by a small transformer block.

Vision tokens enter after ``ln_pre`` (they are not normalised) and fresh ones replace them before every later block. The mixer sees
all tokens in a narrow width: U = [pre_t(P); pre_v(V)], Û = Block(U), P̂ = post_t(Û_t), V̂ = post_v(Û_v).
Source: UPT, arXiv:2210.07225; ``sIncerass/MVLPT: trainers/mvlpt.py``.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.backbones.blocks import quick_gelu
from promptlab.backbones.points import Edit
from promptlab.data.classes import ClassSet
from promptlab.errors import BadHyper
from promptlab.parts.context import Context
from promptlab.parts.tokens import replace

MIXING = ("full", "pairwise", "none")


def enter(tokens: Tensor) -> Edit:
    """Append ``tokens`` [n, D] behind the patches after ``ln_pre``, at the input of the first block."""
    return Edit("image.block.0.in", lambda x: torch.cat([x, tokens.to(x.dtype).expand(len(x), -1, -1)], dim=1))


def vpt_uniform(clip: Any, *size: int) -> Tensor:
    """Tokens [..., D] ~ U(-v, v), v² = 6 / (3 p² + D) with patch side p: Xavier's bound of the patch embedding (VPT)."""
    side = getattr(clip.image, "patch", (16, 16))[0]
    return torch.empty(size).uniform_(-1, 1) * math.sqrt(6 / (3 * side**2 + size[-1]))


class Block(nn.Module):
    """CLIP's pre-norm transformer block on [G, T, d]: attention within each of G groups, then a QuickGELU MLP of four widths."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        if width % heads:
            raise BadHyper(f"the mixer's width must be a multiple of its heads; got {width} and {heads}.")
        self.attn = nn.MultiheadAttention(width, heads)  # its tensors and their initialisation; the arithmetic is below
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def pattern(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Attention [G, H, T, T] and values [G, H, T, d / H]."""
        a = self.attn
        q, k, v = F.linear(self.ln_1(x), a.in_proj_weight, a.in_proj_bias).chunk(3, -1)
        q, k, v = (t.unflatten(-1, (a.num_heads, -1)).transpose(1, 2) for t in (q, k, v))
        return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1), v

    def forward(self, x: Tensor) -> Tensor:
        pattern, v = self.pattern(x)
        x = x + self.attn.out_proj((pattern @ v).transpose(1, 2).flatten(2))
        return x + self.down(quick_gelu(self.up(self.ln_2(x))))


class Mixer(nn.Module):
    """Narrow, mix, widen. ``mixing``: "full": one sequence of all tokens (the paper); "pairwise": text token j with the vision tokens j
    of all layers; "none": every token alone, which is what the public MVLPT code computes. A width equal to ``dim`` needs no map."""

    def __init__(self, text: int, vision: int, dim: int, heads: int, mixing: str):
        super().__init__()
        self.mixing = mixing
        self.pre_t, self.post_t = self._maps(text, dim)
        self.pre_v, self.post_v = self._maps(vision, dim)
        self.block = Block(dim, heads)

    @staticmethod
    def _maps(width: int, dim: int) -> tuple[nn.Module, nn.Module]:
        same = width == dim
        return (nn.Identity(), nn.Identity()) if same else (nn.Linear(width, dim), nn.Linear(dim, width))

    def narrow(self, text: Tensor, vision: Tensor) -> Tensor:
        """text [T, D_t], vision [V, n, D_v] → groups [G, ., d] whose members see each other."""
        t, v = self.pre_t(text), self.pre_v(vision)
        if self.mixing == "pairwise":
            if len(t) != v.shape[1]:
                raise BadHyper(f"pairwise mixing needs as many text as vision tokens; got {len(t)} and {v.shape[1]}.")
            return torch.cat([t[:, None], v.transpose(0, 1)], 1)
        both = torch.cat([t, v.flatten(0, 1)])
        return both[None] if self.mixing == "full" else both[:, None]

    def forward(self, text: Tensor, vision: Tensor) -> tuple[Tensor, Tensor]:
        """text [T, D_t], vision [V, n, D_v] → the same shapes, mixed."""
        x = self.block(self.narrow(text, vision))
        if self.mixing == "pairwise":
            return self.post_t(x[:, 0]), self.post_v(x[:, 1:].transpose(0, 1))
        x = x.flatten(0, 1)
        return self.post_t(x[: len(text)]), self.post_v(x[len(text) :].unflatten(0, vision.shape[:2]))


class Prompts(nn.Module):
    """Text context and vision tokens ``vision`` [V, n, D_v] (V = 1, or all blocks when ``deep``), through a mixer where ``dim`` is set.

    ``n_text`` or ``n_vision`` may be 0: then that side keeps its plain template, or its plain pictures.
    """

    def __init__(self, clip: Any, names: ClassSet, n_text: int, n_vision: int, *, deep: bool = True, position: str = "middle",
                 per: str = "shared", words: str | None = None, dim: int | None = None, heads: int = 1, mixing: str = "full"):
        super().__init__()
        self.context = Context(clip, names, n_text, words=words, position=position, per=per) if n_text else None
        layers = clip.image_layers if deep else 1
        self.vision = nn.Parameter(vpt_uniform(clip, layers, n_vision, clip.image_width)) if n_vision else None
        self.mixer = Mixer(clip.text_width, clip.image_width, dim, heads, mixing) if dim else None

    def mixed(self) -> tuple[Tensor | None, Tensor | None]:
        """The context [n, D_t] (or [C, n, D_t]) and the vision tokens [V, n, D_v] that the towers get."""
        ctx = None if self.context is None else self.context.ctx
        if self.mixer is None:
            return ctx, self.vision
        text, vision = self.mixer(ctx.flatten(0, -2), self.vision)
        return text.reshape(ctx.shape), vision

    def edits(self) -> list[Edit]:
        """What the image tower gets."""
        vision = self.mixed()[1]
        return [] if vision is None else [enter(vision[0]), *(replace("image", i + 1, v) for i, v in enumerate(vision[1:]))]

    def labels(self) -> list[str]:
        """Names of the tokens in the order of :meth:`attention`."""
        n, (layers, per, _) = self.context.ctx.flatten(0, -2).shape[0], self.vision.shape
        return [f"text {i + 1}" for i in range(n)] + [f"block {b}, {j + 1}" for b in range(layers) for j in range(per)]

    @torch.no_grad()
    def attention(self) -> Tensor:
        """Mean over heads of who looks at whom [T, T], text tokens first, then vision tokens layer by layer (0 where they cannot)."""
        text = self.context.ctx.flatten(0, -2)
        n, (layers, per, _) = len(text), self.vision.shape
        pattern = self.mixer.block.pattern(self.mixer.narrow(text, self.vision))[0].mean(1)  # [G, T', T']
        if self.mixer.mixing == "full":
            return pattern[0]
        if self.mixer.mixing == "none":
            return torch.eye(n + layers * per, device=text.device)
        whole = text.new_zeros(n + layers * per, n + layers * per)
        for j in range(n):
            own = torch.tensor([j, *(n + i * per + j for i in range(layers))])
            whole[own[:, None], own] = pattern[j]
        return whole
