"""Backbones as the command line names them."""

from typing import Any


def load_backbone(spec: str, device: str = "auto") -> Any:
    """``pocket``, ``NAME`` or ``NAME:TAG`` (``ViT-B-16:openai``; the tag may be the path of a checkpoint)."""
    from promptlab.backbones.load import load

    name, _, tag = spec.partition(":")
    return load(name, tag or None, device=device)
