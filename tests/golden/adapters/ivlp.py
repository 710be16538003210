"""Independent vision-language prompting of ``muzairkhattak/multimodal-prompt-learning``."""

from typing import Any

from promptlab.methods.ivlp import IVLP
from tests.golden import make
from tests.golden.harness import Case


def values(case: Case) -> dict[str, Any]:
    s = case.settings
    return {"n_ctx": s["n_ctx_text"], "depth": s["depth_text"], "n_vision": max(1, s["n_ctx_vision"]), "depth_vision": s["depth_vision"],
            "ctx_init": s.get("ctx_init") or ""}


def names(case: Case) -> dict[str, str]:
    """Our parameter → the original's."""
    s = case.settings
    found = {"prompts.context.ctx": "ctx_text.0"}
    found |= {f"prompts.deep.tokens.{i - 1}": f"ctx_text.{i}" for i in range(1, s["depth_text"])}
    return found | {f"prompts.vision.tokens.{i}": f"ctx_vision.{i}" for i in range(s["depth_vision"])}


def run(case: Case) -> dict[str, Any]:
    method = make.method(IVLP, case, values(case), **names(case))
    batch = make.batch(case)
    out = method(batch, method.bank())
    (loss,) = method.loss(out, batch).values()
    loss.backward()
    own = dict(method.named_parameters())
    return case.named({
        "tokens": method.backbone.tokenize(method.prompts.context.texts(method.task.classes)),
        "image_features": method.image(batch).pooled,
        "text_features": method.text(method.prompts.inputs(method.task.classes)),
        "logits": out.pred,
        "loss": loss,
        "ctx_text.0": own["prompts.context.ctx"],
        **{f"grad.{theirs}": own[ours].grad for ours, theirs in names(case).items()},
    })
