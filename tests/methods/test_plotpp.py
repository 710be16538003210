"""PLOT++: one reading and one prompt is CLIP with a visual prompt; two stages; words of uneven length."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from promptlab import inspect
from promptlab.create import build
from promptlab.data.kinds import kind_of
from promptlab.errors import BadHyper
from promptlab.fit.context import FitContext
from promptlab.fit.events import Finished, Progress, Started
from promptlab.parts.tokens import append
from promptlab.testing import tiny_backbone

TOY = kind_of("single").toy(size=32, classes=3, shots=2)
NAMES = TOY.episode.task.classes


def make(**hyper):
    return build("plotpp", tiny_backbone(), TOY.episode.task, hyper)


def batch():
    return next(TOY.episode.support.batches(8))


def test_one_reading_and_one_prompt_leave_nothing_to_transport():
    method = make(ctx_init=("a photo of a",), n_vision=1)
    clip = method.backbone
    v = clip.encode_image(batch().pixels(clip.spec), [append(method.vision[0])]).pooled
    want = clip.scale * F.normalize(v, dim=-1) @ clip.zero_shot(NAMES.clean, ("a photo of a {}.",)).T
    torch.testing.assert_close(method(batch(), method.bank()).pred, want, rtol=1e-4, atol=1e-4)
    method.hyper = dataclasses.replace(method.hyper, trade_off=True)
    torch.testing.assert_close(method(batch(), method.bank()).pred, 2 * want, rtol=1e-4, atol=1e-4)


def test_every_reading_is_a_run_of_its_own():
    method = make(n_vision=3)
    clip, together = method.backbone, method.readings(batch())
    apart = torch.stack([clip.encode_image(batch().pixels(clip.spec), [append(v)]).pooled for v in method.vision])
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-5)


def test_the_first_stage_learns_vision_tokens_only():
    method = make(steps=2, batch=6, augment="none", warmup=0)
    before = {k: v.clone() for k, v in method.state_dict().items()}
    events, seen = [], {}
    for event in method.fit(TOY.episode, FitContext()):
        events.append(event)
        if isinstance(event, Progress):
            seen = {k: v.clone() for k, v in method.state_dict().items()}
    moved = {k for k in seen if not torch.equal(seen[k], before[k])}
    assert moved == {"vision"} and all(not torch.equal(v, seen[k]) for k, v in method.state_dict().items())
    assert [type(e) for e in events if isinstance(e, Started | Finished)] == [Started, Finished] and not method.hyper.trade_off


def test_words_that_are_too_few_borrow_the_end_token_and_too_many_stay_fixed():
    method = make(ctx_init=("a photo of", "a photo", "a photo of one big"))
    clip = method.backbone
    assert all(c.ctx.shape[0] == 3 for c in method.contexts)
    end = clip.embed(torch.tensor([clip.words.end]))[0]
    assert torch.equal(method.contexts[1].ctx[2].detach(), end)
    assert method.contexts[2].texts(NAMES)[0] == "a photo of one big cat."
    assert method.contexts[2].frame(NAMES).rest.shape[1] == method.contexts[0].frame(NAMES).rest.shape[1] + 2
    with pytest.raises(BadHyper, match="initial words"):
        make(ctx_init=())


def test_transport_is_shown_between_readings_and_prompts():
    shown = inspect.show(make(n_vision=2), "transport", batch().row(0))
    assert shown.arrays["plan"].shape == (2, 4) and abs(shown.arrays["plan"].sum() - 1) < 1e-4
