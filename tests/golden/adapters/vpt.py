"""VPT in CLIP, shallow and deep, of ``muzairkhattak/multimodal-prompt-learning``."""

from typing import Any

from promptlab.methods.vpt import VPT
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    layers = 1 if s["depth"] == "shallow" else s["layers"]
    place = "after_ln_pre" if "after_ln_pre" in s["insertion"] else "before_ln_pre"
    names = {f"vision.tokens.{i}": f"ctx_vision.{i}" for i in range(layers)}
    method = make.method(VPT, case, {"n_ctx": s["n_ctx"], "depth": layers, "insertion": place, "template": case.prompt}, **names)
    batch = make.batch(case)
    out = method(batch, method.bank())
    (loss,) = method.loss(out, batch).values()
    loss.backward()
    return case.named({
        "image_features": method.image(batch).pooled,
        "text_features": method.backbone.encode_text(method.task.classes.prompts(method.hyper.template)).pooled,
        "logits": out.pred,
        "loss": loss,
        **{f"grad.{theirs}": dict(method.named_parameters())[ours].grad for ours, theirs in names.items()},
    })
