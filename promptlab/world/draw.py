"""The renderer: torch only, batched, any device; a picture is a pure function of its row of the plan, whatever batch it is drawn in."""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.world.atlas import Atlas
from promptlab.world.scene import COLOURS, MAX_OBJECTS, PATTERNS, STYLES, Plan
from promptlab.world.styles import paint

# Columns of Plan.draws. Each object k has six more from OBJECT + 6 k.
SHADE, ANGLE, FREQUENCY, PHASE, BRIGHT, CONTRAST, NOISE, NOISE_X, NOISE_Y, STRENGTH, SEAT, TINT = range(12)
OBJECT = 16
X, Y, SIZE, TURN, FLIP, GLOW = range(6)


@lru_cache(maxsize=4)
def _noise_bank(device: str) -> Tensor:
    """A fixed field of normal numbers [3, 256, 256]; pictures take shifted windows of it."""
    return torch.randn(3, 256, 256, generator=torch.Generator().manual_seed(20)).to(device)


def noise_windows(draws: Tensor, side: int) -> Tensor:
    """Normal noise [B, 3, S, S], a window of the bank for each picture."""
    bank = _noise_bank(str(draws.device))
    span = torch.arange(side, device=draws.device)
    rows = ((draws[:, NOISE_Y] * 256).long()[:, None] + span) % 256
    cols = ((draws[:, NOISE_X] * 256).long()[:, None] + span) % 256
    return bank[:, rows[:, :, None], cols[:, None, :]].transpose(0, 1)


