"""Logistic regression on ready features: the convex problem behind linear probes, solved to its optimum."""

import torch
import torch.nn.functional as F
from torch import Tensor


def logistic(features: Tensor, target: Tensor, classes: int, c: float, steps: int = 1000, tolerance: float = 1e-4) -> tuple[Tensor, Tensor]:
    """(weight [C, E], bias [C]), float32, of the minimum of mean CE(W f + b, y) + |W|² / (2 c n); the bias goes free.

    ``features`` [n, E] as they are (not normalised), ``target`` [n]; ``c`` is scikit-learn's inverse strength. L-BFGS from zero in
    float64, so that the answer does not depend on a starting point; at most ``steps`` steps,
    or until no entry of the gradient is larger than ``tolerance`` (both as in scikit-learn).
    """
    x = features.detach().to("cpu" if features.device.type == "mps" else features.device, torch.float64)
    y, centre = target.to(x.device).long(), x.mean(0)
    x = x - centre  # the free bias takes the shift up exactly; features of CLIP share a large mean, which slows the steps
    theta = torch.zeros(classes, x.shape[1] + 1, dtype=x.dtype, device=x.device, requires_grad=True)
    solver = torch.optim.LBFGS([theta], max_iter=steps, tolerance_grad=tolerance, tolerance_change=0.0, history_size=10,
                               line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        loss = objective(x, y, theta[:, :-1], theta[:, -1], c)
        loss.backward()
        return loss

    with torch.enable_grad():
        solver.step(closure)
    weight, bias = theta.detach()[:, :-1], theta.detach()[:, -1]
    return tuple(v.to(features.device, torch.float32).contiguous() for v in (weight, bias - weight @ centre))


def objective(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, c: float) -> Tensor:
    """mean CE + |W|² / (2 c n): scikit-learn's sum over pictures, divided by c n."""
    return F.cross_entropy(x @ weight.T + bias, y) + weight.square().sum() / (2 * c * len(x))
