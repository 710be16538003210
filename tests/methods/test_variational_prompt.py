"""Variational prompts: without noise they are CoOp, the divergence is the closed form, and answers are the same each time."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from promptlab.create import build
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.methods.variational_prompt import divergence
from promptlab.testing import tiny_backbone

NAMES = ClassSet(("cat", "bus stop", "owl"))
PART = Batch.of(torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.tensor([2, 0, 1]))


def make(key="variational_prompt", **hyper):
    return build(key, tiny_backbone(), Task("single", NAMES), hyper)


@pytest.mark.parametrize("samples", [1, 7])
def test_without_spread_it_is_coop(samples):
    method, coop = make(n_samples=samples, log_variance=-40.0), make("coop", ctx_init="a photo of a")
    want = coop(PART, coop.bank()).pred.log_softmax(-1)
    torch.testing.assert_close(method(PART, method.bank()).pred, want, rtol=1e-4, atol=1e-4)


def test_the_answer_is_the_mean_probability():
    method = make(n_samples=5)
    bank = method.bank()
    each = torch.stack([method.cosine(method.image(PART).pooled, t).softmax(-1) for t in bank.text])
    out = method(PART, bank)
    torch.testing.assert_close(out.pred.exp(), each.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(out.pred.logsumexp(-1), torch.zeros(3), rtol=0, atol=1e-5)
    assert torch.equal(out.pred, method(PART, method.bank()).pred)  # the same samples again
    method.train()
    assert not torch.equal(out.pred, method(PART, method.bank()).pred)


def test_divergence():
    g = torch.Generator().manual_seed(0)
    mu, rho = torch.randn(4, 9, generator=g), torch.randn(4, 9, generator=g)
    want = kl_divergence(Normal(mu, (rho / 2).exp()), Normal(0.0, 1.0)).mean(-1)
    torch.testing.assert_close(divergence(mu, rho), want)


def test_one_sample_is_cross_entropy_plus_divergence():
    method = make(n_samples=1, kl_weight=0.5)
    out = method(PART, method.bank())
    (mu, rho), terms = method.gaussian(None), method.loss(out, PART)
    torch.testing.assert_close(terms["task"], -out.pred[torch.arange(3), PART.target].mean())
    torch.testing.assert_close(terms["kl"], 0.5 * divergence(mu, rho)[0])
    assert 0 <= float(rho.detach().min()) and float(rho.detach().max()) < 1 and not mu.any()


def test_a_gaussian_for_each_picture():
    method = make(posterior="image", n_samples=3)
    whole = method(PART, method.bank())
    assert whole.aux["mu"].shape == (3, method.backbone.text_width) and whole.aux["samples"].shape == (3, 3, 3)
    for i in range(3):
        torch.testing.assert_close(method(PART.row(i), method.bank()).pred, whole.pred[i : i + 1], rtol=1e-4, atol=1e-4)
