"""DualCoOp of ``sunxm2357/DualCoOp``: contexts loaded, pair of logits, asymmetric loss and its gradient."""

from typing import Any

import torch

from promptlab.card import build_hyper
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.methods.dualcoop import DualCoOp
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    method = build(case)
    names, asked = method.task.classes, case.settings.get("classes", range(len(case.classnames)))
    asked = list(asked)
    batch = Batch.of(case.images(), case.inputs.get("target"))
    if case.settings["csc"]:  # a context a class: asked for fewer names, the public code takes their columns
        full = method(batch, method.bank())
        pair = full.aux["pair"][..., asked]
    else:
        pair = method(batch, method.bank(names.subset(asked))).aux["pair"]
    bank = method.bank()
    cosine = method.similarity(batch, bank)[0]  # [B, M, 2, C]
    out = {
        "tokens": method.backbone.tokenize(method.negative.texts(names) + method.positive.texts(names)),
        "image_tokens": lambda: method.positions(batch)[0].transpose(1, 2),
        "text_features": bank.text.flatten(0, 1),
        "similarity": cosine.flatten(2).transpose(1, 2),
        "logits": pair,
        "probability": pair.softmax(1)[:, 1],
    }
    if case.wants("loss"):
        loss = sum(method.loss(method(batch, method.bank()), batch).values())
        loss.backward()
        out |= {"loss": loss, "grad.ctx_pos": method.positive.ctx.grad, "grad.ctx_neg": method.negative.ctx.grad}
    return case.named(out)


def build(case: Case) -> DualCoOp:
    """The method with the case's settings and contexts."""
    s, clip = case.settings, case.backbone()
    values = {"n_ctx_pos": s["n_ctx_pos"], "n_ctx_neg": s["n_ctx_neg"], "class_specific": s["csc"]}
    renamed = {"kappa": "token_scale", "pool_scale": "pool_scale", "gamma_pos": "gamma_pos", "gamma_neg": "gamma_neg", "clip_neg": "clip",
               "eps": "eps", "loss_w": "loss_w"}
    values |= {ours: float(s[theirs]) for ours, theirs in renamed.items() if theirs in s}
    for side in ("pos", "neg"):
        words = s.get(f"prompt_{side}", "").replace("{}.", "").strip()
        values[f"ctx_init_{side}"] = words if set(words.split()) - {"X"} else None
    assert s.get("reduction", "sum") == "sum", "the loss of dualcoop is a sum"
    method = DualCoOp(clip, Task("multi", ClassSet(case.classnames)), build_hyper("dualcoop", DualCoOp.Hyper, values))
    with torch.no_grad():
        for name, context in (("ctx_pos", method.positive), ("ctx_neg", method.negative)):
            if name in case.learnables:
                context.ctx.copy_(case.learnables[name])
    return method
