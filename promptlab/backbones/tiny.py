"""Backbones of a few thousand weights in the same open_clip classes as the real ones, for tests that take milliseconds."""

import math
import zlib
from functools import lru_cache
from typing import Any

import open_clip
import torch
from torch import nn

from promptlab.backbones.clip import Clip
from promptlab.backbones.load import wrap
from promptlab.backbones.pocket import MERGES, PocketTokenizer
from promptlab.errors import BadData

TEXT = {"context_length": 77, "vocab_size": 512 + MERGES + 2, "width": 32, "heads": 2, "layers": 3}
CONFIGS: dict[str, dict[str, Any]] = {
    "vit": {"vision_cfg": {"image_size": 32, "patch_size": 8, "width": 48, "head_width": 16, "layers": 3}, "quick_gelu": True},
    "resnet": {"vision_cfg": {"image_size": 64, "layers": (1, 1, 1, 1), "width": 8}},
    "timm": {"vision_cfg": {"image_size": 32, "timm_model_name": "test_vit", "timm_pool": "token", "timm_proj": "linear"}},
    "siglip": {"vision_cfg": {"image_size": 32, "timm_model_name": "test_vit4", "timm_pool": "map", "timm_proj": "none"}, "embed_dim": 96,
               "text_cfg": {**TEXT, "no_causal_mask": True, "pool_type": "last", "proj_bias": True}, "init_logit_bias": -2.0},
}


@lru_cache(maxsize=8)
def tiny_backbone(kind: str = "vit", seed: int = 0, device: str = "cpu", **vision: int) -> Clip:
    """A random backbone: "vit", "resnet", "timm" or "siglip"; equal arguments give the same object. ``vision`` overrides sizes."""
    if kind not in CONFIGS:
        raise BadData(f"there is no tiny backbone '{kind}'; the kinds are {', '.join(CONFIGS)}.")
    config = {"embed_dim": 24, "text_cfg": TEXT, **CONFIGS[kind]}
    config["vision_cfg"] = {**config["vision_cfg"], **vision}
    make = open_clip.CustomTextCLIP if kind in ("siglip", "timm") else open_clip.CLIP
    state = torch.get_rng_state()  # building draws random numbers; whoever asks for a tiny model must not notice
    model = fill(make(**config), seed).eval().to(device)
    torch.set_rng_state(state)
    return wrap(model, tokenizer=PocketTokenizer(), name=f"tiny-{kind}")


@torch.no_grad()
def fill(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights, a function of their names, scaled so that activations stay of order one and pictures and names stay apart."""
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        noise = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode()) + seed))
        tensor.copy_(_scaled(name, noise))
    return model


def _scaled(name: str, noise: torch.Tensor) -> torch.Tensor:
    if name.endswith("logit_scale"):
        return torch.full(noise.shape, math.log(20.0))
    if name.endswith("logit_bias"):
        return torch.full(noise.shape, -2.0)
    if "running_var" in name:
        return 1 + 0.1 * noise.abs()
    if noise.ndim == 1 and name.endswith("weight"):  # layer and batch norms
        return 1 + 0.1 * noise
    if noise.ndim >= 2 and "embedding" not in name and "pos_embed" not in name:
        fan_in = noise.shape[0] if name.endswith(("proj", "projection")) else noise[0].numel()
        return noise * math.sqrt((2 if noise.ndim == 4 else 1) / fan_in)  # a convolution is followed by a ReLU
    return (0.5 if "token_embedding" in name else 0.1) * noise


@lru_cache(maxsize=2)
def hollow_backbone(name: str = "ViT-B-16") -> Clip:
    """A backbone of full size whose weights were never written (the memory is not even touched): for counting learnables."""
    config = dict(open_clip.get_model_config(name))
    config.pop("custom_text", None)
    with torch.device("meta"):
        model = open_clip.CLIP(**config)
    model = model.to_empty(device="cpu").eval()
    with torch.no_grad():
        model.logit_scale.fill_(math.log(100.0))
    return wrap(model, name=f"hollow-{name}")
