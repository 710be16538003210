"""TPT of ``azshue/TPT``: the choice of views, the step, the answer after it."""

from typing import Any

import torch

from promptlab.losses import marginal_entropy
from promptlab.methods.tpt import Tpt
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    values = {**make.context(case), "position": s.get("position"), "share": s.get("selection"), "tta_steps": s.get("tta_steps"),
              "tta_lr": s.get("lr"), "tta_decay": s.get("weight_decay"), "adam_eps": s.get("eps"), "n_views": s.get("views")}
    method = make.method(Tpt, case, values, **{"context.ctx": "ctx"})
    if "split" in s and s.get("position") == "middle":
        assert method.context.before == s["split"], "the name's place"
    names, features = method.task.classes, method.image(make.batch(case)).pooled
    start = method.context.ctx.detach().clone()
    logits = method.cosine(features, method.bank().text)
    seen = method.adapt(features, names)
    moved, grads = method.context.ctx.detach().clone(), {}

    def loss_at(ctx: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            method.context.ctx.copy_(ctx)
        loss = marginal_entropy(method.cosine(features[seen.kept], method.bank().text))
        (grads["ctx"],) = torch.autograd.grad(loss, method.context.ctx)
        return loss

    before, first = loss_at(start), grads.get("ctx")
    after = loss_at(moved)
    bank = method.bank()
    return case.named({
        "tokens": method.backbone.tokenize(method.context.texts(names)),
        "ctx": start,
        "logits": logits,
        "view_entropy": seen.entropies,
        "selected": seen.kept,
        "entropy": before,
        "grad.ctx": first,
        "ctx_after": moved,
        "final_logits": method.cosine(features[:1], bank.text),
        "entropy_after": after,
        "text_features_after": bank.text,
    })
