"""Learned context: equal to plain sentences, to the plain 77-position formulation, and open to new names."""

import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from promptlab.data.classes import ClassSet
from promptlab.errors import BadHyper, ClosedVocabulary
from promptlab.parts.context import ROWS_AT_ONCE, Context, per_image
from tests.golden import small
from tests.parts import plain

NAMES = ClassSet(("cat", "golden_retriever", "Boeing 737", "forget-me-not", "t-shirt", "hagia sophia of istanbul"))


@functools.lru_cache(maxsize=1)
def pair() -> tuple[nn.Module, Any]:
    return small.pair("vit", seed=3)


def features(context: Context, names: ClassSet = NAMES, **more: Any) -> Tensor:
    return normalize(pair()[1].encode_text(context.inputs(names, **more)).pooled, dim=-1)


def close(a: Tensor, b: Tensor, tolerance: float = 3e-6) -> None:
    torch.testing.assert_close(a, b, rtol=1e-5, atol=tolerance)


@pytest.mark.parametrize("n", [1, 2, 5, 16])
@pytest.mark.parametrize("position", ["end", "middle", "front"])
@pytest.mark.parametrize("per", ["shared", "class"])
def test_equals_the_plain_formulation(n: int, position: str, per: str) -> None:
    """Values and gradients, for any number of vectors (the smaller half stands before the name when it is odd)."""
    model, clip = pair()
    context = Context(clip, NAMES, n, position=position, per=per, std=0.1)
    ours = features(context)
    ctx = context.ctx.detach().clone().requires_grad_()
    theirs = plain.features(model, NAMES.names, ctx, plain.words(n), position)
    close(ours, theirs)
    probe = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(n))
    (a,), (b,) = torch.autograd.grad((ours * probe).sum(), context.ctx), torch.autograd.grad((theirs * probe).sum(), ctx)
    close(a, b, 1e-4 * float(b.detach().abs().max()))


@pytest.mark.parametrize(("words", "position", "sentence"), [
    ("a photo of a", "end", "a photo of a {}."),
    ("a_photo_of_a", "end", "a photo of a {}."),
    ("a photo by me", "middle", "a photo {} by me."),
    ("very big here", "middle", "very {} big here."),
    ("is a thing", "front", "{} is a thing."),
    ("a photo of [CLS] at night", "end", "a photo of {} at night."),
])
def test_words_equal_the_sentence(words: str, position: str, sentence: str) -> None:
    _, clip = pair()
    context = Context(clip, NAMES, 16, words=words, position=position)
    assert context.ctx.shape == (len(words.replace("_", " ").replace("[CLS] ", "").split()), clip.text_width)
    close(features(context), normalize(clip.encode_text(NAMES.prompts(sentence)).pooled, dim=-1))


def test_vectors_may_reach_beyond_the_end_of_a_short_sentence() -> None:
    """Six vectors in place of "itap cat . EOT ..." : the pooled row is then a vector that all names share."""
    model, clip = pair()
    context = Context(clip, NAMES, 6, words="itap", learn=6)
    ours, theirs = features(context), plain.features(model, NAMES.names, context.ctx, "itap")
    close(ours, theirs)
    (a,), (b,) = (torch.autograd.grad(f[:, 0].sum(), context.ctx, retain_graph=True) for f in (ours, theirs))
    close(a, b, 1e-4 * float(b.abs().max()))


@pytest.mark.parametrize("position", ["end", "middle", "front"])
def test_a_word_of_several_tokens_shifts_the_cut(position: str) -> None:
    """As in the public code: n counts words, so "hologram" leaves its last tokens as fixed text (and moves a cut inside the name)."""
    model, clip = pair()
    words = "an autostereogram of"
    assert len(clip.tokens(words)) > 3
    context = Context(clip, NAMES, 16, words=words, position=position)
    assert context.ctx.shape[0] == 3
    close(features(context), plain.features(model, NAMES.names, context.ctx.detach(), words, position))


@pytest.mark.parametrize("position", ["end", "middle", "front"])
@pytest.mark.parametrize("per", ["shared", "class"])
def test_several_prompts_are_prompt_major(position: str, per: str) -> None:
    model, clip = pair()
    context = Context(clip, NAMES, 4, n_prompts=3, position=position, per=per, std=0.1)
    ours = features(context).reshape(3, len(NAMES), -1)
    for i, ctx in enumerate(context.ctx.detach()):
        close(ours[i], plain.features(model, NAMES.names, ctx, plain.words(4), position))


@pytest.mark.parametrize("position", ["end", "middle"])
def test_shift_is_image_major(position: str) -> None:
    model, clip = pair()
    context = Context(clip, NAMES, 4, position=position, std=0.1)
    shift = 0.1 * torch.randn(3, 1, clip.text_width, generator=torch.Generator().manual_seed(0))
    ours = features(context, shift=shift).reshape(3, len(NAMES), -1)
    for i in range(3):
        close(ours[i], plain.features(model, NAMES.names, context.ctx.detach() + shift[i], plain.words(4), position))


def test_pieces_of_images_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _, clip = pair()
    context, found = Context(clip, NAMES, 4, std=0.1), []
    shift = 0.1 * torch.randn(5, 1, clip.text_width, generator=torch.Generator().manual_seed(0))
    for rows in (ROWS_AT_ONCE, 2 * len(NAMES)):
        monkeypatch.setattr("promptlab.parts.context.ROWS_AT_ONCE", rows)
        s = shift.clone().requires_grad_()
        text = per_image(lambda part: clip.encode_text(context.inputs(NAMES, shift=part)).pooled, s, len(NAMES))
        found.append((text, *torch.autograd.grad(text.square().sum(), [s, context.ctx])))
    for a, b in zip(*found, strict=True):
        close(a, b, 1e-5 * float(b.detach().abs().max()))


def test_new_names_at_any_time() -> None:
    """Other names, more names, longer names; a context per class is for its own names only."""
    model, clip = pair()
    context = Context(clip, NAMES, 4, std=0.1)
    other = ClassSet(("a very long name of many words indeed", "dog"))
    close(features(context, other), plain.features(model, other.names, context.ctx.detach(), plain.words(4)))
    close(features(context), plain.features(model, NAMES.names, context.ctx.detach(), plain.words(4)))
    with pytest.raises(ClosedVocabulary, match="6 names"):
        Context(clip, NAMES, 4, per="class").inputs(other)


def test_the_prefix_is_shared_where_it_can_be() -> None:
    _, clip = pair()
    end, half = Context(clip, NAMES, 8).inputs(), Context(clip, NAMES, 8, position="middle").inputs()
    own = Context(clip, NAMES, 8, per="class").inputs()
    assert end.prefix.shape[:2] == (1, 9) and half.prefix.shape[:2] == (1, 5) and own.prefix.shape[:2] == (1, 1)
    assert Context(clip, NAMES, 8, n_prompts=3).inputs().prefix.shape[:2] == (3, 9)
    assert end.prefix.shape[1] + end.suffix.shape[1] == int(end.eot.max()) + 1  # cut at the last EOT


def test_learnables_and_refusals() -> None:
    _, clip = pair()
    context = Context(clip, NAMES, 4)
    assert {k: list(v.shape) for k, v in context.state_dict().items()} == {"ctx": [4, clip.text_width]}
    with pytest.raises(BadHyper, match="do not fit"):
        Context(clip, NAMES, 72)
    with pytest.raises(BadHyper, match="do not fit"):
        context.inputs(ClassSet(("dog", " ".join(["word"] * 74))))
    with pytest.raises(BadHyper, match="end"):
        Context(clip, NAMES, 4, position="beginning")
