"""Dense features: one vector of the joint space for every image position.

``mode="attn"``: the last attention (or attention pool) as it is, every position a query: [B, M, E] = the tower's own tokens.
``mode="value"``: the last attention without its mixing, every position sees only itself:
    ResNet  z_j = c_proj(v_proj(X_j))                                    X: map of stage 4
    ViT     v = W_o (W_v LN1(x) + b_v) + b_o; v += x (``residual``); v += MLP(LN2(v)) (``mlp``); z = proj(ln_post(v))
On a ViT this is one edit: the attention pattern of the last block becomes the identity for the patch rows. The class token's
row is left alone, so that ``pooled`` stays the ordinary global feature.
Sources: MaskCLIP, arXiv:2112.01071 (``vit.py``, ``maskclip_head.py``); DualCoOp, arXiv:2206.09541 (``AttentionConv``).
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.backbones.points import Edit, Encoding
from promptlab.errors import BackboneLacks

MODES = ("attn", "value")


def own_position(pattern: Tensor, skip: int = 1) -> Tensor:
    """Attention [..., T, T] → the identity, except that the first ``skip`` rows (class token, registers) attend as before."""
    eye = torch.eye(pattern.shape[-1], dtype=pattern.dtype, device=pattern.device).expand_as(pattern)
    return torch.cat([pattern[..., :skip, :], eye[..., skip:, :]], dim=-2)


def value_edits(clip: Any, *, mlp: bool = True) -> list[Edit]:
    """The value path of a ViT as edits of its last block (residual kept)."""
    block, skip = f"image.block.{clip.image_layers - 1}", clip.image.lead
    edits = [Edit(f"{block}.attn.pattern", lambda pattern: own_position(pattern, skip))]
    return edits if mlp else [*edits, Edit(f"{block}.mlp.out", lambda x: torch.cat([x[:, :skip], torch.zeros_like(x[:, skip:])], 1))]


def dense(clip: Any, pixels: Tensor, mode: str = "value", *, residual: bool = True, mlp: bool = True, pos_embed: bool = False,
          keys: bool = False) -> Encoding:
    """Dense features of pixels [B, 3, H, W]: ``tokens`` [B, M, E] over ``grid``, not normalised, and ``pooled`` [B, E].

    ``pos_embed`` (ResNet, value): the pool's position embedding is added first; ``pooled`` is then the value path of the mean
    token. ``keys``: adds ``taps["keys"]`` [B, M, D], the keys of the last attention (of a ViT: after its output projection, as
    MaskCLIP reads them).
    """
    if mode not in MODES:
        raise ValueError(f"dense features come in the modes {', '.join(MODES)}; got {mode!r}.")
    if mode == "attn" and not keys:
        return clip.encode_image(pixels, tokens=True)
    if "resnet" in clip.offers:
        return _resnet(clip, pixels, mode, pos_embed, keys)
    if not {"attention", "tokens"} <= clip.offers:
        raise BackboneLacks(f"dense features need the attention of the image tower, which backbone {clip.name} does not offer.")
    return _vit(clip, pixels, mode, residual, mlp, keys)


def frozen_dense(clip: Any, batch: Any, mode: str = "value", **switches: bool) -> Encoding:
    """:func:`dense` of a batch, cached like every frozen encoding."""
    variant = ("dense", mode, *sorted(switches.items()))
    return clip.cached_image(batch, tokens=True, encode=lambda pixels: dense(clip, pixels, mode, **switches), variant=variant)


def place_free(clip: Any, batch: Any) -> Encoding:
    """Value-path tokens without positions and the global feature: of a ResNet that of the pool without its position embedding (TaI-DPT),
    of a ViT the class token's. Cached."""
    if "resnet" not in clip.offers:
        return frozen_dense(clip, batch)

    def encode(pixels: Tensor) -> Encoding:
        bare = clip.encode_image(pixels, [Edit("image.weights.pool.pos", torch.zeros_like)])
        local = dense(clip, pixels)
        return Encoding(bare.pooled, local.tokens, local.grid)

    return clip.cached_image(batch, tokens=True, encode=encode, variant=("dense", "place-free"))


