"""open_clip's ModifiedResNet: four stages and an attention pool, whose tokens are its output at every position."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from promptlab.backbones.points import Edit, Encoding
from promptlab.backbones.session import Session
from promptlab.backbones.tower import check_pixels
from promptlab.errors import BadData

OFFERS = frozenset({"pixels", "tokens", "image-weights", "resnet"})
POOL = {"positional_embedding": "pos", "q_proj": "q", "k_proj": "k", "v_proj": "v", "c_proj": "c"}


@dataclass(frozen=True)
class ResNet:
    """``module``: ours, frozen, in evaluation mode; ``own``: canonical weight name → name of the module's tensor (trunk only)."""

    module: nn.Module
    weights: dict[str, Tensor]
    own: Mapping[str, str]
    heads: int
    width: int
    grid: tuple[int, int]
    dtype: torch.dtype
    layers: int = 0
    offers: frozenset[str] = OFFERS
    resized: tuple[int, int] | None = None

    @property
    def points(self) -> dict[str, str]:
        stages = {f"image.stage.{i}.out": "B D h w" for i in range(1, 5)}
        return {"image.pixels": "B 3 H W", **stages, "image.tokens": "B M E", "image.pooled": "B E"}

    @property
    def size(self) -> tuple[int, int]:
        return tuple(32 * n for n in self.resized or self.grid)

    def at(self, size: int) -> "ResNet":
        """The same weights for pictures of another side (a multiple of 32); the pool's positions are resized bicubically."""
        if size % 32:
            raise BadData(f"the side must be a multiple of 32 px for a ResNet; got {size}.")
        return replace(self, resized=(size // 32, size // 32))

    def run(self, x: Tensor, edits: Sequence[Edit] = (), taps: Sequence[str] = (), *, tokens: bool = False) -> Encoding:
        """Pixels [B, 3, H, W] → pooled [B, E] (the mean token through the pool) and tokens [B, M, E] (each position through it)."""
        s = Session(self.points, self.weights, edits, taps)
        tokens = tokens or "image.tokens" in s.taps
        x = s.at("image.pixels", check_pixels(x, self.size)).to(self.dtype)
        x = self._part(s, "stem", self.module.stem_module, x)
        for i in range(1, 5):
            x = s.at(f"image.stage.{i}.out", self._part(s, f"stage.{i}", getattr(self.module, f"layer{i}"), x))
        grid = tuple(x.shape[-2:])
        pooled, local = self._pool(s, x, tokens)
        local = s.at("image.tokens", local.float()) if tokens else None
        return Encoding(s.at("image.pooled", pooled.float()), local, grid, s.seen)

    def _part(self, s: Session, name: str, module: nn.Module, x: Tensor) -> Tensor:
        """One part of the trunk, with its edited weights put in place of its own for this call only."""
        start = f"image.weights.{name}."
        edited = {self.own[n]: s.w(n) for n in self.own if n.startswith(start) and s.edits(n)}
        return functional_call(module, edited, (x,)) if edited else module(x)

    def _pool(self, s: Session, x: Tensor, tokens: bool) -> tuple[Tensor, Tensor | None]:
        """Attention pool of x [B, D, h, w]: queries are the mean (and every position when tokens are asked for)."""
        w = "image.weights.pool"
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([x.mean(1, keepdim=True), x], 1) + self._positions(s.w(f"{w}.pos")).to(x.dtype)
        q, k, v = (s.linear(f"{w}.{n}", t) for n, t in (("q", x if tokens else x[:, :1]), ("k", x), ("v", x)))
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
        y = s.linear(f"{w}.c", F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return y[:, 0], y[:, 1:] if tokens else None

    def _positions(self, pos: Tensor) -> Tensor:
        if self.resized in (None, self.grid):
            return pos
        grid = pos[1:].T.reshape(1, self.width, *self.grid)
        grid = F.interpolate(grid, self.resized, mode="bicubic", antialias=True, align_corners=False)
        return torch.cat([pos[:1], grid.flatten(2)[0].T])


class Stem(nn.Module):
    """The three convolutions before the stages, as a module of its own (so that its weights can be edited for one call)."""

    def __init__(self, net: nn.Module):
        super().__init__()
        for name in ("conv1", "bn1", "act1", "conv2", "bn2", "act2", "conv3", "bn3", "act3", "avgpool"):
            setattr(self, name, getattr(net, name))

    def forward(self, x: Tensor) -> Tensor:
        for part in self.children():
            x = part(x)
        return x


def open_resnet(visual: nn.Module, dtype: torch.dtype) -> ResNet:
    """The tower over a ModifiedResNet that is ours: frozen and in evaluation mode.

    Names: ``image.weights.stem.conv1``, ``image.weights.stage.3.0.bn2(.bias)``, ``image.weights.pool.{pos,q,k,v,c}(.bias)``.
    """
    visual.stem_module = Stem(visual)
    weights, own = {}, {}
    for name, tensor in visual.named_parameters(remove_duplicate=False):
        head, _, rest = name.partition(".")
        kind = ".bias" if name.endswith(".bias") else ""
        body = re.sub(r"\.(weight|bias)$", "", rest)
        if head == "attnpool":
            weights[f"image.weights.pool.{POOL[body]}{kind}"] = tensor.detach()
        elif head == "stem_module" or head.startswith("layer"):
            canonical = f"image.weights.{'stem' if head == 'stem_module' else f'stage.{head[-1]}'}.{body}{kind}"
            weights[canonical], own[canonical] = tensor.detach(), rest
    pool = visual.attnpool
    side = round((pool.positional_embedding.shape[0] - 1) ** 0.5)
    return ResNet(visual, weights, own, pool.num_heads, pool.positional_embedding.shape[1], (side, side), dtype)
