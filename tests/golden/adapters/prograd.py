"""ProGrad of ``BeierZhu/Prompt-align``: the two gradients, and the one that reaches the optimiser."""

from typing import Any

import torch
import torch.nn.functional as F

from promptlab.methods.prograd import ProGrad
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    own = bool(s.get("csc")) and not s.get("ctx_init")  # the public code drops it where there are initial words
    values = {**make.context(case), "temperature": s.get("temperature"), "share": s.get("lambda"), "teacher": s.get("teacher_template"),
              "position": s.get("position"), "class_specific": own}
    load = {} if s.get("ctx_init") else {"context.ctx": "ctx"}  # else our own zeros and words
    method = make.method(ProGrad, case, values, **load)
    batch, bank = make.batch(case), method.bank()
    out = method(batch, bank)
    terms, ctx = method.terms(out, batch), method.context.ctx
    (ce,), advice = terms.values(), method.advice(out)
    grads = {name: torch.autograd.grad(loss, ctx, retain_graph=True)[0] for name, loss in (("ce", ce), ("kl", advice))}
    method.combine(terms, [ctx])
    return case.named({
        "teacher_text_features": bank.extra["teacher"],
        "teacher_logits": out.aux["teacher"],
        "tokens": method.backbone.tokenize(method.context.texts(method.task.classes)),
        "text_features": bank.text,
        "logits": out.pred,
        "loss_ce": ce,
        "loss_kl": advice,
        "grad_ce.ctx": grads["ce"],
        "grad_kl.ctx": grads["kl"],
        "cosine": F.cosine_similarity(grads["ce"].flatten(), grads["kl"].flatten(), dim=0),
        "grad.ctx": ctx.grad,
        "ctx": ctx,
    })