def _vit(clip: Any, pixels: Tensor, mode: str, residual: bool, mlp: bool, keys: bool) -> Encoding:
    block, skip = f"image.block.{clip.image_layers - 1}", clip.image.lead
    edits = value_edits(clip, mlp=mlp) if mode == "value" else []
    taps = [f"{block}.attn.k"] * keys
    if mode == "value" and not residual:
        # what the attention adds, from a first run, takes the place of (input + what it adds) in the second
        first = clip.encode_image(pixels, edits, [f"{block}.in", f"{block}.mid"]).taps
        alone = (first[f"{block}.mid"] - first[f"{block}.in"])[:, skip:]
        edits = [*edits, Edit(f"{block}.mid", lambda mid: torch.cat([mid[:, :skip], alone.to(mid.dtype)], 1))]
    out = clip.encode_image(pixels, edits, taps, tokens=True)
    extra = {}
    if keys:
        extra["keys"] = _linear(clip, f"image.weights.block.{clip.image_layers - 1}.attn.o", out.taps[f"{block}.attn.k"][:, skip:])
    return Encoding(out.pooled, out.tokens, out.grid, extra)


def _resnet(clip: Any, pixels: Tensor, mode: str, pos_embed: bool, keys: bool) -> Encoding:
    out = clip.encode_image(pixels, (), ["image.stage.4.out"], tokens=mode == "attn")
    last = out.taps["image.stage.4.out"]
    grid = (last.shape[-2], last.shape[-1])
    x = last.flatten(2).transpose(1, 2)  # [B, hw, D]
    extra = {"keys": _linear(clip, "image.weights.pool.k", x)} if keys else {}
    if mode == "attn":
        return Encoding(out.pooled, out.tokens, out.grid, extra)
    x = torch.cat([x.mean(1, keepdim=True), x], 1)
    if pos_embed:
        x = x + pool_positions(clip.image.weights["image.weights.pool.pos"], grid).to(x.dtype)
    z = _linear(clip, "image.weights.pool.c", _linear(clip, "image.weights.pool.v", x))
    return Encoding(z[:, 0], z[:, 1:], grid, extra)


def pool_positions(pos: Tensor, grid: tuple[int, int]) -> Tensor:
    """Position embedding [1 + s², D] of an attention pool for another grid: slot 0 kept, the rest resized bicubically."""
    side = round((pos.shape[0] - 1) ** 0.5)
    if grid == (side, side):
        return pos
    rest = pos[1:].float().T.reshape(1, -1, side, side)
    rest = F.interpolate(rest, size=grid, mode="bicubic", align_corners=False)
    return torch.cat([pos[:1], rest.flatten(2)[0].T.to(pos.dtype)], 0)


def _linear(clip: Any, name: str, x: Tensor) -> Tensor:
    """A linear map [out, in] of the image tower by its weight's name."""
    weights = clip.image.weights
    bias = weights.get(f"{name}.bias")
    return F.linear(x.float(), weights[name].float(), None if bias is None else bias.float())


def spatial_softmax(scores: Tensor, by: Tensor | None = None, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """Class-specific spatial pooling of ``scores`` [B, M, ...]: weights = softmax over positions of temperature · ``by`` (default:
    the scores themselves; [B, M, ...], broadcast), result = their sum over positions. Returns (pooled [B, ...], weights)."""
    weights = (temperature * (scores if by is None else by)).softmax(1)
    return (weights * scores).sum(1), weights


def to_map(values: Tensor, grid: Sequence[int]) -> Tensor:
    """[B, M, C] over a row-major grid → [B, C, h, w]."""
    return values.transpose(1, 2).unflatten(2, tuple(grid))
