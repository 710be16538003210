"""Image encoders that know no text: any timm model as a function of pixels, for methods that add a second encoder."""

from functools import lru_cache

import torch
from torch import nn

from promptlab.errors import BackboneLacks


@lru_cache(maxsize=64)
def features_of(name: str) -> int:
    """Width of the pooled features of a timm model; nothing is downloaded."""
    with torch.device("meta"):
        return _create(name, False).num_features


@lru_cache(maxsize=2)
def image_encoder(name: str) -> nn.Module:
    """A timm model with its pretrained weights and no classifier: pixels [B, 3, S, S] (ImageNet's mean and deviation) → [B, D]."""
    try:
        return _create(name, True).eval().requires_grad_(False)
    except BackboneLacks:
        raise
    except Exception as e:  # timm and its hub raise many kinds: no network, no weights, a broken file
        raise BackboneLacks(f"the weights of {name} could not be had ({type(e).__name__}); download them once with a network, or use "
                            f"encoder='world-ssl'.") from e


def _create(name: str, pretrained: bool) -> nn.Module:
    import timm

    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name[:5]}*")[:3]) or "resnet50, vit_small_patch14_dinov2"
        raise BackboneLacks(f"timm has no model '{name}'; it has {near}.")
    return timm.create_model(name, pretrained=pretrained, num_classes=0)
