"""Self-supervision on unlabelled pictures: a small encoder, two distorted views of each picture, and the contrastive loss of SimCLR.

Source: SimCLR, arXiv:2002.05709, in the settings of SVL-Adapter (``omipan/svl_adapter: ssl_pretraining.py``).
"""

import hashlib
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.assets import asset
from promptlab.backbones.encoders import features_of, image_encoder
from promptlab.data.batch import PixelSpec
from promptlab.files import read_tensors

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, whatever the backbone uses
WIDTHS = (48, 96, 192)


class SmallEncoder(nn.Module):
    """Pixels [B, 3, S, S] → features [B, 192]: patches of 4 px, two convolutions of stride 2, mean over positions; 0.2 M weights.

    Group norms, so that a picture's features depend on no other picture.
    """

    size, features = 64, WIDTHS[-1]

    def __init__(self):
        super().__init__()
        a, b, c = WIDTHS
        self.body = nn.Sequential(
            nn.Conv2d(3, a, 4, 4, bias=False), nn.GroupNorm(8, a), nn.ReLU(),
            nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.GroupNorm(8, b), nn.ReLU(),
            nn.Conv2d(b, c, 3, 2, 1, bias=False), nn.GroupNorm(8, c), nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).mean((2, 3))


def projector(features: int, hidden: int = 512, out: int = 128) -> nn.Module:
    """The head that only the contrastive loss sees."""
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, out))


def unit_range(pixels: Tensor, spec: PixelSpec, side: int) -> Tensor:
    """Pixels normalised for a backbone → values in about [0, 1] at ``side`` px (differentiable)."""
    mean, std = (torch.tensor(v, device=pixels.device)[:, None, None] for v in (spec.mean, spec.std))
    x = pixels.float() * std + mean
    return x if x.shape[-1] == side else F.interpolate(x, size=(side, side), mode="bilinear", antialias=True, align_corners=False)


def imagenet(x: Tensor) -> Tensor:
    """[0, 1] → ImageNet's mean and deviation."""
    mean, std = (torch.tensor(v, device=x.device)[:, None, None] for v in (MEAN, STD))
    return (x - mean) / std


def distort(x: Tensor, rng: torch.Generator, smallest: float = 0.2, strength: float = 0.5) -> Tensor:
    """A random crop (area from ``smallest`` to 1, sides 3:4 to 4:3), a flip and a change of colours of each picture [B, 3, S, S]."""
    b = len(x)

    def draw(*size: int) -> Tensor:
        return torch.rand(b, *size, generator=rng).to(x.device)

    area, ratio = smallest + (1 - smallest) * draw(), torch.exp((2 * draw() - 1) * math.log(4 / 3))
    w, h = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    left, top = (2 * draw() - 1) * (1 - w), (2 * draw() - 1) * (1 - h)
    flip = torch.where(draw() < 0.5, -1.0, 1.0)
    zero = torch.zeros_like(w)
    theta = torch.stack([torch.stack([w * flip, zero, left], 1), torch.stack([zero, h, top], 1)], 1)
    x = F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), padding_mode="reflection", align_corners=False)
    gray = torch.tensor([0.299, 0.587, 0.114], device=x.device)[:, None, None]
    light, contrast, colour = (1 + 0.8 * strength * (2 * draw(1, 1, 1) - 1) for _ in range(3))
    y = x * light
    y = (y - y.mean((1, 2, 3), keepdim=True)) * contrast + y.mean((1, 2, 3), keepdim=True)
    plain = (y * gray).sum(1, keepdim=True)
    y = torch.einsum("bij,bjhw->bihw", _hue(0.2 * strength * (2 * draw() - 1)), plain + (y - plain) * colour)
    x = torch.where(draw(1, 1, 1) < 0.8, y, x)
    return torch.where(draw(1, 1, 1) < 0.2, (x * gray).sum(1, keepdim=True).expand_as(x), x).clamp(0, 1)


def _hue(turn: Tensor) -> Tensor:
    """Rotations [B, 3, 3] of colours about the grey axis by ``turn`` [B] of a full circle."""
    axis = 1 / math.sqrt(3)
    cos, sin = torch.cos(2 * math.pi * turn)[:, None, None], torch.sin(2 * math.pi * turn)[:, None, None]
    cross = axis * torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=turn.device)
    return cos * torch.eye(3, device=turn.device) + sin * cross + (1 - cos) / 3


def nt_xent(a: Tensor, b: Tensor, temperature: float = 0.5) -> Tensor:
    """Mean cross-entropy of each of the 2B views [B, D] finding its partner among the other 2B - 1 (cosine / temperature)."""
    z = F.normalize(torch.cat([a, b]).float(), dim=-1)
    scores = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    return F.cross_entropy(scores, torch.arange(len(z), device=z.device).roll(len(a)))


def contrast(encoder: nn.Module, head: nn.Module, x: Tensor, rng: torch.Generator, temperature: float = 0.5) -> Tensor:
    """The loss of one batch of pictures in [0, 1]."""
    first, second = (imagenet(distort(x, rng)) for _ in range(2))
    both = head(encoder(torch.cat([first, second])))
    return nt_xent(*both.chunk(2), temperature)


class SecondEncoder(nn.Module):
    """A frozen image encoder beside the backbone. Weights that were adapted live in the buffer ``weights`` [P], which is part of the state;
    it is empty while they are those that came with the encoder.

    ``name``: "world-ssl" (shipped, learned without labels on the picture world), "small" (the same, random), or any timm model.
    """

    def __init__(self, name: str, side: int = 112):
        super().__init__()
        small = name in ("world-ssl", "small")
        self.name, self.side = name, SmallEncoder.size if small else side
        self.width = SmallEncoder.features if small else features_of(name)
        self.register_buffer("weights", torch.zeros(0))
        object.__setattr__(self, "made", None)  # built when first used: it may have to be downloaded

    @property
    def module(self) -> nn.Module:
        """The encoder with the weights that came with it; never a part of the state."""
        if self.made is None:
            if self.name not in ("world-ssl", "small"):
                found = image_encoder(self.name)
            else:
                with torch.random.fork_rng(devices=[]):  # random weights are those of seed 0, whoever asks
                    torch.manual_seed(0)
                    found = SmallEncoder()
                if self.name == "world-ssl":
                    found.load_state_dict({k: v.float() for k, v in read_tensors(asset("world_ssl.safetensors")).items()})
            object.__setattr__(self, "made", found.eval().requires_grad_(False))
        return self.made.to(self.weights.device)

    def keep(self, module: nn.Module) -> None:
        """Take over the weights of an adapted copy."""
        state = [v.detach().float().flatten() for v in module.state_dict().values() if v.is_floating_point()]
        self.weights = torch.cat(state).to(self.weights.device)

    @property
    def variant(self) -> tuple:
        """What tells this encoder's features from others in a cache."""
        return ("second", self.name, self.side, hashlib.sha256(self.weights.cpu().numpy().tobytes()).hexdigest()[:16])

    def forward(self, x: Tensor) -> Tensor:
        """Pictures in [0, 1] at ``side`` px → features [B, width], not normalised."""
        if not len(self.weights):
            return self.module(imagenet(x))
        state, at = {}, 0
        for name, value in self.module.state_dict().items():
            if value.is_floating_point():
                state[name] = self.weights[at : at + value.numel()].view_as(value)
                at += value.numel()
        return torch.func.functional_call(self.module, state, (imagenet(x),))
