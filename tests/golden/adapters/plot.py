"""PLOT of ``CHENGY12/PLOT``: several prompts transported to the regions; and the Sinkhorn sweeps by themselves."""

import dataclasses
from typing import Any

import torch
from torch.nn.functional import normalize

from promptlab.methods.plot import Plot
from promptlab.parts.transport import sinkhorn
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    if "sim" in case.inputs:
        sim = case.inputs["sim"]
        moved = sinkhorn(1 - sim[None], s["eps"], s["max_iter"], s["thresh"])
        return case.named({"sweeps": moved.sweeps[0], "plan": moved.plan[0], "score": (moved.plan[0] * sim).sum((-2, -1))})
    kept = {k: s.get(k) for k in ("n_prompts", "eps", "max_iter", "thresh")}
    method = make.method(Plot, case, {**make.context(case), **kept, "stop": "batch"}, **{"context.ctx": "ctx"})
    batch, bank = make.batch(case), method.bank()
    image, logits = method.image(batch, tokens=True), {}
    for key, switch in (("logits_local", False), ("logits_with_global", True)):
        method.hyper = dataclasses.replace(method.hyper, with_global=switch)
        logits[key] = method(batch, bank)
    chosen = logits["logits_with_global" if s.get("with_global") else "logits_local"]
    (loss,) = method.loss(chosen, batch).values()
    loss.backward()
    plan, cost = chosen.aux["plan"], chosen.aux["cost"]
    return case.named({
        "tokens": method.backbone.tokenize(method.context.texts(method.task.classes)),
        "image_tokens": normalize(torch.cat([image.pooled[:, None], image.tokens], 1), dim=-1).transpose(0, 1),
        "text_features": bank.text,
        **{key: out.pred for key, out in logits.items()},
        "loss": loss,
        "plan": plan.flatten(0, 1),
        "distance": cost.flatten(0, 1),
        "wasserstein": (plan * cost).sum((-2, -1)),
        "sweeps": chosen.aux["sweeps"][0],
        "grad.ctx": method.context.ctx.grad.reshape(s["n_prompts"], *method.context.ctx.shape[-2:]),
    })
