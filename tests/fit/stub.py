"""A backbone and methods of a few lines: recipes must not need more than this."""

import hashlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from promptlab.backbones.points import Encoding
from promptlab.card import Card, Train, knob
from promptlab.data.batch import PixelSpec
from promptlab.data.kinds import kind_of
from promptlab.data.task import Task
from promptlab.method import Bank, Method, Out


class StubClip:
    """Random projection of pixels; class features drawn from the name's digest."""

    name, tag, joint_dim, device = "stub", None, 16, torch.device("cpu")
    offers = frozenset({"text", "pixels"})
    spec = PixelSpec(8, (0.5,) * 3, (0.5,) * 3)
    scale, bias = torch.tensor(20.0), torch.tensor(0.0)

    def __init__(self):
        self.weight = torch.randn(3 * 64, 16, generator=torch.Generator().manual_seed(7))

    def cached_image(self, batch, *, tokens=False):
        return Encoding(F.interpolate(batch.pixels(self.spec), (8, 8)).flatten(1) @ self.weight)

    def zero_shot(self, names, templates, mean="unit"):
        rows = [torch.randn(16, generator=torch.Generator().manual_seed(int(hashlib.md5(n.encode()).hexdigest()[:8], 16))) for n in names]
        return F.normalize(torch.stack(rows), dim=-1)

    def digest(self):
        return hashlib.sha256(self.weight.numpy().tobytes()).hexdigest()


@dataclass(frozen=True)
class Hyper(Train):
    lr: float = knob(0.1, 0.0, 1000.0)
    epochs: int = knob(4, 0, 1000)
    batch: int = knob(4, 1, 100)
    alpha: float = knob(1.0, 0.0, 10.0, live=True)


class Residual(Method):
    """Class features plus a learned residual, with dropout so that the random generators matter."""

    card = Card("residual", "Residual", 2026, "-", "-", "-", "adapter", "supervised", "a residual", "residual")
    Hyper = Hyper

    def __init__(self, backbone, task, hyper):
        super().__init__(backbone, task, hyper)
        self.delta = nn.Parameter(0.01 * torch.randn(len(task.classes), backbone.joint_dim))
        self.unused = nn.Parameter(torch.zeros(2))

    def classes(self, names):
        return Bank(names, F.normalize(self.plain(names) + self.hyper.alpha * self.delta, dim=-1))

    def forward(self, batch, bank):
        features = self.image(batch).pooled + 0 * self.unused.sum()
        return Out(self.cosine(F.dropout(features, 0.2, self.training), bank.text))


def toy():
    return kind_of("single").toy(size=8, classes=3, shots=4)


def method(cls=Residual, **hyper):
    from promptlab.create import build

    return build(cls, StubClip(), Task("single", toy().episode.task.classes), hyper)
