"""Points, edits, taps and weights of the towers."""

import pytest
import torch

from promptlab.backbones.load import wrap
from promptlab.backbones.points import Edit, TextInput, watch
from promptlab.errors import BackboneLacks, BadData, NoSuchPoint
from tests.backbones.models import close, images, resnet, siglip, vit

TEXTS = ["a cat.", "a golden retriever, seen at night", "sea"]


@pytest.fixture(scope="module")
def clip():
    return wrap(vit())


@pytest.fixture(scope="module")
def net():
    return wrap(resnet())


def run(clip, side, edits=(), taps=(), **kw):
    if side == "image":
        return clip.encode_image(images(3, clip.spec.size), edits, taps, **kw)
    return clip.encode_text(TEXTS, edits, taps)


@pytest.mark.parametrize("side", ["image", "text"])
def test_taps_change_no_bit_and_fire_once(clip, side):
    plain = run(clip, side).pooled
    tower = getattr(clip, side)
    fired = []
    edits = [Edit(name, lambda x, name=name: fired.append(name) or x) for name in tower.points]
    tapped = run(clip, side, taps=[f"{side}.*"])
    assert torch.equal(tapped.pooled, plain)
    assert set(tapped.taps) == set(tower.points)
    run(clip, side, edits, tokens=True)
    assert sorted(fired) == sorted(tower.points)


def test_taps_hold_what_their_names_say(clip):
    e = run(clip, "image", taps=["image.*"], tokens=True)
    t = e.taps
    for i in range(clip.image_layers):
        at = f"image.block.{i}"
        assert close(t[f"{at}.in"] + t[f"{at}.attn.out"], t[f"{at}.mid"])
        assert close(t[f"{at}.mid"] + t[f"{at}.mlp.out"], t[f"{at}.out"])
        assert close(t[f"{at}.attn.pattern"].sum(-1), torch.ones(3, 4, 17))
    assert e.grid == (4, 4) and t["image.block.0.in"].shape == (3, 17, 64) and torch.equal(t["image.tokens"], e.tokens)
    p = run(clip, "text", taps=["text.block.1.attn.pattern"]).taps["text.block.1.attn.pattern"]
    assert float(p.triu(1).abs().max()) == 0


def test_an_edited_pattern_is_used_and_identity_edits_change_nothing(clip):
    for side in ("image", "text"):
        plain = run(clip, side).pooled
        same = run(clip, side, [Edit(f"{side}.block.*.attn.pattern", lambda p: p)]).pooled
        assert close(same, plain)
        other = run(clip, side, [Edit(f"{side}.block.2.attn.pattern", lambda p: torch.eye(p.shape[-1]).expand_as(p))]).pooled
        assert not close(other, plain, 1e-3)


def test_added_tokens_go_last_and_are_not_patches(clip):
    extra = torch.randn(2, 64, requires_grad=True)
    grow = Edit("image.embed", lambda x: torch.cat([x, extra.expand(len(x), -1, -1)], 1))
    swap = Edit("image.block.1.in", lambda x: extra.expand(len(x), -1, -1), slots=(-2, None))
    e = run(clip, "image", [grow, swap], ["image.block.1.in"], tokens=True)
    assert e.tokens.shape[1] == 16 and torch.equal(e.taps["image.block.1.in"][0, -2:], extra)
    e.pooled.sum().backward()
    assert extra.grad.abs().sum() > 0
    alone = run(clip, "image", [grow, swap]).pooled
    assert close(alone, e.pooled)


@pytest.mark.parametrize("side", ["image", "text"])
def test_every_weight_can_be_edited_and_gets_a_gradient(clip, side):
    tower = getattr(clip, side)
    before = clip.digest()
    factor = {n: torch.ones((), requires_grad=True) for n in tower.weights}
    edits = [Edit(n, lambda w, n=n: w * factor[n]) for n in tower.weights]
    plain, edited = run(clip, side).pooled, run(clip, side, edits)
    assert close(edited.pooled, plain)
    (edited.pooled * torch.randn(edited.pooled.shape)).sum().backward()
    dead = {n for n, f in factor.items() if f.grad is None}
    assert not dead, dead
    assert clip.digest() == before


