"""The sprites: pictures of things with names and taxonomy, cut from the shipped atlas."""

import json
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from promptlab.assets import asset


@dataclass(frozen=True)
class Atlas:
    """N sprites. `art` is uint8 [N, 4, 64, 64], red-green-blue premultiplied by alpha, then alpha; lists are in the same order."""

    art: Tensor
    names: list[str]
    groups: list[str]
    subgroups: list[str]
    held_out: list[bool]

    def index(self, name: str) -> int:
        """The sprite of a name (ValueError if there is none)."""
        return self.names.index(name)

    def of(self, *, group: str | None = None, subgroup: str | None = None) -> list[int]:
        """Sprites whose group and subgroup start with the given words."""
        return [i for i in range(len(self.names))
                if self.groups[i].startswith(group or "") and self.subgroups[i].startswith(subgroup or "")]

    @property
    def seen(self) -> list[int]:
        """Sprites that pretraining may show."""
        return [i for i, out in enumerate(self.held_out) if not out]

    @property
    def unseen(self) -> list[int]:
        """Sprites that pretraining never shows."""
        return [i for i, out in enumerate(self.held_out) if out]


@lru_cache(maxsize=1)
def load_atlas() -> Atlas:
    """Read `sprites.webp` and `sprites.json` once per process."""
    table = json.loads(asset("sprites.json").read_text(encoding="utf-8"))
    cell, columns, entries = table["cell"], table["columns"], table["sprites"]
    with Image.open(asset("sprites.webp")) as image:
        sheet = np.asarray(image.convert("RGBA")).astype(np.uint16)
    sheet[..., :3] = sheet[..., :3] * sheet[..., 3:] // 255
    cells = [sheet[cell * (i // columns):, cell * (i % columns):][:cell, :cell] for i in range(len(entries))]
    art = torch.from_numpy(np.stack(cells).astype(np.uint8)).permute(0, 3, 1, 2).contiguous()
    return Atlas(art, [e["name"] for e in entries], [e["group"] for e in entries], [e["subgroup"] for e in entries],
                 [e["held_out"] for e in entries])
