"""Names, tags, checkpoint files and models in hand → a frozen :class:`Clip`."""

import copy
from collections.abc import Callable
from typing import Any

import open_clip
import torch
from torch import nn

from promptlab.backbones.checkpoint import Found, find
from promptlab.backbones.clip import Clip
from promptlab.backbones.families.native_text import open_native_text
from promptlab.backbones.families.native_vit import open_native_vit
from promptlab.backbones.families.resnet import open_resnet
from promptlab.backbones.families.timm_vit import open_timm_vit
from promptlab.backbones.pocket import POCKET_MEAN, POCKET_STD, PocketTokenizer, load_pocket
from promptlab.backbones.tower import Opaque, OpaqueText
from promptlab.backbones.words import Words
from promptlab.data.batch import PixelSpec
from promptlab.errors import BackboneLacks

CLIP_MEAN, CLIP_STD = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD


def load(name: str, pretrained: str | None = None, device: Any = "auto", dtype: Any = "float32", **options: Any) -> Clip:
    """``load("pocket")`` offline; ``load("ViT-B-16", "openai")`` or ``load("ViT-B-16:openai")``: any open_clip name with one of its tags,
    a checkpoint file, or "random".

    ``device``: "auto" (CUDA if there is one), "cpu", "cuda", ... ``dtype``: what the frozen matrices are kept in and multiplied in
    ("float32", "bfloat16", "float16"); features, learnables and losses stay float32. Quick-GELU follows the tag.
    """
    device = pick_device(device)
    if pretrained is None and not name.startswith("hf-hub:"):
        name, pretrained = name.partition(":")[0], name.partition(":")[2] or None
    if name == "pocket":
        model = load_pocket(None if pretrained in (None, "default") else pretrained)
        length, size = model.context_length, model.visual.image_size
        spec = PixelSpec(size[0] if isinstance(size, tuple) else size, POCKET_MEAN, POCKET_STD)
        found, tag = Found(model, PocketTokenizer(context_length=length), {}), pretrained
    else:
        found, spec, tag = find(name, pretrained), None, pretrained
    model = found.model.requires_grad_(False).to(device)
    clip = wrap(model, found.tokenizer, spec or _tagged_spec(model, found.preprocess), name, tag=tag, dtype=dtype, **options)
    if name != "pocket":
        self_check(clip, model)
    return clip


def pick_device(device: Any) -> torch.device:
    """"auto" → CUDA if there is one, else the CPU; :class:`BackboneLacks` for a device that is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BackboneLacks("device 'cuda' was asked for, but torch sees no CUDA device here; use device='auto' or 'cpu'.")
    return device


@torch.no_grad()
def self_check(clip: Clip, model: nn.Module) -> None:
    """One picture through our walk and through open_clip's own code: a family that we read wrongly is refused, not used."""
    x = torch.linspace(-2, 2, 3 * clip.spec.size**2, device=clip.device).sin().reshape(1, 3, clip.spec.size, clip.spec.size)
    ids = clip.tokenize(["a photo of a cat."]).to(clip.device)
    pairs = [(clip.encode_image(x).pooled, model.encode_image(x)), (clip.encode_text(["a photo of a cat."]).pooled, model.encode_text(ids))]
    limit = 1e-3 if clip.dtype == torch.float32 else 0.1
    if any(float((ours - theirs.float()).norm()) > limit * float(theirs.float().norm()) for ours, theirs in pairs):
        raise BackboneLacks(f"the towers of {clip.name} do something in this open_clip version that promptlab does not know; report it.")


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


def _tagged_spec(model: nn.Module, tag: dict[str, Any]) -> PixelSpec:
    """Size from the model; mean, std and fit from the tag (CLIP's where it says nothing)."""
    size = model.visual.image_size
    side = size[0] if isinstance(size, (tuple, list)) else size
    fit = "squash" if tag.get("resize_mode") == "squash" else "crop"
    return PixelSpec(side, tuple(tag.get("mean", CLIP_MEAN)), tuple(tag.get("std", CLIP_STD)), fit, tag.get("interpolation", "bicubic"))


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
