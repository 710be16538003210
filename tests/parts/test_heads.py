"""Heads: what they are at the start, at the ends of their knobs, and what their gradients must be."""

import pytest
import torch
import torch.nn.functional as F

from promptlab.parts.heads import Bottleneck, LinearHead, Residual


def features(rows: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, 16, generator=torch.Generator().manual_seed(seed)) * 3


def test_bottleneck_is_two_maps_and_never_negative() -> None:
    made, f = Bottleneck(16, 4), features(5)
    w1, w2 = made.fc[0].weight, made.fc[2].weight
    assert w1.shape == (4, 16) and w2.shape == (16, 4) and [n for n, _ in made.named_parameters()] == ["fc.0.weight", "fc.2.weight"]
    torch.testing.assert_close(made(f), F.relu(F.relu(f @ w1.T) @ w2.T))
    assert (made(f) >= 0).all() and Bottleneck(3, 64).fc[0].weight.shape == (1, 3)


def test_residual_of_zero_is_the_base() -> None:
    base = features(6)
    torch.testing.assert_close(Residual(6, 16)(base, 0.7), F.normalize(base, dim=-1))


def test_residual_gradient_is_orthogonal_to_the_classifier() -> None:
    """The length of w_c is divided out, so the loss cannot pull along it."""
    made, base = Residual(6, 16), features(6)
    torch.nn.init.normal_(made.residual)
    logits = 20 * F.normalize(features(9, 1), dim=-1) @ made(base, 0.5).T
    F.cross_entropy(logits, torch.arange(9) % 6).backward()
    w = base + 0.5 * made.residual
    along = F.cosine_similarity(made.residual.grad, w, dim=-1)
    torch.testing.assert_close(along, torch.zeros(6), rtol=0, atol=1e-5)


def test_residual_rows_follow_the_names() -> None:
    made, base = Residual(6, 16), features(6)
    torch.nn.init.normal_(made.residual)
    torch.testing.assert_close(made(base[[4, 1]], 0.5, [4, 1]), made(base, 0.5)[[4, 1]])


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_linear_head_interpolates_its_logits(share: float) -> None:
    """With fixed features the logits lie on the line between both ends, and the ends are hit exactly."""
    made, f, start = LinearHead(5, 16), features(7), (features(5, 2), 0.5)
    torch.nn.init.normal_(made.weight)
    torch.nn.init.normal_(made.bias)
    zero, one = f @ start[0].T + start[1], f @ (start[0] + made.weight).T + (start[1] + made.bias)
    got = made(f, start, share)
    torch.testing.assert_close(got, (1 - share) * zero + share * one)
    if share in (0.0, 1.0):
        assert torch.equal(got, one if share else zero)
