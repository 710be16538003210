"""Optimal transport between prompts and regions: one map a prompt, for any method with several prompts and local features."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.errors import WrongKind
from promptlab.inspect.evidence import picture
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.subject import class_index, method_of, one_picture
from promptlab.method import Method, sandbox
from promptlab.parts.transport import sinkhorn, uniformity

EPS = (0.3, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005)  # values of the control, from even to decided
SWEEPS, CLOSE = 2000, 1e-7  # for plans whose marginals hold


@torch.no_grad()
def local_cost(method: Method, image: Any, name: str | int | None) -> tuple[Tensor, tuple[int, int], int, np.ndarray]:
    """Cost [M, N] of the regions of one picture and the N prompts of one class; the grid, the class, the picture.

    The method's own cost where its answer holds one (``aux["cost"]`` [B, C, M, N]: regions, or several image features), else
    1 - cosine of the projected local features and the class's prompts.
    """
    batch = one_picture(method, image)
    with sandbox(method):
        bank = method.bank()
        out = method.predict(batch, bank)
        c = class_index(method, name, out.pred[0].flatten(1).amax(1) if out.pred.ndim == 4 else out.pred[0])
        own = out.aux.get("cost")
        if isinstance(own, Tensor) and own.ndim == 4:
            cost, grid = own[0, c].float(), out.aux.get("grid")
        elif bank.text is None or bank.text.ndim != 3:
            raise WrongKind(f"{method.card.name} has one prompt per class, so there is nothing to transport; plot has several.")
        else:
            local = method.image(batch, tokens=True)
            grid = local.grid
            cost = 1 - F.normalize(local.tokens[0].float(), dim=-1) @ F.normalize(bank.text[:, c].float(), dim=-1).T
    fits = grid is not None and grid[0] * grid[1] == len(cost)
    return cost, tuple(grid) if fits else (1, len(cost)), c, picture(method, batch)


def transport(subject: Any, image: Any, name: str | int | None = None, *, eps: float | None = None, max_iter: int | None = None) -> Exhibit:
    """Transport plan of one picture and one class (default: the predicted one) at the method's settings or the given ones.

    arrays: ``plan``, ``cost`` [M, N]; ``maps`` [N, h, w] (a prompt's mass over the picture, N·plan: each sums to one); ``row`` [M] and
    ``column`` [N] marginals; ``steps`` [T, N, h, w] after 1, 2, 4, ... sweeps; ``eps_maps`` [E, N, h, w] at other ``eps`` [E], swept
    until the marginals hold, and ``eps_entropy`` [E]; ``picture``. sanity: largest marginal error; entropy of the plan relative to the
    uniform one (1 = transport decided nothing).
    """
    method = method_of(subject)
    hyper = method.hyper
    eps = getattr(hyper, "eps", 0.1) if eps is None else eps
    max_iter = getattr(hyper, "max_iter", 100) if max_iter is None else max_iter
    cost, grid, c, shown = local_cost(method, image, name)
    thresh = getattr(hyper, "thresh", 1e-2)
    done = sinkhorn(cost[None, None], eps, max_iter, thresh)
    plan = done.plan[0, 0]
    sweeps = [2**i for i in range(12) if 2**i < int(done.sweeps[0])] + [int(done.sweeps[0])]
    steps = torch.stack([_maps(sinkhorn(cost[None, None], eps, s, 0.0).plan[0, 0], grid) for s in sweeps])
    others = [sinkhorn(cost[None, None], e, SWEEPS, CLOSE).plan[0, 0] for e in EPS]
    arrays = {"plan": plan, "cost": cost, "maps": _maps(plan, grid), "row": plan.sum(1), "column": plan.sum(0), "steps": steps,
              "eps": torch.tensor(EPS), "eps_maps": torch.stack([_maps(p, grid) for p in others]),
              "eps_entropy": torch.tensor([uniformity(p) for p in others])}
    return Exhibit(
        "transport",
        f"Transport of the prompts of '{method.task.classes.names[c]}'",
        {k: v.cpu().numpy() for k, v in arrays.items()} | {"picture": shown},
        {"prompt": [f"prompt {i + 1}" for i in range(plan.shape[1])], "sweep": [str(s) for s in sweeps]},
        "Each map is where one prompt's mass goes. Relative entropy near 1: almost uniform; a lower eps makes it decide.",
        (
            Sanity("largest marginal error, of a region's mass", marginal_error(plan)),
            Sanity("entropy relative to the uniform plan", uniformity(plan), 1.0),
        ),
        {"class": method.task.classes.names[c], "eps": eps, "max_iter": max_iter, "thresh": thresh, "sweeps": int(done.sweeps[0])},
    )


def marginal_error(plan: Tensor) -> float:
    """Largest absolute error of the marginals of a plan [M, N] with uniform ones."""
    m, n = plan.shape
    return float(max((plan.sum(1) - 1 / m).abs().max(), (plan.sum(0) - 1 / n).abs().max()))


def _maps(plan: Tensor, grid: tuple[int, int]) -> Tensor:
    """Plan [M, N] → [N, h, w], each summing to one."""
    return (plan.T / plan.sum(0)[:, None]).reshape(-1, *grid)


EXHIBITS = {"transport": transport}
SHOWS = {"transport": "transport"}
