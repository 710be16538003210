"""LASP of ``1adrianb/lasp``: image and text loss, the correction, the layer norms of the image blocks."""

from typing import Any

import torch
from torch.nn.functional import normalize

from promptlab.method import Bank
from promptlab.methods.lasp import LASP, text_to_text
from promptlab.parts.context import Context
from tests.golden import make
from tests.golden.harness import Case


def placed(position: str, per: str) -> type[LASP]:
    """The method with a context at another place, or one a class."""
    class Placed(LASP):
        def __init__(self, backbone: Any, task: Any, hyper: Any):
            super().__init__(backbone, task, hyper)
            self.context = Context(backbone, task.classes, hyper.n_ctx, words=hyper.ctx_init, position=position, per=per)

    return Placed


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    kind = placed(s.get("position") or "end", "class" if s.get("csc") else "shared")
    values = {**make.context(case), "templates": tuple(s["templates"]), "text_weight": s["text_loss_weight"], "noise": 0.0,
              "virtual": tuple(s.get("extra_classnames") or ()), "correction": s.get("correction"), "norms": s.get("train_layernorms")}
    load = ({"w": "w"} if s.get("correction", True) else {}) | ({} if s.get("ctx_init") else {"context.ctx": "ctx"})
    method = make.method(kind, case, values, **load)
    if s.get("noise"):
        method.disturb = lambda written: written + s["noise_std"] * case.inputs["noise"]
    batch, bank = make.batch(case), method.bank()
    every = Bank(method.read, bank.extra["learned"], bank.extra) if s.get("extra_in_image_loss") else bank
    out = method(batch, every)
    terms = method.loss(out, batch)
    text = text_to_text(out.aux["learned"], out.aux["written"], method.backbone.scale)
    loss = sum(terms.values())
    loss.backward()
    norms = {}
    for name in method.norms.names:  # image.weights.block.3.ln_1.bias
        *_, i, norm = name.removesuffix(".bias").split(".")
        kind = "bias" if name.endswith(".bias") else "weight"
        norms[f"grad.visual.transformer.resblocks.{i}.{norm}.{kind}"] = method.norms[name].grad
    with torch.no_grad():
        before = method.text(method.context.inputs(method.task.classes))
    return case.named({
        "image_features": normalize(method.image(batch).pooled, dim=-1),
        "text_features_before_w": before,
        "handcrafted_features": method.written,
        "text_features": bank.text,
        "logits": out.pred,
        "loss_ce": terms["task"],
        "loss_t2t": text,
        "loss": loss,
        "ctx": method.context.ctx,
        "grad.ctx": method.context.ctx.grad,
        **({} if method.w is None else {"grad.w": method.w.grad}),
        **norms,
    })
