"""Weights, pictures and named tensors of the golden cases, made from names and seeds so that none has to be stored.

Every generator is NumPy's legacy ``RandomState`` (its stream is frozen by NumPy's promise), seeded by the CRC-32 of a name.
"""

import math
import zlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

VIT = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 64, "layers": 3, "width": 128, "head_width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 3},
    "quick_gelu": True,
}
"""open_clip's constructor arguments of the backbone kind "vit"."""


def _stream(name: str, seed: int) -> np.random.RandomState:
    return np.random.RandomState((zlib.crc32(name.encode()) + seed) % 2**32)


def _recipe(name: str, shape: tuple[int, ...]) -> tuple[float, float, float]:
    """(mean, factor, divisor): a weight is ``mean + factor * normal / divisor``."""
    if name.endswith("logit_scale"):
        return math.log(20.0), 0.0, 1.0
    if "running_var" in name:
        return 1.0, 0.1, 1.0
    if "running_mean" in name:
        return 0.0, 0.1, 1.0
    if name.endswith("weight") and len(shape) == 1:  # gain of a layer or batch norm
        return 1.0, 0.1, 1.0
    if name.endswith("bias"):
        return 0.0, 0.05, 1.0
    if "embedding" in name or len(shape) < 2:
        return 0.0, 0.1, 1.0
    inputs = shape[0] if name.endswith(("proj", "projection")) else math.prod(shape[1:])  # x @ proj, but w @ x elsewhere
    return 0.0, 1.0, math.sqrt(inputs)


def fill(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every floating entry of the module's state a value that depends on its name, its shape and ``seed`` only."""
    for name, entry in module.state_dict().items():
        if entry.is_floating_point():
            shape = tuple(entry.shape)
            noise = _stream(name, seed).standard_normal(shape or (1,)).reshape(shape)
            noise = np.abs(noise) if "running_var" in name else noise  # a variance grows from one
            mean, factor, divisor = _recipe(name, shape)
            entry.data.copy_(torch.from_numpy(np.asarray(mean + factor * noise / divisor, dtype=np.float32)))
    return module


def images(batch: int, size: int, seed: int = 0) -> Tensor:
    """Normalised pictures [B, 3, size, size]: an 8 x 8 mosaic of random colours under fine noise."""
    rng = np.random.RandomState(1000 + seed)
    mosaic = torch.from_numpy(rng.standard_normal((batch, 3, 8, 8)).astype(np.float32))
    grain = torch.from_numpy(rng.standard_normal((batch, 3, size, size)).astype(np.float32))
    return F.interpolate(mosaic, size=(size, size), mode="nearest") + 0.3 * grain


def tensor(name: str, shape: tuple[int, ...], scale: float = 0.02, seed: int = 0) -> Tensor:
    """A float32 tensor of normal draws times ``scale``, fixed by its name."""
    return torch.from_numpy((scale * _stream(name, seed).standard_normal(tuple(shape))).astype(np.float32))
