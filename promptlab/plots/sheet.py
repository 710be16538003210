"""A contact sheet: many small pictures on one, with a caption under each."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CAPTION = 19
GAP = 6


def contact_sheet(pictures: Sequence[np.ndarray], captions: Sequence[str], *, columns: int = 8, side: int = 96) -> Image.Image:
    """``pictures``: uint8 [H, W, 3] each (any size); every one is fitted into a square of ``side`` px, row by row."""
    columns = max(1, min(columns, len(pictures)))
    rows = -(-len(pictures) // columns)
    cell_w, cell_h = side + GAP, side + CAPTION + GAP
    sheet = Image.new("RGB", (columns * cell_w + GAP, rows * cell_h + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        x, y = GAP + (i % columns) * cell_w, GAP + (i // columns) * cell_h
        sheet.paste(_square(picture, side), (x, y))
        draw.text((x + side / 2, y + side + 2), _fit(caption, font, side), fill=(70, 75, 85), font=font, anchor="ma")
    return sheet


def _square(picture: np.ndarray, side: int) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(picture))
    scale = side / max(image.size)
    small = scale > 1  # pixel pictures stay crisp
    image = image.resize([max(1, round(s * scale)) for s in image.size], Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS)
    square = Image.new("RGB", (side, side), "white")
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def _fit(text: str, font: ImageFont.ImageFont, width: int) -> str:
    """The caption, cut to the width of its picture."""
    while len(text) > 1 and font.getlength(text) > width + GAP:
        text = text[:-2].rstrip() + "…"
    return text
