"""Prompt tokens inside the towers, against the same surgery done by hand on open_clip's modules."""

import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from promptlab.backbones.points import Edit
from promptlab.parts.tokens import Coupler, DeepTokens, append, deep, replace
from tests.golden import fill, small

SENTENCES = ["a photo of a cat.", "a photo of a golden retriever.", "a photo of a t-shirt."]


@functools.lru_cache(maxsize=1)
def pair() -> tuple[nn.Module, Any]:
    return small.pair("vit", seed=2)


def by_hand(x: Tensor, first: Tensor, later: list[Tensor], place: int | None) -> Tensor:
    """open_clip's image tower with tokens put at ``place`` of the sequence (None: at the end) and replaced before deeper blocks."""
    v, n = pair()[0].visual, len(first)
    x = v.conv1(x).flatten(2).transpose(1, 2)
    x = torch.cat([v.class_embedding.expand(len(x), 1, -1), x], 1) + v.positional_embedding
    at = x.shape[1] if place is None else place
    x = v.ln_pre(torch.cat([x[:, :at], first.expand(len(x), -1, -1), x[:, at:]], 1))
    for i, block in enumerate(v.transformer.resblocks):
        if 1 <= i <= len(later):
            x = torch.cat([x[:, :at], later[i - 1].expand(len(x), -1, -1), x[:, at + n :]], 1)
        x = block(x)
    return v.ln_post(x[:, 0]) @ v.proj


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("place", [None, 1, 6])
def test_image_tokens_equal_surgery_at_any_place(depth: int, place: int | None) -> None:
    torch.manual_seed(depth)
    first, later = torch.randn(4, 128), [torch.randn(4, 128) for _ in range(depth - 1)]
    x = fill.images(3, 64, 5)
    ours = pair()[1].encode_image(x, [append(first), *deep("image", later)]).pooled
    torch.testing.assert_close(ours, by_hand(x, first, later, place), rtol=1e-5, atol=1e-5)


def test_local_features_leave_the_prompts_out() -> None:
    clip, x = pair()[1], fill.images(2, 64, 5)
    made = clip.encode_image(x, [append(torch.randn(3, 128))], tokens=True)
    assert made.tokens.shape == clip.encode_image(x, tokens=True).tokens.shape


@pytest.mark.parametrize("fast", [True, False])
def test_deep_text_tokens_equal_surgery(fast: bool) -> None:
    model, clip = small.pair("vit", seed=2)
    clip.fast.share = clip.fast.cut = fast
    torch.manual_seed(0)
    tokens = DeepTokens(3, 2, 128, std=0.5)
    ids = clip.tokenize(SENTENCES)
    x = model.token_embedding(ids) + model.positional_embedding
    for i, block in enumerate(model.transformer.resblocks):
        x = x if i == 0 else torch.cat([x[:, :1], tokens.tokens[i - 1].expand(len(x), -1, -1), x[:, 3:]], 1)
        x = block(x, attn_mask=model.attn_mask)
    want = model.ln_final(x)[torch.arange(3), ids.argmax(-1)] @ model.text_projection
    torch.testing.assert_close(clip.encode_text(SENTENCES, tokens.edits("text")).pooled, want, rtol=1e-5, atol=1e-5)


def test_a_replaced_slot_forgets_what_came_before() -> None:
    clip, x = pair()[1], fill.images(2, 64, 5)
    torch.manual_seed(0)
    first, later = torch.randn(2, 128), torch.randn(2, 128)
    edits = [append(first), replace("image", 1, later)]
    noise = Edit("image.block.0.out", lambda t: t + 3, slots=(-2, None))
    assert torch.equal(clip.encode_image(x, [*edits, noise]).pooled, clip.encode_image(x, edits).pooled)


def test_deeper_tokens_leave_earlier_blocks_alone() -> None:
    clip, x = pair()[1], fill.images(2, 64, 5)
    first = torch.randn(2, 128)
    runs = [clip.encode_image(x, [append(first), replace("image", 2, torch.randn(2, 128))], ["image.block.1.out", "image.block.2.out"])
            for _ in range(2)]
    assert torch.equal(runs[0].taps["image.block.1.out"], runs[1].taps["image.block.1.out"])
    assert not torch.equal(runs[0].taps["image.block.2.out"], runs[1].taps["image.block.2.out"])


def test_deep_maps_start_identical_and_apart_from_the_first() -> None:
    couple = Coupler(4, 8, 12)
    assert len(couple.deep) == 3
    assert all(torch.equal(layer.weight, couple.deep[0].weight) for layer in couple.deep)
    assert not torch.equal(couple.first.weight, couple.deep[0].weight)
    assert len({layer.weight.data_ptr() for layer in couple.deep}) == 3
    out = couple([torch.zeros(2, 8)] * 4)
    assert [t.shape for t in out] == [(2, 12)] * 4 and torch.equal(out[1][0], couple.deep[0].bias)
