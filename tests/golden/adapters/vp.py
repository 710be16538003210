"""Visual prompting of ``hjbahng/visual_prompting``: frame, corner patch, moving patch."""

from typing import Any

from promptlab.methods.vp import VisualPrompting
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    values = {"variant": s["variant"], "prompt_size": s["prompt_size"], "clean_names": s.get("clean_classnames"), "template": case.prompt}
    method = make.method(VisualPrompting, case, values, **{f"prompt.{name}": name for name in case.learnables})
    if s.get("position") is not None:
        method.prompt.place = tuple(s["position"])
    batch, bank = make.batch(case), method.bank()
    out = method(batch, bank)
    (loss,) = method.loss(out, batch).values()
    loss.backward()
    return case.named({
        "logits_unprompted": lambda: method.cosine(method.backbone.encode_image(case.images()).pooled, bank.text),
        "prompt": out.aux["prompt"][0],
        "logits": out.pred,
        "loss": loss,
        **{f"grad.{name}": getattr(method.prompt, name).grad for name in case.learnables},
    })
