"""VPT: where the tokens stand does not matter, when they enter does."""

import pytest
import torch

from promptlab import inspect
from promptlab.backbones.points import Edit
from promptlab.backbones.tiny import hollow_backbone
from promptlab.create import build
from promptlab.data.classes import ClassSet
from promptlab.data.kinds import kind_of
from promptlab.data.task import Task
from promptlab.errors import BadData
from promptlab.testing import tiny_backbone

TOY = kind_of("single").toy(size=32, classes=3, shots=2)


def make(**hyper):
    method = build("vpt", tiny_backbone(), TOY.episode.task, {"n_ctx": 3, **hyper})
    with torch.no_grad():
        for tokens in method.vision.tokens:
            tokens.mul_(20)
    return method


def batch():
    return next(TOY.episode.support.batches(8))


def test_the_place_in_the_sequence_is_immaterial():
    method = make(depth=1)
    clip, tokens = method.backbone, method.vision.tokens[0]
    pixels = batch().pixels(clip.spec)

    def behind_class_token(x):
        return torch.cat([x[:, :1], x[:, 1:], tokens[[2, 0, 1]].expand(len(x), -1, -1)], 1)

    other = clip.encode_image(pixels, [Edit("image.embed", behind_class_token)]).pooled
    torch.testing.assert_close(method.image(batch()).pooled, other, rtol=1e-5, atol=1e-5)
    assert (method.image(batch()).pooled - clip.encode_image(pixels).pooled).abs().max() > 1e-3


def test_tokens_of_a_block_change_nothing_before_it_and_hide_what_stood_there():
    method, points = make(depth=2), ("image.block.0.out", "image.block.1.in")
    clip, seen = method.backbone, method.image(batch(), taps=points)
    with torch.no_grad():
        method.vision.tokens[1].add_(1)
    changed = method.image(batch(), taps=points)
    assert torch.equal(changed.taps[points[0]], seen.taps[points[0]]) and not torch.equal(changed.pooled, seen.pooled)
    noise = Edit("image.block.0.out", lambda x: x + 5, slots=(-3, None))
    perturbed = clip.encode_image(batch().pixels(clip.spec), [*method.edits(batch())[:1], noise, *method.edits(batch())[1:]]).pooled
    torch.testing.assert_close(perturbed, changed.pooled, rtol=1e-5, atol=1e-5)


def test_shallow_is_depth_one_and_counts_as_in_the_paper():
    task = Task("single", ClassSet(("a", "b")))
    assert build("vpt", hollow_backbone(), task, {"depth": 1}).trainable() == 8 * 768
    assert build("vpt", hollow_backbone(), task, {"depth": 3}).trainable() == 3 * 8 * 768
    bound = (6 / (3 * 16**2 + 768)) ** 0.5
    widest = max(float(t.abs().max()) for t in build("vpt", hollow_backbone(), task, {"init": "uniform"}).vision.tokens)
    assert 0.99 * bound < widest <= bound


def test_whether_the_first_tokens_are_normalised_matters():
    before, after = make(depth=1), make(depth=1, insertion="after_ln_pre")
    assert torch.equal(before.vision.tokens[0], after.vision.tokens[0])
    assert (before.image(batch()).pooled - after.image(batch()).pooled).abs().max() > 1e-3


def test_dropout_is_live_in_training_only():
    method = make(dropout=0.5)
    plain = make().image(batch()).pooled
    assert torch.equal(method.image(batch()).pooled, plain)
    assert not torch.equal(method.train().image(batch()).pooled, plain)


def test_a_sentence_needs_a_place_for_the_name():
    with pytest.raises(BadData, match="exactly once"):
        make(template="no name")


def test_slots_show_how_much_the_class_token_reads_from_the_tokens():
    method = make()
    shown = inspect.show(method, "slots", batch().row(0))
    assert shown.arrays["read"].shape == (method.backbone.image_layers, 2 + 3)
    assert abs(shown.arrays["read"].sum(1) - 1).max() < 1e-5
    assert not inspect.show(build("vpt", tiny_backbone(), TOY.episode.task), "moved").arrays["image"].any()
