"""Entropic optimal transport between small sets (Sinkhorn), for prompts that are matched to image regions.

For a cost C [M, N] and uniform marginals, K = exp(-C / eps) and sweeps r = (1/M) / (K c), c = (1/N) / (Kᵀ r) from r = c = 1;
plan = diag(r) K diag(c). Source: Cuturi 2013, arXiv:1306.0895; stopping rule of PLOT, arXiv:2210.01253.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from promptlab.errors import BadHyper

UNDERFLOW = 80.0  # exp(-80) is still a normal float32; larger cost / eps ratios need the log domain


@dataclass(frozen=True)
class Transport:
    """``plan`` [G, P, M, N]; ``sweeps`` [G] int32; ``error``: largest relative violation of a row marginal (columns are exact)."""

    plan: Tensor
    sweeps: Tensor
    error: float


@torch.no_grad()
def sinkhorn(cost: Tensor, eps: float, max_iter: int = 100, thresh: float = 1e-2, *, log: bool | None = None) -> Transport:
    """Plans for ``cost`` [G, P, M, N]: G independent groups of P pairs each; float32, no gradient.

    A group stops after the sweep in which the mean absolute change of r over its P pairs is below ``thresh`` (PLOT's rule:
    with one group per batch the plan of one image depends on its batch, with one group per image it does not).
    ``log``: sweep in the log domain, the same iterates without under- or overflow; by default where exp(-cost/eps) would vanish.
    """
    cost = cost.float()
    if log is None:
        log = bool(cost.numel()) and float(cost.max() - cost.min().clamp(max=0)) / eps > UNDERFLOW
    sweep = _log_sweep if log else _sweep
    kernel = -cost / eps if log else torch.exp(-cost / eps)
    r = torch.full_like(cost[..., :1], 0.0 if log else 1.0)
    c = torch.full_like(cost[..., :1, :], 0.0 if log else 1.0)
    live = torch.ones(len(cost), dtype=torch.bool, device=cost.device)
    sweeps = torch.zeros(len(cost), dtype=torch.int32, device=cost.device)
    for _ in range(max_iter):
        r_new, c_new = sweep(kernel, c)
        change = (r_new.exp() - r.exp() if log else r_new - r).abs().flatten(1).mean(1)
        keep = live[:, None, None, None]
        r, c, sweeps = torch.where(keep, r_new, r), torch.where(keep, c_new, c), sweeps + live.int()
        live = live & ~(change < thresh)
        if not bool(live.any()):
            break
    plan = torch.exp(r + kernel + c) if log else r * kernel * c
    if not bool(torch.isfinite(plan).all()):
        raise BadHyper(f"the transport plan is not finite with eps={eps:g}; use a larger eps (the paper has 0.1).")
    m = cost.shape[-2]
    return Transport(plan, sweeps, float((plan.sum(-1) * m - 1).abs().max()) if plan.numel() else 0.0)


def match(sim: Tensor, eps: float, max_iter: int, thresh: float, *, together: bool = False) -> Transport:
    """The plans [B, C, M, N] that move M image features to N prompts where ``sim`` [B, C, M, N] is large; cost 1 - sim, no gradient.
    ``together``: the sweeps of a whole batch stop at once (the public rule of PLOT), else those of each image by themselves."""
    cost = 1 - sim.detach()
    found = sinkhorn(cost.flatten(0, 1)[None] if together else cost, eps, max_iter, thresh)
    return Transport(found.plan.reshape(sim.shape), found.sweeps, found.error)


def _sweep(kernel: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """kernel [..., M, N], c [..., 1, N] → r [..., M, 1], c."""
    m, n = kernel.shape[-2:]
    r = (1 / m) / (kernel @ c.mT)
    return r, (1 / n) / (kernel.mT @ r).mT


def _log_sweep(kernel: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The same in logarithms: log kernel [..., M, N], log c [..., 1, N] → log r, log c."""
    m, n = kernel.shape[-2:]
    r = -math.log(m) - (kernel + c).logsumexp(-1, keepdim=True)
    return r, -math.log(n) - (kernel + r).logsumexp(-2, keepdim=True)


def uniformity(plan: Tensor) -> float:
    """Mean entropy of the plans over that of the uniform plan: 1 means that transport decided nothing (a sanity number)."""
    m, n = plan.shape[-2:]
    p = plan.flatten(-2)
    return float((-(p * p.clamp_min(1e-30).log()).sum(-1)).mean() / math.log(m * n))
