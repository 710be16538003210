"""SubPT of ``machengcheng2016/Subspace-Prompt-Learning``: principal directions, the projected gradient, the step, the novel names."""

from typing import Any

import torch

from promptlab.fit.optim import optimiser
from promptlab.losses import cosine_distance
from promptlab.methods.subpt import SubPT, principal
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    names = tuple(s.get("nfl_classnames") or ()) if s.get("nfl") else ()
    values = {**make.context(case), "rank": s["r"], "early": s["n_checkpoints"], "position": s.get("position"), "lr": s.get("lr"),
              "class_specific": bool(s.get("csc")) and not s.get("ctx_init"), "momentum": s.get("momentum"),
              "weight_decay": s.get("weight_decay"), "optimiser": s.get("optimizer"), "novel": names,
              "novel_weight": s.get("nfl_weight"), "novel_template": s.get("nfl_template")}
    method = make.method(SubPT, case, values, **{"context.ctx": "ctx"})
    with torch.no_grad():
        method.path.copy_(case.inputs["checkpoints"].flatten(1))
    method.basis, singular = principal(method.path, s["r"])
    batch, bank, ctx = make.batch(case), method.bank(), method.context.ctx
    out = method(batch, bank)
    terms = method.loss(out, batch)
    (full,) = torch.autograd.grad(sum(terms.values()), ctx, retain_graph=True)
    method.combine(terms, [ctx])
    found = {
        "singular_values": singular,
        "projector_diag": method.basis.square().sum(0),
        "ctx": ctx.detach().clone(),
        "text_features_zeroshot": bank.extra.get("frozen"),
        "text_features": bank.extra.get("novel", bank.text),
        "logits": out.pred,
        "loss": sum(terms.values()),
        "loss_ce": terms["task"],
        "grad_full.ctx": full,
        "grad.ctx": ctx.grad.clone(),
    }
    if names:
        found["loss_nfl"] = cosine_distance(out.aux["novel"], out.aux["frozen"])
    optimiser(method.hyper, [ctx]).step()
    return case.named({**found, "ctx_after": ctx.detach()})
