"""DPT of ``fanrena/DPT``: class-aware visual prompts, warm and main phase."""

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from promptlab.methods.dpt import DPT
from tests.golden import make
from tests.golden.adapters.upt import stored
from tests.golden.harness import Case

NAMES = {"meta.weight": "meta_nets.{}.weight", "meta.bias": "meta_nets.{}.bias", "k.weight": "attns.{}.kmlp.weight",
         "q.weight": "attns.{}.qmlp.weight", "v.weight": "attns.{}.vmlp.weight", "ln_1.weight": "lns.{}.weight", "ln_1.bias": "lns.{}.bias",
         "classifier.weight": "classfiers.{}.weight", "ln_2.weight": "lns2.{}.weight", "ln_2.bias": "lns2.{}.bias"}


def run(case: Case) -> dict[str, Any]:
    s, layers = case.settings, case.backbone().image_layers
    aware = layers - s["bottom_limit"] + 1
    names = {"context.ctx": "ctx_text", "vision": "ctx_vision"}
    for i in range(aware):
        names |= {f"aware.{i}.{ours}": f"extractor.{theirs.format(i)}" for ours, theirs in NAMES.items()}
    values = {"n_ctx": s["n_ctx_text"], "position": s["position"], "n_vision": s["n_ctx_vision"], "aware": aware,
              "selected": s["selected_classes"], "inner": s["attention_dim"], "extra": s["extra_tokens"], "alpha": float(s["alpha"]),
              "warm_epochs": s["warm_epochs"]}
    method = make.method(DPT, case, values, (s["zero_shot_prompt"],), **names)
    with torch.no_grad():
        for layer, rows in zip(method.aware, case.learnables["extractor.ctx"], strict=True):
            layer.extra.copy_(rows)
    method.clock[0] = s["epoch"]
    method.train()
    batch, bank = make.batch(case), method.bank()
    out = method(batch, bank)
    loss = sum(method.loss(out, batch).values())
    loss.backward()
    own = dict(method.named_parameters())
    grads = {f"grad.{theirs}": stored(own[ours].grad, case, f"grad.{theirs}") for ours, theirs in names.items()}
    return case.named({
        "labels": case.labels, "selected": out.aux["chosen"], "image_features": out.aux["image"], "text_features": bank.extra["raw"],
        "logits": out.pred, "layer_logits": out.aux["layer_logits"].transpose(1, 2), "logits_text_only": out.aux["text_only"],
        "logits_image_only": out.aux["image_only"], "ce": cross_entropy(out.pred, batch.target), "loss": loss, **grads,
        "grad.extractor.ctx": torch.stack([layer.extra.grad for layer in method.aware]),
    })
