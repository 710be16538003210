"""The vision transformer as a tower: patches, class token, positions, blocks, head; families say where each weight lives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.backbones.blocks import Block, block_points, run_block, run_rows, touched
from promptlab.backbones.points import Edit, Encoding
from promptlab.backbones.session import Session
from promptlab.backbones.tower import check_pixels
from promptlab.errors import BadData


@dataclass(frozen=True)
class ViT:
    """A tower over named weights (``image.weights.*``).

    ``grid``: patches the positions were made for; ``lead``: tokens before the patches (class token, registers); ``lead_pos``: how many of
    them have a position. ``head``: (session, x [B, lead + M, D], want tokens) → pooled [B, E], tokens [B, M, E] or None.
    ``reads``: rows that the head reads when no tokens are asked for; None = all.
    """

    weights: dict[str, Tensor]
    blocks: tuple[Block, ...]
    grid: tuple[int, int]
    patch: tuple[int, int]
    width: int
    head: Callable[[Session, Tensor, bool], tuple[Tensor, Tensor | None]]
    offers: frozenset[str]
    lead: int = 1
    lead_pos: int = 1
    eps_pre: float = 1e-5
    reads: slice | None = None
    resized: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        h, w = self.resized or self.grid
        return h * self.patch[0], w * self.patch[1]

    @property
    def layers(self) -> int:
        return len(self.blocks)

    @cached_property
    def points(self) -> dict[str, str]:
        tail = {"image.tokens": "B M E"} if "tokens" in self.offers else {}
        return {"image.pixels": "B 3 H W", "image.embed": "B L D", **block_points("image", self.layers), **tail, "image.pooled": "B E"}

    def at(self, size: int) -> "ViT":
        """The same weights for pictures of another side; positions are resized bicubically (as open_clip does)."""
        if size % self.patch[0] or size % self.patch[1]:
            raise BadData(f"the side must be a multiple of the patch ({self.patch[0]} px); got {size}.")
        return replace(self, resized=(size // self.patch[0], size // self.patch[1]))

    def run(self, x: Tensor, edits: Sequence[Edit] = (), taps: Sequence[str] = (), *, tokens: bool = False) -> Encoding:
        """Pixels [B, 3, H, W] → pooled [B, E] (and tokens [B, M, E]), float32. Tokens that edits add stay behind the patches."""
        s = Session(self.points, self.weights, edits, taps)
        tokens = tokens or "image.tokens" in s.taps
        if tokens and "tokens" not in self.offers:
            raise BadData("this image tower offers no local features; use a backbone that offers 'tokens'.")
        x = s.at("image.embed", self._embed(s, s.at("image.pixels", check_pixels(x, self.size))))
        x = s.norm("image.weights.ln_pre", x, self.eps_pre)
        grid = self.resized or self.grid
        native = self.lead + grid[0] * grid[1]
        for block in self.blocks[:-1]:
            x = run_block(s, block, x)
        pooled, local = self._end(s, self.blocks[-1], x, native, tokens)
        local = None if local is None else s.at("image.tokens", local.float())
        return Encoding(s.at("image.pooled", pooled.float()), local, grid, s.seen)

    def _end(self, s: Session, block: Block, x: Tensor, native: int, tokens: bool) -> tuple[Tensor, Tensor | None]:
        """Last block and head. Where the head reads the class token only, that row is made apart: asking for tokens or taps, which
        need all rows, then changes no bit of it."""
        edited, tapped = touched(s, block)
        if self.reads is None or edited:
            return self.head(s, run_block(s, block, x)[:, :native], tokens)
        x = s.at(f"{block.name}.in", x)
        pooled, _ = self.head(s, run_rows(s, block, x, self.reads), False)
        if not tokens and not tapped:
            return pooled, None
        whole = run_block(s, block, x, entered=True)
        return pooled, self.head(s, whole[:, :native], True)[1] if tokens else None

    def _embed(self, s: Session, x: Tensor) -> Tensor:
        w = s.w("image.weights.patch")
        x = F.conv2d(x.to(w.dtype), w, s.w("image.weights.patch.bias"), stride=self.patch).flatten(2).transpose(1, 2).float()
        pos = self._positions(s.w("image.weights.pos"))
        if self.lead_pos == 0 and pos is not None:
            x = x + pos
        if self.lead:
            lead = torch.cat([s.w(n).reshape(-1, self.width) for n in ("image.weights.cls", "image.weights.reg") if s.w(n) is not None])
            x = torch.cat([lead.expand(len(x), -1, -1), x], 1)
        return x if self.lead_pos == 0 or pos is None else x + pos

    def _positions(self, pos: Tensor | None) -> Tensor | None:
        """[lead_pos + M, D], resized where the grid differs."""
        if pos is None or self.resized in (None, self.grid):
            return pos
        lead, grid = pos[: self.lead_pos], pos[self.lead_pos:].T.reshape(1, self.width, *self.grid)
        grid = F.interpolate(grid, self.resized, mode="bicubic", antialias=True, align_corners=False)
        return torch.cat([lead, grid.flatten(2)[0].T])
