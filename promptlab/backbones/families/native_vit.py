"""open_clip's VisionTransformer: where its weights live."""

import torch
from torch import Tensor, nn

from promptlab.backbones.blocks import Block, activation, named_block
from promptlab.backbones.session import Session
from promptlab.backbones.vit import ViT

OFFERS = frozenset({"pixels", "tokens", "image-deep", "image-weights", "attention", "vit"})


def plain_blocks(side: str, blocks: nn.ModuleList, dtype: torch.dtype) -> tuple[tuple[Block, ...], dict[str, Tensor]] | None:
    """Blocks and named weights of open_clip residual blocks of either attention class; None where a block does more than we walk.

    Only in_proj_weight, in_proj_bias, out_proj and num_heads are read, which both of open_clip's attention classes have.
    """
    out, weights = [], {}
    for i, m in enumerate(blocks):
        act = activation(m.mlp.gelu)
        if act is None or not _standard(m):
            return None
        a = m.attn
        parts = {"in_proj": a.in_proj_weight, "in_proj.bias": a.in_proj_bias, "o": a.out_proj.weight, "o.bias": a.out_proj.bias}
        for name, layer in (("up", m.mlp.c_fc), ("down", m.mlp.c_proj), ("ln_1", m.ln_1), ("ln_2", m.ln_2)):
            parts |= {name: layer.weight, f"{name}.bias": layer.bias}
        scales = tuple(getattr(ls, "gamma", None) for ls in (m.ls_1, m.ls_2))
        block, named = named_block(side, i, parts, dtype, heads=a.num_heads, act=act, eps=(m.ln_1.eps, m.ln_2.eps),
                                   scales=tuple(None if g is None else g.detach().float() for g in scales))
        out.append(block)
        weights |= named
    return tuple(out), weights


def _standard(m: nn.Module) -> bool:
    """True if everything beyond the plain block (norms of q, k, heads, inner norms, cosine attention) is absent or the identity."""
    a = m.attn
    extras = [getattr(a, n, None) for n in ("ln_q", "ln_k", "ln_inner", "q_norm", "k_norm")]
    extras += [getattr(m, "ln_attn", None), getattr(m.mlp, "ln", None)]
    scaled = any(getattr(a, n, None) is not None for n in ("logit_scale", "head_scale"))
    return not scaled and a.in_proj_weight is not None and all(e is None or isinstance(e, nn.Identity) for e in extras)


def open_native_vit(visual: nn.Module, dtype: torch.dtype) -> ViT | None:
    """The tower of an ``open_clip.transformer.VisionTransformer``; None for a variant that we do not walk (attentional pooling)."""
    if visual.attn_pool is not None or visual.pool_type not in ("tok", "avg"):
        return None
    opened = plain_blocks("image", visual.transformer.resblocks, dtype)
    if opened is None:
        return None
    blocks, weights = opened
    first = {"patch": visual.conv1.weight.detach().to(dtype), "cls": visual.class_embedding.detach().float(),
             "pos": visual.positional_embedding.detach().float()}
    for name, ln in (("ln_pre", visual.ln_pre), ("ln_post", visual.ln_post)):
        if not isinstance(ln, nn.Identity):
            first |= {name: ln.weight.detach().float(), f"{name}.bias": ln.bias.detach().float()}
    if visual.proj is not None:
        first["proj"] = visual.proj.detach().float().T  # [E, D], as every matrix here is [out, in]
    weights = {f"image.weights.{k}": v for k, v in first.items()} | weights
    head = _head(visual.pool_type, visual.final_ln_after_pool, visual.ln_post.eps)
    reads = slice(0, 1) if visual.pool_type == "tok" else None
    return ViT(weights, blocks, tuple(visual.grid_size), tuple(visual.patch_size), visual.conv1.out_channels, head, OFFERS,
               eps_pre=getattr(visual.ln_pre, "eps", 1e-5), reads=reads)


def _head(pool: str, norm_after: bool, eps: float):
    """Pooling by class token or mean of patches, with the last norm before (usual) or after it; tokens always get the norm."""
    def project(s: Session, x: Tensor) -> Tensor:
        return s.linear("image.weights.proj", x) if s.w("image.weights.proj") is not None else x

    def head(s: Session, x: Tensor, tokens: bool) -> tuple[Tensor, Tensor | None]:
        if pool == "tok" and not tokens:
            return project(s, s.norm("image.weights.ln_post", x[:, 0], eps)), None
        y = s.norm("image.weights.ln_post", x, eps)
        if pool == "tok":
            pooled = y[:, 0]
        else:
            pooled = s.norm("image.weights.ln_post", x[:, 1:].mean(1), eps) if norm_after else y[:, 1:].mean(1)
        return project(s, pooled), project(s, y[:, 1:]) if tokens else None

    return head
