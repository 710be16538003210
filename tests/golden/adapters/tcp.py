"""TCP of ``htyao89/Textual-based_Class-aware_prompt_tuning``: class tokens inside the text tower, and the pull."""

from typing import Any

import torch
from torch import nn

from promptlab.losses import cosine_distance
from promptlab.methods.tcp import TCP
from tests.golden import make
from tests.golden.harness import Case

NET = [f"meta_net.{layer}.{kind}" for layer in ("linear1", "linear2") for kind in ("weight", "bias")]


class Hidden(TCP):
    """The method with a network of any hidden width, which our share of the joint width may not give."""

    hidden = 0

    def __init__(self, backbone: Any, task: Any, hyper: Any):
        super().__init__(backbone, task, hyper)
        if self.hidden:
            self.meta_net.linear1 = nn.Linear(backbone.joint_dim, self.hidden)
            self.meta_net.linear2 = nn.Linear(self.hidden, hyper.n_ctx * backbone.text_width)


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    values = {**make.context(case), "weight": s.get("weight"), "layer": s.get("inject_layer"), "mix": s.get("mix"), "prompt": case.prompt,
              "reference": s.get("reference_template")}
    load = {name: name for name in NET} | ({} if s.get("ctx_init") else {"context.ctx": "ctx"})
    method = make.method(type("Hidden", (Hidden,), {"hidden": s.get("meta_hidden", 0)}), case, values, **load)
    batch, bank = make.batch(case), method.bank()
    out = method(batch, bank)
    terms = method.loss(out, batch)
    pull, loss = cosine_distance(out.aux["text"], out.aux["reference"]), sum(terms.values())
    own = dict(method.named_parameters())
    names = ["context.ctx", *NET]
    grad = dict(zip(names, torch.autograd.grad(loss, [own[n] for n in names]), strict=True))
    last = grad["meta_net.linear2.weight"]
    return case.named({
        "tokens": method.backbone.tokenize(method.context.texts(method.task.classes)),
        "frozen_text_features": bank.extra["reference"],
        "class_prompt": bank.extra["tokens"],
        "text_features": bank.text,
        "logits": out.pred,
        "loss_ce": terms["task"],
        "loss_kg": pull,
        "loss": loss,
        "ctx": method.context.ctx,
        "grad.ctx": grad["context.ctx"],
        **{f"grad.{name}": grad[name] for name in NET},
        "grad.meta_net.linear2.weight.rows": last[:: method.backbone.text_width],
        "grad.meta_net.linear2.weight.rowsum": last.sum(1),
    })
