"""Small open_clip models in the classes of the large ones, and a stand-in for the attention class of newer open_clip releases."""

import open_clip
import timm
import torch
import torch.nn.functional as F
from open_clip import timm_model
from torch import Tensor, nn

from promptlab.backbones.tiny import fill

TEXT = {"context_length": 24, "vocab_size": 49408, "width": 48, "heads": 3, "layers": 3}
VISION = {"image_size": 32, "patch_size": 8, "width": 64, "layers": 3, "head_width": 16}
SIGLIP = {"context_length": 16, "vocab_size": 4700, "width": 48, "heads": 3, "layers": 2, "no_causal_mask": True, "proj_bias": True,
          "pool_type": "last", "norm_kwargs": {"eps": 1e-6}, "act_kwargs": {"approximate": "tanh"}}


def vit(text: dict | None = None, quick_gelu: bool = True, **vision) -> nn.Module:
    """A native ViT CLIP."""
    return fill(open_clip.CLIP(32, {**VISION, **vision}, {**TEXT, **(text or {})}, quick_gelu=quick_gelu)).eval()


def resnet() -> nn.Module:
    """A ModifiedResNet CLIP."""
    return fill(open_clip.CLIP(32, {"image_size": 64, "layers": (1, 2, 1, 1), "width": 8}, TEXT, quick_gelu=True)).eval()


def timm_clip(monkeypatch, name: str, pool: str, proj: str, **rest) -> nn.Module:
    """A CLIP over a small version of a timm ViT."""
    make = timm.create_model
    with monkeypatch.context() as m:
        small = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3}
        m.setattr(timm_model.timm, "create_model", lambda n, **kw: make(n, **small, **kw))
        vision = {"image_size": 32, "timm_model_name": name, "timm_pool": pool, "timm_proj": proj}
        custom = "init_logit_bias" in rest
        make_clip = open_clip.CustomTextCLIP if custom else open_clip.CLIP
        return fill(make_clip(48 if custom else 32, vision, SIGLIP if custom else TEXT, **rest)).eval()


def siglip(monkeypatch) -> nn.Module:
    """SigLIP's shape: attention pooling, bidirectional text, last token, logit bias."""
    return timm_clip(monkeypatch, "vit_base_patch16_siglip_224", "map", "none", init_logit_bias=-3.0)


class SiglipTokenizer:
    """Stands for a sentencepiece tokenizer: no start token, end and padding share an id."""

    class tokenizer:
        eos_token_id, pad_token_id = 1, 1

    def encode(self, text: str) -> list[int]:
        return [10 + sum(map(ord, word)) % 4000 for word in text.split()]


class OwnAttention(nn.Module):
    """The same four attributes as nn.MultiheadAttention and none of its code."""

    def __init__(self, old: nn.MultiheadAttention):
        super().__init__()
        self.in_proj_weight, self.in_proj_bias = old.in_proj_weight, old.in_proj_bias
        self.out_proj, self.num_heads = old.out_proj, old.num_heads

    def forward(self, x: Tensor, k: Tensor, v: Tensor, need_weights: bool = False, attn_mask: Tensor | None = None) -> tuple[Tensor, None]:
        q, k, v = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        q, k, v = (t.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for t in (q, k, v))
        return self.out_proj(F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask).transpose(1, 2).flatten(2)), None


def own_attention(model: nn.Module) -> nn.Module:
    """Put :class:`OwnAttention` in place of every attention of a native model."""
    for blocks in (model.visual.transformer.resblocks, model.transformer.resblocks):
        for block in blocks:
            block.attn = OwnAttention(block.attn)
    return model


def images(n: int = 3, size: int = 32, seed: int = 0) -> Tensor:
    """Normalised noise [n, 3, size, size]."""
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def close(a: Tensor, b: Tensor, limit: float = 1e-5) -> bool:
    """Largest difference within ``limit`` of the largest entry."""
    return float((a - b).detach().abs().max()) <= limit * float(b.detach().abs().max())
