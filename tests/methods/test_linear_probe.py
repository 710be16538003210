"""The probe against a plain formulation of its convex problem, and the path of its search."""

import math

import numpy as np
import torch
from scipy.optimize import minimize

from promptlab.create import build
from promptlab.data.kinds import kind_of
from promptlab.fit.context import FitContext
from promptlab.parts.probe import logistic
from promptlab.testing import tiny_backbone

TOY = kind_of("single").toy(size=32, classes=4, shots=4)


def data(n=24, d=6, k=3):
    g = torch.Generator().manual_seed(0)
    y = torch.arange(n) % k
    return 5 + torch.randn(n, d, generator=g) + torch.randn(k, d, generator=g)[y], y


def reference(x, y, k, c):
    """scikit-learn's objective, c · Σ CE + |W|² / 2, by SciPy."""
    x, hot = x.double().numpy(), np.eye(k)[y.numpy()]

    def value(theta):
        w = theta.reshape(k, -1)
        z = x @ w[:, :-1].T + w[:, -1]
        z = z - z.max(1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
        g = c * (np.exp(log_p) - hot).T @ np.c_[x, np.ones(len(x))]
        g[:, :-1] += w[:, :-1]
        return -c * (hot * log_p).sum() + 0.5 * (w[:, :-1] ** 2).sum(), g.ravel()

    return minimize(value, np.zeros(k * (x.shape[1] + 1)), jac=True, method="L-BFGS-B",
                    options={"maxiter": 5000, "ftol": 0, "gtol": 1e-9}).x.reshape(k, -1)


def test_same_optimum_as_a_plain_solver():
    x, y = data()
    for c in (0.01, 1.0, 100.0):
        weight, bias = logistic(x, y, 3, c, 5000, 1e-9)
        want = reference(x, y, 3, c)
        torch.testing.assert_close(weight, torch.from_numpy(want[:, :-1]).float(), rtol=1e-3, atol=1e-4)
        z, plain = x @ weight.T + bias, x @ torch.from_numpy(want[:, :-1].T).float() + torch.from_numpy(want[:, -1]).float()
        torch.testing.assert_close(z - z.mean(1, keepdim=True), plain - plain.mean(1, keepdim=True), rtol=1e-3, atol=1e-3)


def test_the_bias_is_free_and_the_weight_is_not():
    x, y = data()
    weight, bias = logistic(x, torch.zeros_like(y), 3, 1e-6)
    assert weight.abs().max() < 1e-3 and bias.argmax() == 0


def fit(**hyper):
    method = build("linear_probe", tiny_backbone(), TOY.episode.task, hyper)
    return method, list(method.fit(TOY.episode, FitContext()))


def test_search_halves_towards_the_better_end_and_keeps_the_last_winner():
    method, _ = fit(halvings=3)
    c, accuracy = method.path.T
    assert torch.allclose(c[:7].log10(), torch.tensor([6.0, 4, 2, 0, -2, -4, -6])) and (c > 0).all()
    peak = math.log10(float(c[:7][accuracy[:7].argmax()]))
    left, right = peak - 1, peak + 1
    for i in range(7, 13, 2):
        assert torch.allclose(c[i : i + 2].log10(), torch.tensor([left, right]), atol=1e-4)
        up = bool(accuracy[i] < accuracy[i + 1])
        winner = right if up else left
        left, right = ((left + right) / 2, right) if up else (left, (left + right) / 2)
    other, _ = fit(c=10**winner)
    torch.testing.assert_close(other.head.weight, method.head.weight, rtol=1e-3, atol=1e-4)


def test_without_validation_or_with_a_given_strength_nothing_is_searched():
    method = build("linear_probe", tiny_backbone(), TOY.episode.task, {})
    list(method.fit(TOY.episode.replace(val=None), FitContext()))
    given, _ = fit(c=0.316)
    assert not method.path.any() and torch.equal(given.head.weight, method.head.weight)
    f, y = method.features(TOY.episode.support)
    assert torch.equal(method(next(TOY.episode.support.batches(64)), method.bank()).pred, method.head(f)) and len(y) == 16