def _unit_grid(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pixel centres in [-1, 1]: columns x [1, S], rows y [S, 1]."""
    line = (torch.arange(side, device=device) + 0.5) * (2.0 / side) - 1.0
    return line[None, :], line[:, None]


def _ground(plan: Plan, side: int, noise: Tensor) -> Tensor:
    """Share of the second colour at each pixel [B, S, S], by pattern."""
    u = plan.draws
    x, y = _unit_grid(side, u.device)
    turn = (u[:, ANGLE] * math.pi)[:, None, None]
    across = torch.cos(turn) * x + torch.sin(turn) * y
    along = torch.cos(turn) * y - torch.sin(turn) * x
    rate = (5.0 + 6.0 * u[:, FREQUENCY])[:, None, None]
    shift = (2 * math.pi * u[:, PHASE])[:, None, None]
    wave_a, wave_b = torch.sin(rate * across + shift), torch.sin(rate * along + shift)
    share = {
        "plain": torch.zeros_like(wave_a),
        "striped": torch.sigmoid(14 * wave_a),
        "dotted": torch.sigmoid(10 * (wave_a * wave_b - 0.45)),
        "checkered": torch.sigmoid(20 * wave_a * wave_b),
        "noisy": (0.5 + 0.35 * noise[:, 0]).clamp(0, 1),
        "gradient": (0.5 + 0.6 * across).clamp(0, 1),
    }
    stack = torch.stack([share[name] for name in PATTERNS], 1)
    return stack[torch.arange(len(u), device=u.device), plan.pattern]


def background(plan: Plan, side: int, noise: Tensor) -> Tensor:
    """Backgrounds [B, 3, S, S]: the named colour, patterned with a lighter or darker shade of it."""
    table = torch.tensor(list(COLOURS.values()), device=plan.draws.device)
    main = table[plan.colour] + 0.10 * (plan.draws[:, TINT:TINT + 3] - 0.5)
    light = main.mean(1, keepdim=True)
    to_white = (plan.draws[:, SHADE:SHADE + 1] + 0.5 > light + 0.35).float()  # dark colours are patterned with lighter shades
    second = main * 0.42 + 0.58 * to_white
    share = _ground(plan, side, noise)[:, None]
    return (main[:, :, None, None] * (1 - share) + second[:, :, None, None] * share).clamp(0, 1)


def placements(plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
    """Centres x, y in [-1, 1] and sides in (0, 1] of each object, all [B, 4]: one object roams, several sit in different quarters."""
    u, count = plan.draws, plan.count
    pick = torch.stack([u[:, OBJECT + 6 * k:OBJECT + 6 * k + 6] for k in range(MAX_OBJECTS)], 1)  # [B, 4, 6]
    alone = (count == 1)[:, None]
    size = torch.where(alone, 0.45 + 0.5 * pick[..., SIZE], 0.34 + 0.14 * pick[..., SIZE])
    room = torch.where(alone, (1.0 - 0.9 * size).clamp(min=0), torch.full_like(size, 0.06))
    seat = (torch.arange(MAX_OBJECTS, device=u.device)[None] + (u[:, SEAT:SEAT + 1] * 4).long()) % 4
    # 0, 1, 2, 3 -> opposite corners first, so two objects are far apart
    seat_x = torch.tensor([-0.5, 0.5, 0.5, -0.5], device=u.device)[seat]
    seat_y = torch.tensor([-0.5, 0.5, -0.5, 0.5], device=u.device)[seat]
    zero = torch.zeros_like(size)
    x = torch.where(alone, zero, seat_x) + room * (2 * pick[..., X] - 1)
    y = torch.where(alone, zero, seat_y) + room * (2 * pick[..., Y] - 1)
    return x, y, size


def _sprites(plan: Plan, k: int, who: Tensor, atlas: Atlas, side: int, spot: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Object k of the pictures `who`, in place: premultiplied [b, 4, S, S]."""
    u = plan.draws[who]
    x, y, size = (t[who, k] for t in spot)
    turn = (u[:, OBJECT + 6 * k + TURN] - 0.5) * 0.7
    flip = torch.where(u[:, OBJECT + 6 * k + FLIP] < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(turn) / size, torch.sin(turn) / size
    theta = torch.stack([torch.stack([flip * cos, flip * sin, -flip * (cos * x + sin * y)], 1),
                         torch.stack([-sin, cos, sin * x - cos * y], 1)], 1)
    art = atlas.art.to(u.device)[plan.objects[who, k]].float() / 255
    if side * 0.7 < art.shape[-1]:  # shrunk: average first, or thin lines alias
        small = F.avg_pool2d(art, 2)
        tiny = (size < 0.62)[:, None, None, None]
        art = small if side <= 40 else torch.where(tiny, F.interpolate(small, scale_factor=2, mode="nearest"), art)
    grid = F.affine_grid(theta, [len(u), 4, side, side], align_corners=False)
    out = F.grid_sample(art, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    glow = 0.85 + 0.3 * u[:, OBJECT + 6 * k + GLOW]
    return torch.cat([out[:, :3] * glow[:, None, None, None], out[:, 3:]], 1)


def draw(plan: Plan, atlas: Atlas, side: int, truth: bool = True) -> tuple[Tensor, Tensor | None]:
    """Pictures uint8 [B, 3, S, S] and, if `truth`, visible masks bool [B, 4, S, S]."""
    noise = noise_windows(plan.draws, side)
    x = background(plan, side, noise)
    spot = placements(plan)
    mask = torch.zeros(len(x), MAX_OBJECTS, side, side, dtype=torch.bool, device=x.device) if truth else None
    for k in range(MAX_OBJECTS):
        who = (plan.objects[:, k] >= 0).nonzero()[:, 0]
        if len(who) == 0:
            continue
        art = _sprites(plan, k, who, atlas, side, spot)
        x[who] = (x[who] * (1 - art[:, 3:]) + art[:, :3]).clamp(0, 1)
        if mask is not None:
            shape = art[:, 3] > 0.5
            mask[who] &= ~shape[:, None]
            mask[who, k] = shape
    x = _expose(x, plan, noise)
    for s in plan.style.unique().tolist():
        who = (plan.style == s).nonzero()[:, 0]
        x[who] = paint(STYLES[s], x[who], plan.draws[who, STRENGTH], noise[who])
    return (x.clamp(0, 1) * 255).round().to(torch.uint8), mask


def brightness(plan: Plan) -> Tensor:
    """Overall brightness [B] as a factor around 1."""
    return 0.8 + 0.4 * plan.draws[:, BRIGHT]


def _expose(x: Tensor, plan: Plan, noise: Tensor) -> Tensor:
    """Contrast, brightness and a little sensor noise."""
    u = plan.draws[:, :, None, None, None]
    contrast = 0.85 + 0.3 * u[:, CONTRAST]
    grain = 0.05 * u[:, NOISE] ** 2
    return ((x - 0.5) * contrast + 0.5) * brightness(plan)[:, None, None, None] + grain * noise
