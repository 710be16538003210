"""TaI-DPT of ``guozix/TaI-DPT``: captions as pictures in training, pictures at the test; losses and gradients of both contexts."""

from typing import Any

import torch

from promptlab.card import build_hyper
from promptlab.data.batch import Batch
from promptlab.data.captions import Captions
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.losses import asymmetric
from promptlab.methods.tai_dpt import TaIDPT
from tests.golden.harness import Case

OBJECTIVES = {"ranking": ("loss_double_ranking", "grad"), "asymmetric": ("loss_asl", "grad_asl"), "binary": ("loss_bce", "grad_bce")}


def run(case: Case) -> dict[str, Any]:
    s, out = case.settings, {}
    texts = s["mode"] == "texts"
    if texts:
        said = Captions(s["captions"])
        batch = Batch(said, tuple(range(len(said))), case.inputs["labels"].long())
    else:
        batch = Batch.of(case.images())
    for objective, (name, grad) in OBJECTIVES.items() if texts else [("ranking", ("", ""))]:
        method = build(case, objective)
        bank = method.bank()
        got = method(batch, bank)
        out |= {"logits_global": got.aux["global"], "logits_local": got.aux["local"], "text_features_global": bank.text[0],
                "text_features_local": bank.text[1]}
        if texts:
            loss = sum(method.loss(got, batch).values())
            if objective == "asymmetric" and "asl" in s:  # the method has the shipped numbers
                loss = sum(asymmetric(got.aux[name], batch.target, **s["asl"]) / batch.target.numel() for name in ("global", "local"))
            loss.backward()
            out |= {name: loss, f"{grad}.ctx": method.whole.ctx.grad, f"{grad}.ctx_double": method.parts.ctx.grad,
                    "caption_tokens": method.backbone.tokenize(said.texts)}
        else:
            whole, parts, _, _ = method.seen(batch)
            out |= {"image_feature": whole, "similarity_local": got.aux["similarity"].transpose(0, 1),
                    "similarity_global_map": (parts @ bank.text[0].T).transpose(0, 1)}
    return case.named(out)


def build(case: Case, objective: str) -> TaIDPT:
    """The method with the case's settings and contexts."""
    s = case.settings
    values = {"n_ctx": s["n_ctx"], "class_specific": s.get("csc", False), "position": s.get("position", "end"), "scale": s["logit_scale"],
              ("words" if s["mode"] == "texts" else "regions"): s["spatial_scale"], "margin": s.get("margin", 1.0), "objective": objective}
    assert not s.get("learned_scales"), "the shipped configurations fix the scales"
    method = TaIDPT(case.backbone(), Task("multi", ClassSet(case.classnames)), build_hyper("tai_dpt", TaIDPT.Hyper, values))
    with torch.no_grad():
        for context, name in ((method.whole, "ctx"), (method.parts, "ctx_double")):
            context.ctx.copy_(case.learnables[name])
    return method
