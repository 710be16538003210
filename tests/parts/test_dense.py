"""Dense features against plain formulations on open_clip's own modules, and the cards' algebra."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.data.batch import Batch, Pixels
from promptlab.parts.dense import dense, frozen_dense, own_position, pool_positions, spatial_softmax, to_map
from tests.golden import fill
from tests.golden.small import pair


def last_input(visual: nn.Module, pixels: Tensor) -> Tensor:
    """Rows [B, 1 + M, D] that enter the last block of open_clip's VisionTransformer."""
    x = visual.conv1(pixels).flatten(2).transpose(1, 2)
    x = torch.cat([visual.class_embedding.expand(len(x), 1, -1), x], 1) + visual.positional_embedding
    x = visual.ln_pre(x)
    for block in visual.transformer.resblocks[:-1]:
        x = block(x)
    return x


def value_path(visual: nn.Module, pixels: Tensor, residual: bool, mlp: bool) -> Tensor:
    """MaskCLIP's vit.py, written out: [B, M, E]."""
    block, x = visual.transformer.resblocks[-1], last_input(visual, pixels)
    attn, width = block.attn, x.shape[-1]
    v = F.linear(block.ln_1(x), attn.in_proj_weight[2 * width:], attn.in_proj_bias[2 * width:])
    v = attn.out_proj(v) + (x if residual else 0)
    v = v + (block.mlp(block.ln_2(v)) if mlp else 0)
    return (visual.ln_post(v) @ visual.proj)[:, 1:]


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("mlp", [True, False])
@torch.no_grad()
def test_vit_value_path_is_the_written_out_one(residual: bool, mlp: bool) -> None:
    model, clip = pair("vit", seed=3)
    pixels = fill.images(3, 64, 5)
    out = dense(clip, pixels, residual=residual, mlp=mlp)
    torch.testing.assert_close(out.tokens, value_path(model.visual, pixels, residual, mlp), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(out.pooled, model.encode_image(pixels), rtol=1e-4, atol=1e-5)  # the class token still attends
    assert out.grid == (4, 4)


@torch.no_grad()
def test_identity_attention_makes_the_two_modes_equal() -> None:
    """Card of maskclip: with the last attention forced to the identity, its z are the ordinary projected patch tokens."""
    from promptlab.backbones.points import Edit

    _, clip = pair("vit", seed=1)
    pixels = fill.images(2, 64, 1)
    forced = clip.encode_image(pixels, [Edit("image.block.2.attn.pattern", lambda p: torch.eye(p.shape[-1]).expand_as(p))], tokens=True)
    torch.testing.assert_close(dense(clip, pixels).tokens, forced.tokens)
    assert not torch.allclose(dense(clip, pixels, "attn").tokens, forced.tokens, atol=1e-3)


@pytest.mark.parametrize("pos_embed", [True, False])
@torch.no_grad()
def test_resnet_value_path_is_two_linear_maps(pos_embed: bool) -> None:
    model, clip = pair("resnet", seed=2)
    pixels, pool = fill.images(2, 128, 3), model.visual.attnpool
    x = model.visual
    trunk = x.layer4(x.layer3(x.layer2(x.layer1(x.stem(pixels))))).flatten(2).transpose(1, 2)
    trunk = torch.cat([trunk.mean(1, keepdim=True), trunk], 1) + (pool.positional_embedding if pos_embed else 0)
    want = pool.c_proj(pool.v_proj(trunk))
    out = dense(clip, pixels, pos_embed=pos_embed)
    torch.testing.assert_close(torch.cat([out.pooled[:, None], out.tokens], 1), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["vit", "resnet"])
@torch.no_grad()
def test_other_input_sizes(kind: str) -> None:
    """A larger picture gives a larger grid, in row-major order."""
    _, clip = pair(kind)
    size = clip.spec.size * 3 // 2
    out = dense(clip.at(size), fill.images(1, size, 0), pos_embed=True)
    assert out.tokens.shape[1] == out.grid[0] * out.grid[1] and out.grid == (6, 6)


def test_positions_keep_slot_zero_and_the_old_grid() -> None:
    pos = torch.randn(1 + 16, 8)
    assert pool_positions(pos, (4, 4)) is pos
    wide = pool_positions(pos, (5, 7))
    want = F.interpolate(pos[1:].T.reshape(1, 8, 4, 4), (5, 7), mode="bicubic", align_corners=False)[0]
    assert torch.equal(wide[0], pos[0])
    torch.testing.assert_close(wide[1:], want.flatten(1).T)


@pytest.mark.parametrize("kind", ["vit", "resnet"])
@torch.no_grad()
def test_keys(kind: str) -> None:
    """Keys of the last attention: of a ResNet as they are, of a ViT after the output projection."""
    model, clip = pair(kind, seed=4)
    pixels = fill.images(2, clip.spec.size, 0)
    got = dense(clip, pixels, keys=True).taps["keys"]
    if kind == "resnet":
        v = model.visual
        want = v.attnpool.k_proj(v.layer4(v.layer3(v.layer2(v.layer1(v.stem(pixels))))).flatten(2).transpose(1, 2))
    else:
        block = model.visual.transformer.resblocks[-1]
        h, d = block.ln_1(last_input(model.visual, pixels)), 128
        want = block.attn.out_proj(F.linear(h, block.attn.in_proj_weight[d:2 * d], block.attn.in_proj_bias[d:2 * d]))[:, 1:]
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(dense(clip, pixels, "attn", keys=True).tokens, clip.encode_image(pixels, tokens=True).tokens)


def test_own_position_leaves_the_class_row() -> None:
    p = torch.rand(2, 3, 5, 5).softmax(-1)
    out = own_position(p)
    assert torch.equal(out[..., 0, :], p[..., 0, :])
    assert torch.equal(out[..., 1:, :], torch.eye(5)[1:].expand(2, 3, 4, 5))
    assert torch.equal(own_position(p, 0), torch.eye(5).expand_as(p))


def test_spatial_softmax() -> None:
    """Order of positions does not matter; temperature 0 is the mean, a large one the score where ``by`` is largest."""
    scores, by = torch.randn(2, 9, 4), torch.randn(2, 9, 4)
    pooled, weights = spatial_softmax(scores, by, 3.0)
    shuffle = torch.randperm(9)
    torch.testing.assert_close(spatial_softmax(scores[:, shuffle], by[:, shuffle], 3.0)[0], pooled)
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 4))
    torch.testing.assert_close(spatial_softmax(scores, by, 0.0)[0], scores.mean(1))
    torch.testing.assert_close(spatial_softmax(scores, by, 1e4)[0], scores.gather(1, by.argmax(1, keepdim=True))[:, 0])
    torch.testing.assert_close(spatial_softmax(scores)[0], (scores.softmax(1) * scores).sum(1))


def test_to_map_is_row_major() -> None:
    assert torch.equal(to_map(torch.arange(6.0).reshape(1, 6, 1), (2, 3))[0, 0], torch.tensor([[0.0, 1, 2], [3, 4, 5]]))


@pytest.mark.parametrize("kind", ["vit", "resnet"])
@torch.no_grad()
def test_cached_readings_stay_apart(kind: str) -> None:
    """Each variant of the dense features, and the plain encoding, has its own cache rows."""
    _, clip = pair(kind, seed=6)
    pixels = fill.images(3, clip.spec.size, 2)
    batch = Batch(Pixels(pixels, key=f"test {kind}"), (0, 1, 2))
    variants = [{"pos_embed": True}, {"residual": False}, {"residual": False, "mlp": False}, {"keys": True}, {}]
    for _ in range(2):  # the second time from the cache
        torch.testing.assert_close(clip.cached_image(batch, tokens=True).tokens, clip.encode_image(pixels, tokens=True).tokens)
        for switches in variants:
            got, want = frozen_dense(clip, batch, **switches), dense(clip, pixels, **switches)
            torch.testing.assert_close(got.tokens, want.tokens)
            assert got.grid == want.grid and set(got.taps) == set(want.taps)
