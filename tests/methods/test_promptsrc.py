"""PromptSRC: what its terms are zero for, and what its average is made of."""

import pytest
import torch
import torch.nn.functional as F

from promptlab import inspect
from promptlab.create import build
from promptlab.data.kinds import kind_of
from promptlab.fit.context import FitContext
from promptlab.fit.events import Epoch
from promptlab.losses import cross_entropy
from promptlab.testing import tiny_backbone

TOY = kind_of("single").toy(size=32, classes=3, shots=4)
NAMES = TOY.episode.task.classes


def make(**hyper):
    return build("promptsrc", tiny_backbone(), TOY.episode.task, {"teacher": "simple", **hyper})


def batch():
    return next(TOY.episode.support.batches(12))


def test_prompts_that_change_nothing_cost_nothing():
    method = make(depth=1, depth_vision=0)
    terms = method.loss(method(batch(), method.bank()), batch())
    assert all(float(terms[k]) < 1e-4 for k in ("text", "image", "logits")) and float(terms["task"]) > 0.1


def test_deep_prompts_equal_to_what_stands_there_change_nothing():
    """The frozen model's own activations at the prompt slots, put back by deep prompts: a strong test of places."""
    method = make(depth=2, depth_vision=0)
    clip = method.backbone
    plain = clip.encode_text(NAMES.prompts("a photo of a {}."), taps=("text.block.1.in",))
    with torch.no_grad():
        method.prompts.deep.tokens[0].copy_(plain.taps["text.block.1.in"][0, 1:5])  # causal: the same for all classes
    torch.testing.assert_close(method.text(method.prompts.inputs(NAMES)), plain.pooled, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        method.prompts.deep.tokens[0].copy_(method.prompts.deep.tokens[0].flip(0).clone())
    assert (method.text(method.prompts.inputs(NAMES)) - plain.pooled).abs().max() > 1e-3


def test_terms_by_hand():
    method = make(text_weight=3.0, image_weight=5.0, logits_weight=7.0)
    out, teacher = method(batch(), method.bank()), method.teacher(NAMES)
    frozen = F.normalize(method.backbone.cached_image(batch()).pooled, dim=-1)
    p0, p = (method.backbone.scale * frozen @ teacher.T).softmax(-1), out.pred.softmax(-1)
    want = {"task": cross_entropy(out.pred, batch().target), "text": 3 * (out.aux["text"] - teacher).abs().mean(),
            "image": 5 * (out.aux["image"] - frozen).abs().mean(), "logits": 7 * (p0 * (p0.log() - p.log())).sum() / p.numel()}
    for name, value in method.loss(out, batch()).items():
        torch.testing.assert_close(value, want[name], rtol=1e-4, atol=1e-6)


def test_the_answer_is_the_weighted_mean_of_the_epochs():
    method, seen = make(epochs=3, batch=6, gpa_mean=2.0, gpa_std=0.7, augment="none", lr=0.05, warmup=0), []
    for event in method.fit(TOY.episode, FitContext()):
        if isinstance(event, Epoch):
            seen.append(method.prompts.context.ctx.detach().clone())
    weights = method.epoch_weights(3)
    assert sum(weights) == pytest.approx(1) and max(weights) == weights[1]
    torch.testing.assert_close(method.prompts.context.ctx.detach(), sum(w * v for w, v in zip(weights, seen)), rtol=1e-5, atol=1e-6)
    assert make(gpa=False).epoch_weights(3) == [0.0, 0.0, 1.0]


def test_kept_is_one_where_nothing_moved():
    shown = inspect.show(make(depth=1, depth_vision=0), "kept", TOY.episode.support)
    assert abs(shown.arrays["text"] - 1).max() < 1e-5 and abs(shown.arrays["pictures"] - 1).max() < 1e-5
    assert inspect.show(make(), "kept", TOY.episode.support).arrays["pictures"].max() < 1
