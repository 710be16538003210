"""Names, tags, checkpoint files and models in hand → a frozen :class:`Clip`."""

import copy
from collections.abc import Callable
from typing import Any

import open_clip
import torch
from torch import Tensor, nn

from promptlab.backbones.clip import Clip
from promptlab.backbones.families.native_text import open_native_text
from promptlab.backbones.families.native_vit import open_native_vit
from promptlab.backbones.families.resnet import open_resnet
from promptlab.backbones.families.timm_vit import open_timm_vit
from promptlab.backbones.tower import Opaque, OpaqueText
from promptlab.backbones.words import Words
from promptlab.data.batch import PixelSpec

CLIP_MEAN, CLIP_STD = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD


def wrap(model: nn.Module, tokenizer: Callable | None = None, preprocess: PixelSpec | None = None, name: str = "wrapped", *,
         tag: str | None = None, device: Any = None, dtype: Any = None, **options: Any) -> Clip:
    """A backbone over an open_clip model that you hold; its weights are shared, never written to, and need no gradient.

    ``tokenizer``: open_clip's CLIP tokenizer if left out. ``preprocess``: a :class:`PixelSpec`, or open_clip's transform, or CLIP's own
    mean and std at the model's size. ``device`` and ``dtype``: the model's own if left out.
    """
    weight = next(model.parameters())
    device = torch.device(device) if device is not None else weight.device
    dtype = as_dtype(dtype) if dtype is not None else weight.dtype
    if device != weight.device:
        model = copy.deepcopy(model).to(device)
    text = getattr(model, "text", model)
    spec = _spec(model.visual, preprocess)
    length = getattr(model, "context_length", None) or getattr(text, "context_length", 77)
    scale = model.logit_scale.detach().float().exp().reshape(())
    bias = getattr(model, "logit_bias", None)
    bias = torch.zeros((), device=device) if bias is None else bias.detach().float().reshape(())
    words = Words(tokenizer or open_clip.SimpleTokenizer(context_length=length), length)
    return Clip(name, _image(model, spec, dtype), _text(model, text, dtype), words, spec, scale=scale, bias=bias,
                device=device, dtype=dtype, tag=tag, **options)


def as_dtype(dtype: Any) -> torch.dtype:
    """"bfloat16" or torch.bfloat16 → torch.bfloat16."""
    return getattr(torch, dtype) if isinstance(dtype, str) else dtype


def _spec(visual: nn.Module, preprocess: Any) -> PixelSpec:
    if isinstance(preprocess, PixelSpec):
        return preprocess
    size = visual.image_size[0] if isinstance(visual.image_size, (tuple, list)) else visual.image_size
    mean, std = CLIP_MEAN, CLIP_STD
    for step in getattr(preprocess, "transforms", ()):
        if hasattr(step, "mean") and hasattr(step, "std"):
            mean, std = tuple(step.mean), tuple(step.std)
    return PixelSpec(size, mean, std)


def _image(model: nn.Module, spec: PixelSpec, dtype: torch.dtype) -> Any:
    visual = model.visual
    if hasattr(visual, "attnpool"):
        return open_resnet(_frozen(visual, dtype), dtype)
    tower = open_native_vit(visual, dtype) if hasattr(visual, "class_embedding") else open_timm_vit(visual, dtype)
    return tower or Opaque(_frozen(visual, dtype), (spec.size, spec.size), getattr(visual, "output_dim", 0), dtype)


def _text(model: nn.Module, text: nn.Module, dtype: torch.dtype) -> Any:
    pool = getattr(text, "pool_type", None) or getattr(model, "text_pool_type", "")
    tower = open_native_text(text, pool, dtype) if hasattr(text, "token_embedding") else None
    if tower is not None:
        return tower
    frozen = _frozen(model, dtype)
    return OpaqueText(frozen, frozen.encode_text, getattr(text, "width", 0))


def _frozen(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy that we own: evaluation mode, no gradients, so that the user's module stays as it is."""
    return copy.deepcopy(module).eval().requires_grad_(False).to(dtype)
