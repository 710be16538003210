"""Losses against their formulas."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab import losses
from promptlab.data.kinds import KINDS, kind_of


def logits(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def test_cross_entropy_is_torchs():
    x, y = logits(8, 5), torch.arange(8) % 5
    assert torch.allclose(losses.cross_entropy(x, y), F.cross_entropy(x, y))
    assert torch.allclose(losses.cross_entropy(x, y, 0.1), F.cross_entropy(x, y, label_smoothing=0.1))
    y[3] = -1
    assert torch.allclose(losses.cross_entropy(x, y), F.cross_entropy(x[y >= 0], y[y >= 0]))
    nothing = losses.cross_entropy(x, torch.full((8,), -1))
    nothing.backward()
    assert nothing == 0 and (x.grad == 0).all()


def test_soft_targets_contain_hard_ones():
    x, y = logits(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    assert torch.allclose(losses.soft_cross_entropy(x, F.one_hot(y, 4).float()), F.cross_entropy(x, y))


def test_kl_is_zero_on_itself_and_positive_else():
    x, t = logits(6, 4), logits(6, 4, seed=1)
    p, q = t.softmax(-1), x.softmax(-1)
    assert losses.kl(x, x).abs() < 1e-6
    assert torch.allclose(losses.kl(x, t), (p * (p / q).log()).sum(-1).mean(), atol=1e-6)
    assert losses.kl(x, t, 2.0) < losses.kl(x, t)


def test_unknown_labels_have_no_gradient():
    y = torch.tensor([[1, 0, -1], [-1, -1, 0]])
    for loss in (losses.known_bce, losses.asymmetric):
        x = logits(2, 3)
        loss(x, y).backward()
        assert (x.grad[y == -1] == 0).all() and (x.grad[y != -1] != 0).all()
    x = logits(2, 3)
    assert losses.known_bce(x, torch.full((2, 3), -1)) == 0


def asymmetric_by_the_card(p, y, m=0.05, pos=1.0, neg=2.0):
    q = (1 - p + m).clamp(max=1)
    terms = (y == 1) * (1 - p).detach() ** pos * p.clamp(min=1e-6).log() + (y == 0) * (1 - q).detach() ** neg * q.clamp(min=1e-6).log()
    return -terms.sum()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 3), st.floats(0, 3), st.floats(0, 0.3))
def test_asymmetric_loss_is_the_cards(seed, pos, neg, clip):
    pair, y = logits(5, 2, 4, seed=seed), torch.randint(-1, 2, (5, 4), generator=torch.Generator().manual_seed(seed))
    got = losses.asymmetric(pair, y, pos, neg, clip)
    want = asymmetric_by_the_card(pair.softmax(1)[:, 1], y, clip, pos, neg)
    difference = losses.asymmetric(pair[:, 1] - pair[:, 0], y, pos, neg, clip)
    assert torch.allclose(got, want, rtol=1e-5) and torch.allclose(got, difference, rtol=1e-4, atol=1e-5)
    (a,), (b,) = torch.autograd.grad(got, pair), torch.autograd.grad(want, pair)
    assert torch.allclose(a, b, atol=1e-6)


def test_marginal_entropy_is_the_entropy_of_the_mean():
    x = logits(7, 5)
    mean = x.softmax(-1).mean(0)
    assert torch.allclose(losses.marginal_entropy(x), -(mean * mean.log()).sum(), atol=1e-6)
    assert torch.allclose(losses.entropy(x), torch.distributions.Categorical(logits=x).entropy(), atol=1e-6)
    sure = torch.tensor([[0.0, -2000.0, -3000.0]] * 4)
    assert losses.marginal_entropy(sure) == 0 and torch.isfinite(losses.entropy(sure)).all()


def test_cosine_distance():
    a = logits(4, 6)
    assert losses.cosine_distance(a, 3 * a).abs() < 1e-6 and losses.cosine_distance(a, -a).item() == pytest.approx(2)


@pytest.mark.parametrize("name", KINDS)
def test_a_toy_episode_can_be_learned_by_a_linear_map(name):
    kind = kind_of(name)
    toy = kind.toy(size=16, classes=4, shots=2, seed=3)
    support, test = toy.episode.support, toy.test.split

    def answer(split, weight):
        pixels = split.source.pixels(split.rows, None)
        if name == "dense":  # one linear map a pixel position
            return torch.einsum("bdhw,cdhw->bchw", pixels, weight.view(4, 3, 16, 16))
        return pixels.flatten(1) @ weight.T

    weight = torch.zeros(4, 3 * 16 * 16, requires_grad=True)
    optimiser = torch.optim.Adam([weight], 0.01)
    for _ in range(150):
        optimiser.zero_grad()
        kind.loss(answer(support, weight), support.targets).backward()
        optimiser.step()
    for split in (support, test):
        found = kind.metrics(answer(split, weight.detach()), split.targets, toy.test.task.classes.names)
        assert found[kind.headline] > 0.8


@pytest.mark.parametrize("name", KINDS)
def test_toys_are_repeatable_and_their_sizes_are_told_apart(name):
    kind = kind_of(name)
    a, b, c = kind.toy(size=16, seed=1), kind.toy(size=16, seed=1), kind.toy(size=24, seed=1)
    first, second = (t.episode.support.source.pixels(t.episode.support.rows, None) for t in (a, b))
    assert torch.equal(first, second)
    assert a.episode.support.source.key == b.episode.support.source.key != c.episode.support.source.key
    assert a.episode.pool.targets is None and len(kind.toy(classes=11).episode.task.classes) == 11
    assert a.episode.support.source.key != a.test.split.source.key
