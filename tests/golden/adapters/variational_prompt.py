"""Bayesian prompts of ``saic-fi/Bayesian-Prompt-Learning``: the Gaussian, the averaged answers, losses and gradients picture by picture."""

from typing import Any

import torch
from torch import nn

from promptlab.methods.variational_prompt import VariationalPrompt, divergence
from tests.golden import make
from tests.golden.harness import Case

VECTORS = {"mean": "mean_posterior", "log_variance": "std_posterior"}


class Hidden(VariationalPrompt):
    """The method with networks of any hidden width, which our share of the joint width may not give."""

    hidden = 0

    def __init__(self, backbone: Any, task: Any, hyper: Any):
        super().__init__(backbone, task, hyper)
        for net in (self.mean, self.log_variance) if self.hidden else ():
            net[0], net[2] = nn.Linear(backbone.joint_dim, self.hidden), nn.Linear(self.hidden, self.hidden)
            net[4] = nn.Linear(self.hidden, backbone.text_width)


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    by_image = s.get("mode") == "conditional"
    values = {**make.context(case), "posterior": "image" if by_image else "shared", "n_samples": s["n_samples"],
              "kl_weight": s["kl_weight"]}
    theirs = {f"{ours}.{i}.{kind}": f"meta_net.weight_{ours}.module.{i}.{kind}" for ours in VECTORS for i in (0, 2, 4)
              for kind in ("weight", "bias")} if by_image else VECTORS
    load = theirs | ({} if s.get("ctx_init") else {"context.ctx": "ctx"})
    kind = type("Hidden", (Hidden,), {"hidden": s.get("meta_hidden", 0) if by_image else 0})
    method = make.method(kind, case, values, **load)
    method.noise = lambda: case.inputs["eps"].flatten(0, 1)
    batch, own = make.batch(case), dict(method.named_parameters())
    rows = [_of(method, batch.row(i)) for i in range(len(batch))]
    names = {"context.ctx": "ctx", **theirs}
    grad = {f"grad.{names[n]}": g for n, g in _gradients(rows[0]["loss"], own).items()}
    whole = _of(method, batch)["loss"]
    found = {key: torch.cat([r[key] for r in rows]) if key != "loss" else torch.stack([r[key] for r in rows]) for key in rows[0]}
    square = {k: g for k, g in grad.items() if g.ndim == 2}
    matrices = {f"{k}.rows": g[:4] for k, g in square.items()} | {f"{k}.rowsum": g.sum(1) for k, g in square.items()}
    return case.named({**found, **grad, **matrices, "ctx": method.context.ctx, "batch_loss": whole,
                       **{f"batch_grad.{names[n]}": g for n, g in _gradients(whole, own).items()}})


def _of(method: VariationalPrompt, part: Any) -> dict[str, Any]:
    out = method(part, method.bank())
    mu, rho = (out.aux[k].expand(len(part), -1) for k in ("mu", "rho"))
    return {"mu": mu, "logvar": rho, "kl": divergence(mu, rho), "log_probs": out.pred, "loss": sum(method.loss(out, part).values())}


def _gradients(loss: Any, own: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(own, torch.autograd.grad(loss, list(own.values()), retain_graph=True), strict=True))