def test_weight_edits_reach_the_resnet(net):
    w = {n: torch.ones((), requires_grad=True) for n in net.image.weights}
    e = run(net, "image", [Edit(n, lambda x, n=n: x * w[n]) for n in w], tokens=True)
    assert close(e.pooled, run(net, "image").pooled)
    (e.pooled.sum() + e.tokens.square().sum()).backward()
    assert all(f.grad is not None for f in w.values())
    assert set(run(net, "image", taps=["image.*"]).taps) == set(net.image.points)


def test_low_rank_edit_equals_its_branch(clip):
    a, b = torch.randn(4, 64) * 0.1, torch.randn(64, 4) * 0.1
    for n in ("attn.q", "attn.v", "attn.o"):
        whole = run(clip, "image", [Edit(f"image.weights.block.*.{n}", lambda w: w + b @ a)]).pooled
        branch = run(clip, "image", [Edit(f"image.weights.block.*.{n}", lambda x: x @ a.T @ b.T, branch=True)]).pooled
        assert close(whole, branch)
    with pytest.raises(BadData, match="linear map"):
        run(clip, "image", [Edit("image.block.1.in", lambda x: x, branch=True)])


def test_a_token_table_edit_needs_sentences(clip):
    double = Edit("text.weights.token", lambda w: w * 2)
    assert not close(run(clip, "text", [double]).pooled, run(clip, "text").pooled, 1e-3)


def test_unknown_names_and_wrong_sides(clip):
    with pytest.raises(NoSuchPoint, match="image.block.1.in"):
        run(clip, "image", [Edit("image.blok.1.in", lambda x: x)])
    with pytest.raises(NoSuchPoint):
        run(clip, "image", [Edit("text.block.1.in", lambda x: x)])
    with pytest.raises(NoSuchPoint):
        run(clip, "text", taps=["image.embed"])
    with pytest.raises(BadData, match="keeps its shape"):
        run(clip, "image", [Edit("image.weights.pos", lambda w: w[:3])])
    with pytest.raises(BadData, match="clip.at"):
        clip.encode_image(images(1, 48))


def test_watch_reaches_through_and_stacks(clip):
    with watch("image.block.0.in") as outer:
        with watch("*.pooled") as inner:
            run(clip, "image")
            run(clip, "text")
    run(clip, "image")
    assert list(outer) == ["image.block.0.in"] and set(inner) == {"image.pooled", "text.pooled"}


def test_too_long_sentences_are_refused(clip):
    with pytest.raises(BadData, match="shorten"):
        clip.encode_text(["a " * 40])


def test_other_input_sizes(clip, net):
    big = clip.at(64)
    assert big.encode_image(images(2, 64), tokens=True).tokens.shape[1] == 64 and big.spec.size == 64 and clip.spec.size == 32
    assert torch.equal(big.at(32).encode_image(images()).pooled, clip.encode_image(images()).pooled)
    assert net.at(96).encode_image(images(1, 96), tokens=True).grid == (3, 3)
    with pytest.raises(BadData):
        clip.at(30)


def test_towers_that_take_sentences_only_say_so(monkeypatch):
    clip = wrap(vit(text={"qk_norm": True}))
    assert "text" not in clip.offers and clip.encode_text(TEXTS).pooled.shape == (3, 32)
    with pytest.raises(BackboneLacks, match="sentences only"):
        clip.encode_text(TextInput(torch.zeros(1, 1, 48), torch.zeros(1, 3, 48), torch.tensor([2])))
    with pytest.raises(BackboneLacks):
        clip.embed([1])
    with pytest.raises(BadData, match="tokens"):
        wrap(siglip(monkeypatch)).encode_image(images(), tokens=True)


@pytest.mark.parametrize("make", [vit, resnet])
def test_bfloat16_keeps_features_near(make):
    model = make()
    exact, half = wrap(model), wrap(model, dtype="bfloat16")
    x = images(4, exact.spec.size)
    for a, b in ((exact.encode_image(x), half.encode_image(x)), (exact.encode_text(TEXTS), half.encode_text(TEXTS))):
        assert b.pooled.dtype == torch.float32
        a, b = (torch.nn.functional.normalize(t.pooled, dim=-1) for t in (a, b))
        assert float((a - b).abs().max()) < 1e-2
