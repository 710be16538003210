"""AugMix at severity 1, as TPT uses it: three chains of one to three distortions, mixed with weights that sum to one.

x' = m x + (1 - m) sum_i w_i chain_i(x), w ~ Dirichlet(1, 1, 1), m ~ Beta(1, 1). Mixing normalised pixels, as TPT does, and
normalising mixed pixels, as here, are the same, because the weights sum to one.
Source: Hendrycks et al., AugMix, ICLR 2020; ``azshue/TPT: data/augmix_ops.py, data/datautils.py``.
"""

from random import Random

import numpy as np
from PIL import Image, ImageOps

CHAINS = 3
# an operation's strength is level · largest / 10 with level uniform in [0.1, severity]; severity is 1
ROTATE, SHEAR, TRANSLATE, SOLARISE, POSTERISE = 30, 0.3, 1 / 3, 256, 4


def _level(rng: Random, largest: float) -> float:
    return rng.uniform(0.1, 1.0) * largest / 10


def _sign(rng: Random) -> int:
    return -1 if rng.random() > 0.5 else 1


def _affine(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, resample=Image.Resampling.BILINEAR)


def autocontrast(image: Image.Image, rng: Random) -> Image.Image:
    return ImageOps.autocontrast(image)


def equalise(image: Image.Image, rng: Random) -> Image.Image:
    return ImageOps.equalize(image)


def posterise(image: Image.Image, rng: Random) -> Image.Image:
    return ImageOps.posterize(image, POSTERISE - int(_level(rng, POSTERISE)))


def rotate(image: Image.Image, rng: Random) -> Image.Image:
    return image.rotate(_sign(rng) * int(_level(rng, ROTATE)), resample=Image.Resampling.BILINEAR)


def solarise(image: Image.Image, rng: Random) -> Image.Image:
    return ImageOps.solarize(image, SOLARISE - int(_level(rng, SOLARISE)))


def shear_x(image: Image.Image, rng: Random) -> Image.Image:
    return _affine(image, (1, _sign(rng) * _level(rng, SHEAR), 0, 0, 1, 0))


def shear_y(image: Image.Image, rng: Random) -> Image.Image:
    return _affine(image, (1, 0, 0, _sign(rng) * _level(rng, SHEAR), 1, 0))


def translate_x(image: Image.Image, rng: Random) -> Image.Image:
    return _affine(image, (1, 0, _sign(rng) * int(_level(rng, image.width * TRANSLATE)), 0, 1, 0))


def translate_y(image: Image.Image, rng: Random) -> Image.Image:
    return _affine(image, (1, 0, 0, 0, 1, _sign(rng) * int(_level(rng, image.height * TRANSLATE))))


OPERATIONS = (autocontrast, equalise, posterise, rotate, solarise, shear_x, shear_y, translate_x, translate_y)


def augmix(image: Image.Image, rng: Random) -> np.ndarray:
    """The mixture [S, S, 3], float32 in 0..255."""
    drawn = [rng.expovariate(1.0) for _ in range(CHAINS)]  # normalised exponentials are Dirichlet(1, 1, 1)
    keep = rng.random()
    plain = np.asarray(image, dtype=np.float32)
    mixed = np.zeros_like(plain)
    for weight in drawn:
        chain = image
        for _ in range(rng.randint(1, 3)):
            chain = rng.choice(OPERATIONS)(chain, rng)
        mixed += weight / sum(drawn) * np.asarray(chain, dtype=np.float32)
    return (keep * plain + (1 - keep) * mixed).astype(np.float32)
