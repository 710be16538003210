"""Small open_clip models with filled weights, for tests that compare with plain formulations."""

from typing import Any

from open_clip.model import CLIP
from torch import nn

from tests.golden import fill, harness

RESNET = {**fill.VIT, "vision_cfg": {"image_size": 128, "layers": [1, 1, 1, 1], "width": 8, "head_width": 64}}
NAMES = ("cat", "golden retriever", "air plane", "t-shirt", "Boeing 737")


def pair(kind: str, seed: int = 0, **other: Any) -> tuple[nn.Module, Any]:
    """(open_clip model, the same as a promptlab backbone) of the kind "vit" or "resnet"."""
    model = fill.fill(CLIP(**{**(fill.VIT if kind == "vit" else RESNET), **other}).eval(), seed)
    return model, harness.wrap(model)
