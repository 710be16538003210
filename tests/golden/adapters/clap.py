"""CLAP of ``jusiro/CLAP``: prototypes, multipliers, loss with the constraint and its gradient."""

from typing import Any

import torch

from promptlab.methods.clap import CLAP, WEIGHTS
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    weights = next((w for w in WEIGHTS[1:] if s.get(w) or w in str(s["penalty"])), "class")
    penalty = next((p for p in ("l2", "cosine") if p in str(s["penalty"])), "none")
    templates = tuple(s.get("templates") or (case.prompt,))
    method = make.method(CLAP, case, {"penalty": penalty, "weights": weights}, templates)
    batch = make.batch(case)
    features = method.image(batch).pooled
    zero_shot = method(batch, method.bank()).pred.detach()
    method.pull.copy_(method.weigh(features, case.labels))
    with torch.no_grad():
        method.prototypes.copy_(method.anchor + case.inputs["offset"])
    out = method(batch, method.bank())
    terms = method.loss(out, batch)
    sum(terms.values()).backward()
    return case.named({
        "base_text_features": method.anchor, "features": features, "zero_shot_logits": zero_shot, "multipliers": method.pull,
        "logits": out.pred, "loss_ce": terms["task"], "loss_constraint": terms.get("constraint", torch.zeros(())),
        "loss": sum(terms.values()), "grad.prototypes": method.prototypes.grad,
    })
