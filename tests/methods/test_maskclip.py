"""MaskCLIP against a loop over positions and pictures, and the card's no-ops."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.card import build_hyper
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.methods.maskclip import MaskCLIP, denoise, smooth
from tests.golden import fill
from tests.golden.small import NAMES, pair

TEMPLATES = ("a photo of a {}.", "there is a {} in the scene.")


def build(clip, **values) -> MaskCLIP:
    hyper = build_hyper("maskclip", MaskCLIP.Hyper, {"templates": "dataset-all", **values})
    return MaskCLIP(clip, Task("dense", ClassSet(NAMES, TEMPLATES)), hyper)


def denoised(cosine: Tensor, threshold: float) -> Tensor:
    """Prompt denoising, one picture and class at a time."""
    out = cosine.clone()
    for b, picture in enumerate(cosine):
        p = (100 * picture).softmax(0)
        for c in range(len(picture)):
            if p[c].max() < threshold:
                out[b, c] = -100
    return out


def smoothed(cosine: Tensor, keys: Tensor, threshold: float) -> Tensor:
    """Key smoothing, one position at a time."""
    b_, c_, h, w = cosine.shape
    p = (100 * cosine).softmax(1).reshape(b_, c_, h * w)
    out = p.clone()
    for b in range(b_):
        k = keys[b] / keys[b].norm(dim=0).clamp(min=1e-12)  # over positions, as the public code does
        for j in range(h * w):
            if p[b, :, j].max() < threshold:
                out[b, :, j] = sum((k[j] @ k[i]) * p[b, :, i] for i in range(h * w))
    return out.reshape(b_, c_, h, w)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.6, 1.0])
def test_refinements_are_the_loops(threshold: float) -> None:
    generator = torch.Generator().manual_seed(0)
    cosine = 0.01 * torch.randn(2, 5, 3, 4, generator=generator)
    keys = torch.randn(2, 12, 7, generator=generator)
    torch.testing.assert_close(denoise(cosine, threshold), denoised(cosine, threshold))
    torch.testing.assert_close(smooth(cosine, keys, threshold), smoothed(cosine, keys, threshold), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["vit", "resnet"])
@torch.no_grad()
def test_thresholds_of_zero_change_nothing(kind: str) -> None:
    clip = pair(kind)[1]
    batch = Batch.of(fill.images(2, clip.spec.size))
    plain = build(clip)
    out = plain(batch, plain.bank())
    assert torch.equal(denoise(out.aux["cosine"], 0.0), out.aux["cosine"])
    torch.testing.assert_close(smooth(out.aux["cosine"], torch.randn(2, 16, 5), 0.0), out.pred.softmax(1))
    assert out.pred.shape == (2, len(NAMES), 4, 4)


@torch.no_grad()
def test_a_resnet_by_hand() -> None:
    model, clip = pair("resnet", seed=7)
    pixels, v = fill.images(2, 128, 3), model.visual
    method = build(clip)
    text = method.bank().text
    x = v.layer4(v.layer3(v.layer2(v.layer1(v.stem(pixels)))))
    x = F.conv2d(x, v.attnpool.v_proj.weight[:, :, None, None], v.attnpool.v_proj.bias)
    x = F.conv2d(x, v.attnpool.c_proj.weight[:, :, None, None], v.attnpool.c_proj.bias)
    want = F.conv2d(x / x.norm(dim=1, keepdim=True), text[:, :, None, None])
    torch.testing.assert_close(method(Batch.of(pixels), method.bank()).aux["cosine"], want, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_switches_and_sizes() -> None:
    clip = pair("vit")[1]
    pixels = fill.images(1, 64)
    seen = [build(clip, **kw)(Batch.of(pixels), build(clip).bank()).pred
            for kw in ({}, {"residual": False}, {"mlp": False}, {"mode": "attn"})]
    assert all(not torch.allclose(seen[0], other, atol=1e-2) for other in seen[1:])
    large = build(clip, size=128, ks=1.0, pd=0.1)
    assert large(Batch.of(fill.images(1, 128)), large.bank()).pred.shape == (1, len(NAMES), 8, 8)
