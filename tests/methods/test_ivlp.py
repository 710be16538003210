"""IVLP: words at the start, two towers without a tie."""

import torch

from promptlab import inspect
from promptlab.create import build
from promptlab.data.kinds import kind_of
from promptlab.testing import tiny_backbone

TOY = kind_of("single").toy(size=32, classes=3, shots=2)
NAMES = TOY.episode.task.classes


def make(**hyper):
    return build("ivlp", tiny_backbone(), TOY.episode.task, hyper)


def batch():
    return next(TOY.episode.support.batches(8))


def test_text_of_depth_one_is_the_sentence_itself():
    method = make(depth=1, depth_vision=0)
    assert method.prompts.context.texts(NAMES)[0] == "a photo of a cat." and len(method.prompts.context.ctx) == 2
    torch.testing.assert_close(method.bank().text, method.plain(NAMES, ("a photo of a {}.",)), rtol=1e-5, atol=1e-5)
    assert torch.equal(method.image(batch()).pooled, method.backbone.cached_image(batch()).pooled)
    assert make(n_ctx=5).prompts.context.words is None


def test_towers_do_not_hear_each_other():
    method = make()
    method.image(batch()).pooled.sum().backward()
    text = [*method.prompts.deep.tokens, method.prompts.context.ctx]
    assert all(p.grad is None for p in text) and all(p.grad.any() for p in method.prompts.vision.tokens)


def test_depths_are_cut_to_the_towers():
    method = make(depth=64, depth_vision=64)
    clip = method.backbone
    assert len(method.prompts.deep.tokens) == clip.text_layers - 1 and len(method.prompts.vision.tokens) == clip.image_layers


def test_moved_shows_distance_from_the_start():
    method = make(depth=2, depth_vision=3)
    with torch.no_grad():
        method.prompts.vision.tokens[1][0] += 0.5
        method.prompts.context.ctx[1] += 0.25
    shown = inspect.show(method, "moved").arrays
    width_v, width_t = method.backbone.image_width, method.backbone.text_width
    assert abs(shown["image"][1, 0] - 0.5 * width_v**0.5) < 1e-4 and shown["image"].sum() == shown["image"][1, 0]
    assert abs(shown["text"][0, 1] - 0.25 * width_t**0.5) < 1e-4 and shown["text"].shape == (2, 2)
