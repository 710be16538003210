"""Sinkhorn: marginals, agreement with another implementation and with the log domain, stopping rules, extremes."""

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.errors import BadHyper
from promptlab.parts.transport import sinkhorn, uniformity


def problem(g: int = 1, p: int = 3, m: int = 16, n: int = 4, seed: int = 0, spread: float = 0.3) -> torch.Tensor:
    return 1 - spread * torch.randn(g, p, m, n, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("eps", [0.05, 0.1, 1.0])
def test_equals_pot(eps: float) -> None:
    cost = problem()
    ours = sinkhorn(cost, eps, 5000, 0.0, log=True).plan[0]
    for pair in range(cost.shape[1]):
        c = cost[0, pair].double().numpy()
        theirs = ot.sinkhorn(np.full(16, 1 / 16), np.full(4, 1 / 4), c, eps, numItermax=20000, stopThr=1e-12, method="sinkhorn_log")
        np.testing.assert_allclose(ours[pair], theirs, rtol=2e-4, atol=2e-7)


@given(st.integers(1, 20), st.integers(1, 6), st.floats(0.08, 2.0), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_marginals_after_many_sweeps(m: int, n: int, eps: float, seed: int) -> None:
    moved = sinkhorn(problem(m=m, n=n, seed=seed), eps, 3000, 1e-9)
    torch.testing.assert_close(moved.plan.sum(-1), torch.full((1, 3, m), 1 / m), rtol=2e-3, atol=1e-6)
    torch.testing.assert_close(moved.plan.sum(-2), torch.full((1, 3, n), 1 / n), rtol=1e-5, atol=1e-7)
    assert moved.error < 2e-3


def test_log_domain_makes_the_same_sweeps() -> None:
    cost = problem(g=4)
    plain, log = sinkhorn(cost, 0.1, log=False), sinkhorn(cost, 0.1, log=True)
    torch.testing.assert_close(plain.plan, log.plan, rtol=1e-5, atol=1e-8)
    assert torch.equal(plain.sweeps, log.sweeps)


def test_stop_is_per_group() -> None:
    """A group's plan does not depend on the groups beside it; within one group the mean over its pairs decides."""
    cost = torch.cat([problem(seed=1), problem(seed=2, spread=0.01)])
    both = sinkhorn(cost, 0.1)
    assert both.sweeps[0] > both.sweeps[1]
    for i in range(2):
        alone = sinkhorn(cost[i : i + 1], 0.1)
        assert alone.sweeps[0] == both.sweeps[i]
        torch.testing.assert_close(alone.plan[0], both.plan[i], rtol=1e-6, atol=0)
    assert sinkhorn(cost.flatten(0, 1)[None], 0.1).sweeps.shape == (1,)


def test_one_prompt_gives_uniform_rows() -> None:
    plan = sinkhorn(problem(n=1), 0.1).plan
    torch.testing.assert_close(plan, torch.full_like(plan, 1 / 16))


def test_tiny_eps_goes_through_the_log_domain() -> None:
    moved = sinkhorn(problem(), 2e-3, 500, 1e-9)
    assert torch.isfinite(moved.plan).all() and uniformity(moved.plan) < 0.85
    assert uniformity(sinkhorn(problem(), 10.0).plan) > 0.999


def test_a_plan_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(BadHyper, match="eps"):
        sinkhorn(torch.full((1, 1, 2, 2), float("nan")), 0.1)


def test_no_gradient_flows_through_the_plan() -> None:
    assert not sinkhorn(problem().requires_grad_(), 0.1).plan.requires_grad
