"""Pictures with a heat map over them, as data URIs, and a before/after slider that the keyboard can move."""

import base64
import io

import numpy as np
from PIL import Image

from promptlab.ui.pieces import t

STOPS = np.array([[0, 32, 77], [64, 77, 107], [124, 123, 120], [186, 174, 107], [255, 234, 70]], float)  # dark blue to yellow
SIDE = 288


def overlay(picture: np.ndarray, heat: np.ndarray, low: float, high: float) -> str:
    """``picture`` [H, W, 3] in 0..1 under ``heat`` [h, w]; cells are not smoothed, so no value is invented between patches."""
    base = Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    share = np.clip((heat - low) / max(high - low, 1e-12), 0, 1)
    at = share * (len(STOPS) - 1)
    i = np.minimum(at.astype(int), len(STOPS) - 2)
    colours = STOPS[i] + (at - i)[..., None] * (STOPS[i + 1] - STOPS[i])
    over = Image.fromarray(colours.astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    return uri(Image.blend(base, over, 0.55))


def uri(image: Image.Image) -> str:
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def plain(picture: np.ndarray) -> str:
    return uri(Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def slider(before: str, after: str, left: str, right: str) -> str:
    """Two pictures on top of each other, parted by a line that a range input moves."""
    return (
        f"<div class='pl-split' style='--at:50%'><img src='{before}' alt='{t(left)}'><img class='pl-over' src='{after}' alt='{t(right)}'>"
        f"<span class='pl-tag pl-l'>{t(left)}</span><span class='pl-tag pl-r'>{t(right)}</span>"
        f"<input type='range' min='0' max='100' value='50' data-split='1' aria-label='{t(left)} to {t(right)}'></div>"
    )
