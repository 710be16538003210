"""MaPLe of ``muzairkhattak/multimodal-prompt-learning``."""

from typing import Any

from promptlab.methods.maple import MaPLe
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    depth = case.settings["depth"]
    values = {**make.context(case), "depth": depth}
    names = {"context.ctx": "ctx", "couple.first.weight": "proj.weight", "couple.first.bias": "proj.bias"}
    for i in range(depth - 1):
        names |= {f"deep.tokens.{i}": f"compound_prompts_text.{i}"}
        names |= {f"couple.deep.{i}.{kind}": f"compound_prompt_projections.{i}.{kind}" for kind in ("weight", "bias")}
    method = make.method(MaPLe, case, values, **names)
    batch, bank = make.batch(case), method.bank()
    out = method(batch, bank)
    (loss,) = method.loss(out, batch).values()
    loss.backward()
    own, grads = dict(method.named_parameters()), {}
    for ours, theirs in names.items():
        grad = own[ours].grad
        grads |= {f"grad.{theirs}": grad, f"grad.{theirs}.rows": grad[:4], f"grad.{theirs}.rowsum": grad.sum(-1)}
    return case.named({
        "tokens": method.backbone.tokenize(method.context.texts(method.task.classes)),
        "image_features": method.image(batch).pooled,
        "text_features": method.text(method.context.inputs()),
        "logits": out.pred,
        "loss": loss,
        "ctx": method.context.ctx,
        **{f"visual_prompt.{i}": v for i, v in enumerate(method.vision())},
        **grads,
    })
