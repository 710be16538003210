"""PromptAlign: statistics that are zero from themselves, a step that is forgotten, and MaPLe at its ends."""

import dataclasses

import pytest
import torch

from promptlab import inspect
from promptlab.create import build
from promptlab.data.kinds import kind_of
from promptlab.fit.context import FitContext
from promptlab.fit.episodic import forgotten, tune
from promptlab.testing import tiny_backbone

TOY = kind_of("single").toy(size=32, classes=3, shots=2)


def make(fitted=True, **hyper):
    method = build("promptalign", tiny_backbone(), TOY.episode.task, {"n_views": 4, "share": 0.5, "steps": 2, "batch": 6, "augment": "none",
                                                                       "warmup": 0, **hyper})
    if fitted:
        list(method.fit(TOY.episode, FitContext()))
    return method


def answer(method, **live):
    method.hyper = dataclasses.replace(method.hyper, **live)
    with torch.no_grad():
        return method.predict(next(TOY.test.split.batches(2)), method.bank())


def test_own_statistics_have_no_gap():
    method = make()
    seen = method.tokens(method.image(next(TOY.episode.support.batches(6)), taps=method.points))
    assert method.mean.shape == seen.shape[:1] + seen.shape[2:] and float(method.gaps(seen).max()) < 1e-5
    shifted = seen + torch.tensor([1.0, 3.0])[:, None, None, None]
    torch.testing.assert_close(method.gaps(shifted), torch.tensor([0.5, 1.5]), rtol=1e-4, atol=1e-4)
    assert not make(fitted=False).gaps(seen).any()


def test_without_steps_it_is_maple():
    method = make()
    batch = next(TOY.test.split.batches(2))
    torch.testing.assert_close(answer(method, tta_steps=0).pred, method.maple(batch, method.maple.bank()).pred, rtol=1e-4, atol=1e-4)


def test_the_step_closes_the_gap_and_is_forgotten():
    method = make()
    method.mean[1, -2:] += 0.5 * torch.randn(2, method.mean.shape[-1], generator=torch.Generator().manual_seed(0))  # prompts can get there
    before = {k: v.clone() for k, v in method.state_dict().items()}
    out = answer(method, tta_lr=1e-3, align=1000.0, tta_steps=3)
    assert (out.aux["gap"][:, 1].sum(-1) < out.aux["gap"][:, 0].sum(-1)).all()
    assert not torch.equal(out.pred, answer(method, tta_steps=0).pred)
    assert all(torch.equal(before[k], v) for k, v in method.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in method.parameters())
    shown = inspect.show(method, "alignment", TOY.test.split.take([0]))
    assert shown.arrays["before"].shape == (2,)


def test_a_picture_does_not_see_the_one_before():
    method = make()
    both = answer(method, tta_lr=0.01).pred
    alone = method.predict(next(TOY.test.split.take([1]).batches(1)), method.bank()).pred
    torch.testing.assert_close(both[1:], alone.detach())


def test_forgotten_puts_back_after_an_error_too():
    module = torch.nn.Linear(3, 1)
    module.weight.requires_grad_(False)
    before = module.weight.clone()
    with pytest.raises(KeyError), forgotten(module) as params:
        losses = tune(params, lambda: (module(torch.ones(1, 3)) - 1).square().sum(), 2, 0.1)
        assert losses[1] < losses[0] and not torch.equal(module.weight, before)
        raise KeyError
    assert torch.equal(module.weight, before) and not module.weight.requires_grad and module.weight.grad is None
