"""What is in a picture: `Plan` says it in numbers before drawing, `Scene` holds the drawn pictures with their ground truth."""

from dataclasses import dataclass

import torch
from torch import Tensor

COLOURS = {
    "red": (0.84, 0.16, 0.16), "orange": (0.96, 0.55, 0.12), "yellow": (0.97, 0.86, 0.22), "green": (0.20, 0.62, 0.24),
    "blue": (0.16, 0.34, 0.80), "purple": (0.50, 0.22, 0.66), "pink": (0.96, 0.60, 0.74), "brown": (0.48, 0.31, 0.18),
    "teal": (0.10, 0.58, 0.60), "white": (0.96, 0.96, 0.95), "gray": (0.52, 0.52, 0.54), "black": (0.09, 0.09, 0.10),
}
PATTERNS = ["plain", "striped", "dotted", "checkered", "noisy", "gradient"]
SEEN_STYLES = ["photo", "poster", "blurry", "night", "foggy", "vintage"]
UNSEEN_STYLES = ["pixel-art", "sketch", "grayscale", "embroidery", "thermal"]
STYLES = SEEN_STYLES + UNSEEN_STYLES
MAX_OBJECTS = 4
DRAWS = 48  # uniform numbers per picture: everything random about it is a function of them


@dataclass
class Plan:
    """B pictures before drawing. `draws` float [B, DRAWS] in [0, 1); the rest are indices: `objects` [B, 4] (-1 where there is none)
    into the atlas, `style`, `pattern`, `colour` [B] into STYLES, PATTERNS, COLOURS."""

    draws: Tensor
    objects: Tensor
    style: Tensor
    pattern: Tensor
    colour: Tensor

    @property
    def count(self) -> Tensor:
        """Objects per picture [B]."""
        return (self.objects >= 0).sum(1)

    def to(self, device: torch.device | str) -> "Plan":
        """The same plan on another device."""
        return Plan(*(t.to(device) for t in (self.draws, self.objects, self.style, self.pattern, self.colour)))


@dataclass
class Scene:
    """B drawn pictures and their truth.

    pixels uint8 [B, 3, S, S]; objects [B, 4] atlas indices or -1; mask bool [B, 4, S, S] visible pixels of each object;
    box float [B, 4, 4] left, top, right, bottom in pixels (zeros where there is none); size [B, 4] side of each object as a share of
    the picture; brightness [B] 0 dark .. 1 bright as set; labels: class index [B] (single), {0,1} [B, C] (multi) or class map
    [B, S, S] with 0 background and c + 1 class c (dense), -1 where a task gives none.
    """

    pixels: Tensor
    labels: Tensor
    objects: Tensor
    mask: Tensor
    box: Tensor
    size: Tensor
    brightness: Tensor
    names: list[list[str]]
    groups: list[list[str]]
    subgroups: list[list[str]]
    colours: list[str]
    patterns: list[str]
    styles: list[str]
    counts: list[int]
    captions: list[str]

    def __len__(self) -> int:
        return len(self.pixels)


def boxes(mask: Tensor) -> Tensor:
    """Tight boxes [B, K, 4] (left, top, right, bottom; right and bottom exclusive) of masks [B, K, S, S]; zeros where empty."""
    side = mask.shape[-1]
    place = torch.arange(side, device=mask.device)
    ends = []
    for axis in (-2, -1):  # any over rows gives columns, and the other way round
        hit = mask.any(axis)
        ends.append((torch.where(hit, place, side).amin(-1), torch.where(hit, place + 1, 0).amax(-1)))
    (left, right), (top, bottom) = ends
    return torch.stack([left, top, right, bottom], -1) * mask.flatten(2).any(-1, keepdim=True)
