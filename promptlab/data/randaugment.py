"""RandAugment: two of sixteen distortions, drawn with replacement, at one fixed strength.

Source: Cubuk et al., RandAugment, NeurIPS 2020, arXiv:1909.13719; operations, ranges and strength (10 of 30) as in
``KaiyangZhou/Dassl.pytorch: dassl/data/transforms/randaugment.py``, whose lengths in px are of a picture of 224.
"""

from collections.abc import Callable
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

STRENGTH = 10 / 30
COUNT = 2
GREY = (125, 123, 114)  # mean colour of ImageNet, what is cut out
Operation = Callable[[Image.Image, Random], Image.Image]


def _moved(matrix: Callable[[float, Image.Image], tuple[float, ...]], largest: float) -> Operation:
    """An affine map of strength v, to either side."""
    def run(image: Image.Image, rng: Random) -> Image.Image:
        v = STRENGTH * largest * (-1 if rng.random() > 0.5 else 1)
        return image.transform(image.size, Image.Transform.AFFINE, matrix(v, image))
    return run


def _rotate(image: Image.Image, rng: Random) -> Image.Image:
    return image.rotate(STRENGTH * 30 * (-1 if rng.random() > 0.5 else 1))


def _solarise_add(image: Image.Image, rng: Random) -> Image.Image:
    lighter = np.clip(np.asarray(image).astype(int) + int(STRENGTH * 110), 0, 255).astype(np.uint8)
    return ImageOps.solarize(Image.fromarray(lighter), 128)


def _cut_out(image: Image.Image, rng: Random) -> Image.Image:
    side = STRENGTH * 40 * image.width / 224
    x, y = (int(max(0, rng.uniform(0, n) - side / 2)) for n in image.size)
    image = image.copy()
    ImageDraw.Draw(image).rectangle((x, y, min(image.width, x + side), min(image.height, y + side)), GREY)
    return image


def _enhanced(kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> Operation:
    return lambda image, rng: kind(image).enhance(0.1 + STRENGTH * 1.8)


OPERATIONS: tuple[Operation, ...] = (
    lambda image, rng: ImageOps.autocontrast(image),
    lambda image, rng: ImageOps.equalize(image),
    lambda image, rng: ImageOps.invert(image),
    lambda image, rng: ImageOps.posterize(image, int(4 + STRENGTH * 4)),
    lambda image, rng: ImageOps.solarize(image, STRENGTH * 256),
    _solarise_add, _rotate, _cut_out,
    *(_enhanced(k) for k in (ImageEnhance.Color, ImageEnhance.Contrast, ImageEnhance.Brightness, ImageEnhance.Sharpness)),
    _moved(lambda v, image: (1, v, 0, 0, 1, 0), 0.3),
    _moved(lambda v, image: (1, 0, 0, v, 1, 0), 0.3),
    _moved(lambda v, image: (1, 0, v * image.width / 224, 0, 1, 0), 100),
    _moved(lambda v, image: (1, 0, 0, 0, 1, v * image.height / 224), 100),
)


def randaugment(image: Image.Image, rng: Random) -> Image.Image:
    """The distorted picture, of the same size."""
    for operation in rng.choices(OPERATIONS, k=COUNT):
        image = operation(image, rng)
    return image
