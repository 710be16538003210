"""Zero-shot accuracy of a CLIP on the picture world."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.world.atlas import Atlas
from promptlab.world.captions import TEMPLATES
from promptlab.world.draw import draw
from promptlab.world.sampler import random_plan
from promptlab.world.scene import MAX_OBJECTS, SEEN_STYLES, STYLES

MEAN, STD = 0.5, 0.25


def name_features(encode: Callable[[list[str]], Tensor], names: list[str], templates: list[str] = TEMPLATES) -> Tensor:
    """Ensembled unit text features [C, E]: the mean over templates of unit features, made unit again."""
    total = 0.0
    for template in templates:
        texts = [template.format(name) for name in names]
        total = total + torch.cat([F.normalize(encode(texts[i:i + 128]).float(), dim=-1) for i in range(0, len(texts), 128)])
    return F.normalize(total, dim=-1)


def image_features(model: torch.nn.Module, pixels: Tensor) -> Tensor:
    """Unit image features [B, E] of uint8 pictures [B, 3, S, S]."""
    device = next(model.parameters()).device
    parts = [model.encode_image((p.to(device).float() / 255 - MEAN) / STD).float() for p in pixels.split(128)]
    return F.normalize(torch.cat(parts), dim=-1)


def name_pictures(atlas: Atlas, ids: list[int], style: str, seed: int, side: int = 64) -> Tensor:
    """One picture of each object alone in one style, uint8 [C, 3, S, S]; seeds here never meet those of pretraining."""
    objects = torch.full((len(ids), MAX_OBJECTS), -1)
    objects[:, 0] = torch.tensor(ids)
    generator = torch.Generator().manual_seed(-1 - seed)
    styles = torch.full((len(ids),), STYLES.index(style))
    return draw(random_plan(objects, styles, generator), atlas, side, truth=False)[0]


@torch.no_grad()
def quick_zero_shot(model: torch.nn.Module, encode: Callable[[list[str]], Tensor], atlas: Atlas, styles: list[str] = SEEN_STYLES,
                    repeats: int = 1, templates: list[str] = TEMPLATES[:3]) -> dict[str, float]:
    """Top-1 per style over all pretrained names, and over the held-out names among all names ("held-out names", photo style)."""
    text = name_features(encode, atlas.names, templates)
    seen = torch.tensor(atlas.seen, device=text.device)
    out = {}
    for style in styles:
        hits = []
        for r in range(repeats):
            x = image_features(model, name_pictures(atlas, atlas.seen, style, r))
            hits.append((x @ text[seen].T).argmax(1).cpu() == torch.arange(len(seen)))
        out[style] = round(100 * torch.cat(hits).float().mean().item(), 1)
    x = image_features(model, torch.cat([name_pictures(atlas, atlas.unseen, "photo", 100 + r) for r in range(4 * repeats)]))
    truth = torch.tensor(atlas.unseen * 4 * repeats)
    out["held-out names"] = round(100 * ((x @ text.T).argmax(1).cpu() == truth).float().mean().item(), 1)
    out["held-out names among themselves"] = round(
        100 * ((x @ text[torch.tensor(atlas.unseen)].T).argmax(1).cpu() == torch.arange(len(atlas.unseen)).repeat(4 * repeats)).float().mean().item(), 1)
    return out
