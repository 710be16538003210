"""No edits and no taps: open_clip's own encode_image and encode_text, in every family."""

import pytest
import torch

from promptlab.backbones.load import load, wrap
from tests.backbones.models import SiglipTokenizer, close, images, own_attention, resnet, siglip, timm_clip, vit

TEXTS = ["a photo of a cat.", "forget-me-not", "the Boeing 737 of an airline, seen from below"]
NATIVE = [{}, {"ls_init_value": 0.1}, {"no_ln_pre": True}, {"pool_type": "avg"}, {"pool_type": "avg", "final_ln_after_pool": True},
          {"pos_embed_type": "sin_cos_2d"}, {"block_type": "custom"}]
TIMM = [("vit_medium_patch16_gap_256", "", "linear"), ("vit_large_patch14_clip_224", "token", ""), ("vit_base_patch16_224", "avg", "mlp"),
        ("vit_base_patch16_siglip_224", "map", "none")]


@torch.no_grad()
def check(model, tokenizer=None, size: int = 32, texts=TEXTS):
    before = {k: v.clone() for k, v in model.state_dict().items()}
    clip = wrap(model, tokenizer)
    x, ids = images(3, size), clip.tokenize(texts)
    for tokens in (False, "tokens" in clip.offers):
        assert close(clip.encode_image(x, tokens=tokens).pooled, model.encode_image(x))
    assert close(clip.encode_text(texts).pooled, model.encode_text(ids))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not any(w.requires_grad for tower in (clip.image, clip.text) for w in tower.weights.values())
    return clip


@pytest.mark.parametrize("vision", NATIVE, ids=str)
def test_native_vit(vision):
    clip = check(vit(**vision))
    assert {"vit", "image-deep", "tokens", "text", "causal-text"} <= clip.offers


def test_plain_gelu():
    check(vit(quick_gelu=False))


def test_attention_class_does_not_matter():
    model = vit()
    x, ids = images(), wrap(model).tokenize(TEXTS)
    with torch.no_grad():
        before = model.encode_image(x), model.encode_text(ids)
        other = own_attention(model)
        assert close(other.encode_image(x), before[0]) and close(other.encode_text(ids), before[1])
    check(other)


def test_resnet():
    clip = check(resnet(), size=64)
    assert {"resnet", "tokens"} <= clip.offers and "vit" not in clip.offers
    names = set(clip.image.weights)
    assert {"image.weights.pool.pos", "image.weights.pool.q", "image.weights.pool.c.bias", "image.weights.stem.conv1"} <= names


@pytest.mark.parametrize(("name", "pool", "proj"), TIMM)
def test_timm_vit(monkeypatch, name, pool, proj):
    clip = check(timm_clip(monkeypatch, name, pool, proj)) if pool != "map" else check(siglip(monkeypatch), SiglipTokenizer())
    assert "image-deep" in clip.offers
    assert ("tokens" in clip.offers) == (pool != "map")


def test_siglip_has_a_bias_and_sees_the_whole_row(monkeypatch):
    clip = check(siglip(monkeypatch), SiglipTokenizer())
    assert "causal-text" not in clip.offers and "text" in clip.offers and float(clip.bias) != 0
    prompts = clip.prompts(TEXTS)
    assert prompts.prefix.shape[1] == 0 and prompts.suffix.shape[1] == clip.context_length
    assert prompts.eot.tolist() == [clip.context_length - 1] * 3


@pytest.mark.parametrize("vision", [{"qk_norm": True}, {"scale_heads": True}, {"scale_attn": True}, {"scale_fc": True},
                                    {"attentional_pool": True, "attn_pooler_queries": 4, "attn_pooler_heads": 2}], ids=str)
def test_variants_that_are_not_walked_still_encode(vision):
    clip = check(vit(**vision))
    assert "image-deep" not in clip.offers and "pixels" in clip.offers and "text-deep" in clip.offers


@pytest.mark.parametrize("name", ["ViT-B-32-quickgelu", "ViT-B-16", "RN50"])
def test_full_size(name):
    """load() itself compares one picture and one sentence with open_clip's code and refuses a difference."""
    torch.manual_seed(0)
    clip = load(name, "random", device="cpu")
    assert clip.spec.size == 224 and clip.context_length == 77 and clip.joint_dim == clip.image.run(images(1, 224)).pooled.shape[1]
