"""Test transform, random crops and distorted views; equal to torchvision's on Pillow images, and a function of (view, row) alone."""

import math
from collections.abc import Sequence
from random import Random

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from promptlab.data.augmix import augmix
from promptlab.data.batch import Batch, PixelSpec, View
from promptlab.data.randaugment import randaugment

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR, "nearest": Image.Resampling.NEAREST}
RATIO = (3 / 4, 4 / 3)


def test_view(image: Image.Image, spec: PixelSpec) -> Image.Image:
    """"crop": shorter side to ``spec.size``, then the centre square; "squash": straight to the square."""
    size, how = spec.size, FILTERS[spec.interpolation]
    if spec.fit == "squash":
        return image.resize((size, size), how)
    w, h = image.size
    w, h = (size, int(size * h / w)) if w <= h else (int(size * w / h), size)
    image = image if image.size == (w, h) else image.resize((w, h), how)
    left, top = round((w - size) / 2), round((h - size) / 2)
    return image.crop((left, top, left + size, top + size))


test_view.__test__ = False  # not a pytest function


def crop_box(width: int, height: int, scale: float, rng: Random) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of RandomResizedCrop: area share uniform in [scale, 1], log aspect uniform in 3/4..4/3;
    after ten misfits the largest centred box within the aspects."""
    for _ in range(10):
        area = width * height * rng.uniform(scale, 1.0)
        aspect = math.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = rng.randint(0, width - w), rng.randint(0, height - h)
            return left, top, left + w, top + h
    w, h = width, height
    if width / height < RATIO[0]:
        h = max(1, round(width / RATIO[0]))
    elif width / height > RATIO[1]:
        w = max(1, round(height * RATIO[1]))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def generator(view: View, row: int) -> Random:
    """The random numbers of one view of one picture; a string seed is hashed the same way on every machine."""
    return Random(f"{view.seed}/{row}/{view.index}")


def train_view(image: Image.Image, spec: PixelSpec, view: View, rng: Random) -> Image.Image:
    """Random crop resized to the square, mirrored half of the time."""
    box = crop_box(*image.size, view.crop_scale, rng)
    image = image.crop(box).resize((spec.size, spec.size), FILTERS[spec.interpolation])
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if view.flip and rng.random() < 0.5 else image


def render(image: Image.Image, spec: PixelSpec, view: View, row: int) -> np.ndarray:
    """One view of one picture: uint8 [S, S, 3], or float32 where distorted versions were mixed."""
    if view.index == 0:
        return np.asarray(test_view(image, spec))
    rng = generator(view, row)
    if view.randaugment:
        return np.asarray(randaugment(image.convert("RGB").resize((spec.size, spec.size), FILTERS[spec.interpolation]), rng))
    crop = train_view(image, spec, view, rng)
    return augmix(crop, rng) if view.augmix else np.asarray(crop)


def to_pixels(views: Sequence[np.ndarray], spec: PixelSpec) -> Tensor:
    """Views [S, S, 3] of 0..255 to normalised float32 pixels [B, 3, S, S].

    In numpy, and by a table for whole numbers: torch would wake all its threads for an amount of work that one does sooner.
    """
    mean, std = (np.asarray(v, dtype=np.float32) for v in (spec.mean, spec.std))
    stack = np.stack(views)
    if stack.dtype != np.uint8:
        return torch.from_numpy(np.ascontiguousarray(((stack / np.float32(255) - mean) / std).transpose(0, 3, 1, 2)))
    table = (np.arange(256, dtype=np.float32)[:, None] / np.float32(255) - mean) / std
    out = np.empty((len(stack), 3, *stack.shape[1:3]), dtype=np.float32)
    for channel in range(3):
        np.take(table[:, channel], stack[..., channel], out=out[:, channel])
    return torch.from_numpy(out)


def to_bytes(pixels: Tensor, spec: PixelSpec) -> np.ndarray:
    """Normalised pixels [3, H, W] back to uint8 [H, W, 3], for display."""
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (spec.mean, spec.std))
    return ((pixels.detach().cpu().float() * std + mean) * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


def views(batch: Batch, n: int, spec: PixelSpec, *, seed: int = 0, crop_scale: float = 0.08, augmix: bool = False) -> Tensor:
    """``n`` views [n, 3, S, S] of the one picture of ``batch``: index 0 is the test transform, the others random crops.

    A source that holds normalised pixels only is cropped from those.
    """
    (row,) = batch.rows
    plain = batch.with_view(View()).pixels(spec)
    drawn = [View(i, crop_scale, True, seed, augmix) for i in range(1, n)]
    if hasattr(batch.source, "image"):
        return torch.cat([plain, *(batch.with_view(v).pixels(spec) for v in drawn)])
    image = Image.fromarray(to_bytes(plain[0], spec))
    spec = PixelSpec(plain.shape[-1], spec.mean, spec.std, spec.fit, spec.interpolation)
    return torch.cat([plain, to_pixels([render(image, spec, v, row) for v in drawn], spec).to(plain.device)]) if drawn else plain
