"""Changes of frozen weights: no change at the start, equal to really changed weights, and never written."""

import copy
import functools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from promptlab.errors import BadHyper
from promptlab.parts.weights import Delta, LowRank, blocks
from tests.golden import fill, small

SENTENCES = ["a photo of a cat.", "a photo of a golden retriever."]


@functools.lru_cache(maxsize=1)
def pair() -> tuple[nn.Module, Any]:
    return small.pair("vit", seed=4)


def names(side: str, letters: str = "qkv") -> list[str]:
    return [f"{side}.weights.block.{i}.attn.{p}" for i in range(3) for p in letters]


def lora(side: str, letters: str = "qkv", *, filled: bool = True, **more: Any) -> LowRank:
    weights = getattr(pair()[1], side).weights
    made = LowRank({n: weights[n].shape for n in names(side, letters)}, 2, **more)
    if filled:
        for b in made.B.values():
            nn.init.normal_(b, std=0.2)
    return made


def encode(clip: Any, side: str, edits: list) -> torch.Tensor:
    return (clip.encode_image(fill.images(2, 64, 3), edits) if side == "image" else clip.encode_text(SENTENCES, edits)).pooled


def changed(side: str, made: LowRank) -> nn.Module:
    """A copy of the open_clip model with the update merged into its weights."""
    model = copy.deepcopy(pair()[0])
    tower = (model.visual if side == "image" else model).transformer
    with torch.no_grad():
        for name in made.names:
            *_, block, _, letter = name.split(".")
            attn = tower.resblocks[int(block)].attn
            weight = attn.out_proj.weight if letter == "o" else attn.in_proj_weight.chunk(3)["qkv".index(letter)]
            weight.add_(made.delta(name))
    return model


@pytest.mark.parametrize("side", ["image", "text"])
@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_zero_b_is_no_change(side: str, dropout: float) -> None:
    made = lora(side, "qkvo", filled=False, dropout=dropout)
    plain = encode(pair()[1], side, [])
    for mode in (True, False):
        torch.testing.assert_close(encode(pair()[1], side, made.train(mode).edits()), plain, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("side", ["image", "text"])
@pytest.mark.parametrize("letters", ["qkv", "v", "qo"])
def test_equals_merged_weights(side: str, letters: str) -> None:
    made = lora(side, letters, alpha=2.0)
    model = changed(side, made)
    want = model.encode_image(fill.images(2, 64, 3)) if side == "image" else model.encode_text(pair()[1].tokenize(SENTENCES))
    torch.testing.assert_close(encode(pair()[1], side, made.edits()), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("side", ["image", "text"])
def test_branch_and_weight_edit_agree_without_dropped_inputs(side: str) -> None:
    made = lora(side, "qkvo", dropout=0.5)
    merged = encode(pair()[1], side, made.eval().edits())
    made.mask = lambda x, name: x
    torch.testing.assert_close(encode(pair()[1], side, made.train().edits()), merged, rtol=1e-5, atol=1e-5)


def test_dropout_is_drawn_apart_for_each_map_on_its_input() -> None:
    made, seen = lora("image", dropout=0.5), {}

    def mask(x: torch.Tensor, name: str) -> torch.Tensor:
        seen[name] = (x, F.dropout(x, 0.5))
        return seen[name][1]

    made.mask = mask
    encode(pair()[1], "image", made.train().edits())
    q, k = (seen[f"image.weights.block.0.attn.{p}"] for p in "qk")
    assert torch.equal(q[0], k[0]) and not torch.equal(q[1], k[1]) and set(seen) == set(names("image"))


def test_shapes_scale_and_start() -> None:
    made = lora("text", filled=False, alpha=3.0)
    assert all(a.shape == (2, 128) and a.any() for a in made.A.values()) and all(not b.any() for b in made.B.values())
    assert made.scale == pytest.approx(3 / 2**0.5)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_delta_is_on_the_line_between_two_models(share: float) -> None:
    model, clip = pair()
    other = small.pair("vit", seed=9)[1]
    made = Delta(clip.image.weights)
    with torch.no_grad():
        for name in made.names:
            made[name].copy_(other.image.weights[name] - clip.image.weights[name])
    between = fill.fill(copy.deepcopy(model), 4)
    far = dict(fill.fill(copy.deepcopy(model), 9).named_parameters())
    with torch.no_grad():
        for name, p in between.named_parameters():
            p.lerp_(far[name], share)
    x, digest = fill.images(2, 64, 3), clip.digest()
    torch.testing.assert_close(clip.encode_image(x, made.edits(share)).pooled, between.encode_image(x), rtol=1e-5, atol=1e-5)
    assert (made.edits(share) == []) == (share == 0.0) and clip.digest() == digest


def test_delta_of_nothing_is_empty() -> None:
    assert list(Delta({}).parameters()) == [] and Delta({}).edits() == []


def test_blocks() -> None:
    assert blocks("all", 4) == [0, 1, 2, 3] and blocks("0, 2-3", 4) == [0, 2, 3] and blocks("3,1,1", 4) == [1, 3]
    for wrong in ("4", "", "a", "2-9", "-1", "3-1"):
        with pytest.raises(BadHyper):
            blocks(wrong, 4)
