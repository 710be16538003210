"""timm's VisionTransformer inside open_clip's TimmModel (SigLIP, gap and tiny CLIPs): where its weights live."""

import copy
import re

import torch
from torch import Tensor, nn
from torch.func import functional_call

from promptlab.backbones.blocks import activation, named_block
from promptlab.backbones.families.native_vit import OFFERS
from promptlab.backbones.session import Session
from promptlab.backbones.vit import ViT


def open_timm_vit(visual: nn.Module, dtype: torch.dtype) -> ViT | None:
    """The tower of a ``TimmModel`` whose trunk is a plain ViT; None for other trunks (convolutions, rotary positions, hybrid stems)."""
    trunk = getattr(visual, "trunk", None)
    if not _plain(trunk):
        return None
    blocks, weights = [], {}
    for i, m in enumerate(trunk.blocks):
        act = activation(m.mlp.act)
        if act is None or not _standard(m):
            return None
        parts = {}
        layers = {"in_proj": m.attn.qkv, "o": m.attn.proj, "up": m.mlp.fc1, "down": m.mlp.fc2, "ln_1": m.norm1, "ln_2": m.norm2}
        for name, layer in layers.items():
            parts |= {name: layer.weight, f"{name}.bias": layer.bias}
        scales = tuple(getattr(ls, "gamma", None) for ls in (m.ls1, m.ls2))
        block, named = named_block("image", i, parts, dtype, heads=m.attn.num_heads, act=act, eps=(m.norm1.eps, m.norm2.eps),
                                   scales=tuple(None if g is None else g.detach().float() for g in scales))
        blocks.append(block)
        weights |= named
    conv, lead = trunk.patch_embed.proj, trunk.num_prefix_tokens
    norm = trunk.fc_norm if isinstance(trunk.norm, nn.Identity) else trunk.norm
    named = {"patch": conv.weight.to(dtype), "patch.bias": None if conv.bias is None else conv.bias.to(dtype),
             "cls": trunk.cls_token, "reg": trunk.reg_token, "pos": trunk.pos_embed}
    for name, ln in (("ln_pre", trunk.norm_pre), ("ln_post", norm)):
        named |= {name: getattr(ln, "weight", None), f"{name}.bias": getattr(ln, "bias", None)}
    named |= _projection(visual)
    for name in ("cls", "reg", "pos"):
        named[name] = None if named[name] is None else named[name][0]
    first = {f"image.weights.{k}": (v if k.startswith("patch") else v.float()).detach() for k, v in named.items() if v is not None}
    head, pool_weights = _head(visual, norm)
    offers = OFFERS if trunk.global_pool in ("token", "avg") else OFFERS - {"tokens"}
    return ViT(first | weights | pool_weights, tuple(blocks), tuple(trunk.patch_embed.grid_size), tuple(trunk.patch_embed.patch_size),
               trunk.embed_dim, head, offers, lead=lead, lead_pos=0 if trunk.no_embed_class else lead,
               eps_pre=getattr(trunk.norm_pre, "eps", 1e-5), reads=slice(0, 1) if trunk.global_pool == "token" else None)


def _plain(trunk: nn.Module | None) -> bool:
    """True for a timm ViT with convolutional patches, learned positions and a pooling that we know."""
    if type(trunk).__name__ != "VisionTransformer" or not type(trunk).__module__.endswith("vision_transformer"):
        return False
    stem = trunk.patch_embed
    return (type(stem).__name__ == "PatchEmbed" and isinstance(stem.norm, nn.Identity) and trunk.pos_embed is not None
            and trunk.global_pool in ("token", "avg", "map") and not trunk.pool_include_prefix
            and all(isinstance(n, (nn.LayerNorm, nn.Identity)) for n in (trunk.norm, trunk.norm_pre, trunk.fc_norm)))


def _standard(m: nn.Module) -> bool:
    """True for a pre-norm block without norms inside attention or MLP, and without gates."""
    a = m.attn
    inner = [getattr(a, "q_norm", None), getattr(a, "k_norm", None), getattr(a, "norm", None), getattr(m.mlp, "norm", None)]
    return (type(m).__name__ == "Block" and hasattr(a, "qkv") and getattr(a, "gate", None) is None and hasattr(m.mlp, "fc1")
            and isinstance(m.norm1, nn.LayerNorm) and all(n is None or isinstance(n, nn.Identity) for n in inner)
            and a.qkv.weight.shape[0] == 3 * a.qkv.weight.shape[1])


def _projection(visual: nn.Module) -> dict[str, Tensor | None]:
    """The one linear map to the joint space, wherever it is; none where the trunk's features are used as they are."""
    for layer in (visual.trunk.head, getattr(visual.head, "proj", None)):
        if isinstance(layer, nn.Linear):
            return {"proj": layer.weight, "proj.bias": layer.bias}
    return {}


def _head(visual: nn.Module, norm: nn.Module):
    """Norm, pooling and projection; SigLIP's attention pool and an MLP head run as our own float32 copies of the modules."""
    trunk = visual.trunk
    lead, kind, before = trunk.num_prefix_tokens, trunk.global_pool, not isinstance(trunk.norm, nn.Identity)
    pool = copy.deepcopy(trunk.attn_pool).float().eval().requires_grad_(False) if kind == "map" else None
    mlp = copy.deepcopy(visual.head).float().eval().requires_grad_(False) if hasattr(visual.head, "mlp") else None
    own = {} if pool is None else {f"image.weights.pool.{re.sub(r'[.]weight$', '', n)}": n for n, _ in pool.named_parameters()}
    weights = {} if pool is None else {f"image.weights.pool.{re.sub(r'[.]weight$', '', n)}": p.detach() for n, p in pool.named_parameters()}
    eps = getattr(norm, "eps", 1e-5)

    def project(s: Session, x: Tensor) -> Tensor:
        x = s.linear("image.weights.proj", x) if s.w("image.weights.proj") is not None else x
        return x if mlp is None else mlp(x)

    def head(s: Session, x: Tensor, tokens: bool) -> tuple[Tensor, Tensor | None]:
        y = s.norm("image.weights.ln_post", x, eps) if before else x
        if pool is not None:
            edited = {n: s.w(c) for c, n in own.items() if s.edits(c)}
            pooled = functional_call(pool, edited, (y,)) if edited else pool(y)
        else:
            pooled = y[:, 0] if kind == "token" else y[:, lead:].mean(1)
        pooled = pooled if before else s.norm("image.weights.ln_post", pooled, eps)
        local = y[:, lead:] if before else s.norm("image.weights.ln_post", y[:, lead:], eps)
        return project(s, pooled), project(s, local) if tokens else None

    return head, weights
