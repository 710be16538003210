"""KgCoOp of ``htyao89/KgCoOp``: cross-entropy plus the pull towards the hand-written sentence."""

from typing import Any

import torch

from promptlab.losses import cosine_distance
from promptlab.methods.kgcoop import KgCoOp
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    values = {**make.context(case), "weight": s.get("weight"), "reference": s.get("reference_template"),
              "class_specific": s.get("csc")}
    method = make.method(KgCoOp, case, values, **{"context.ctx": "ctx"})
    batch, bank = make.batch(case), method.bank()
    out = method(batch, bank)
    terms, ctx = method.loss(out, batch), method.context.ctx
    score, loss = cosine_distance(out.aux["text"], out.aux["reference"]), sum(terms.values())  # the term without its weight, which may be 0
    return case.named({
        "tokens": method.backbone.tokenize(method.context.texts(method.task.classes)),
        "frozen_text_features": bank.extra["reference"],
        "text_features": bank.text,
        "logits": out.pred,
        "score": score,
        "loss_ce": terms["task"],
        "loss": loss,
        "ctx": ctx,
        "grad_score.ctx": torch.autograd.grad(score, ctx, retain_graph=True)[0],
        "grad.ctx": torch.autograd.grad(loss, ctx)[0],
    })
