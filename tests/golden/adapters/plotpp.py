"""PLOT++ of ``CHENGY12/PLOT: plot-pp``."""

import dataclasses
from typing import Any

import torch
from torch.nn.functional import normalize

from promptlab.methods.plotpp import PlotPP
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    assert s.get("position", "end") == "end" and len(s["ctx_init"]) == s["n_prompts"]
    values = {"ctx_init": tuple(s["ctx_init"]), "n_vision": s["n_prompts_vision"], "n_tokens": s["n_ctx_vision"], "eps": s.get("eps"),
              "max_iter": s.get("max_iter"), "thresh": s.get("thresh"), "stop": "batch", "trade_off": s.get("trade_off")}
    method = make.method(PlotPP, case, values, vision="ctx_vision")
    if "ctx" in case.learnables:  # else: made from its words, by us as by the original
        for context, ctx in zip(method.contexts, case.learnables["ctx"], strict=True):
            context.ctx.data.copy_(ctx)
    batch, bank = make.batch(case), method.bank()
    out = method(batch, bank)
    (loss,) = method.loss(out, batch).values()
    loss.backward()
    image = normalize(method.readings(batch), dim=-1)
    method.hyper = dataclasses.replace(method.hyper, trade_off=not method.hyper.trade_off)
    names = method.task.classes
    return case.named({
        "tokens": method.backbone.tokenize([t for context in method.contexts for t in context.texts(names)]),
        "ctx": lambda: _stack(context.ctx for context in method.contexts),
        "image_features": image,
        "text_features": bank.text,
        "distance": out.aux["cost"].flatten(0, 1),
        "plan": out.aux["plan"].flatten(0, 1),
        "sweeps": out.aux["sweeps"][0],
        "logits": out.pred,
        "logits_tradeoff_flipped": method(batch, bank).pred,
        "loss": loss,
        "grad.ctx": _stack(context.ctx.grad for context in method.contexts),
        "grad.ctx_vision": method.vision.grad,
    })


def _stack(parts: Any) -> Any:
    return torch.stack(list(parts))
