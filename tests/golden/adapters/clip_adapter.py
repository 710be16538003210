"""CLIP-Adapter of ``gaopengcuhk/CLIP-Adapter``."""

from typing import Any

from promptlab.methods.clip_adapter import CLIPAdapter
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    values = {"ratio": float(s["ratio"]), "reduction": s["reduction"], "norm": s.get("norm")}
    method = make.method(CLIPAdapter, case, values, (case.prompt,), **{f"adapter.{name}": name for name in case.learnables})
    batch, bank = make.batch(case), method.bank()
    out = method(batch, bank)
    (loss,) = method.loss(out, batch).values()
    loss.backward()
    return case.named({
        "image_features": method.image(batch).pooled,
        "text_features": method.text(method.task.classes.prompts()),
        "adapter_out": out.aux["adapter"],
        "logits": out.pred,
        "loss": loss,
        **{f"grad.{name}": p.grad for name, p in method.adapter.named_parameters()},
    })
