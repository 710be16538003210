"""CoOp of ``KaiyangZhou/CoOp``: positions, class-specific contexts, initial words."""

from typing import Any

from torch.nn.functional import normalize

from promptlab.methods.coop import CoOp
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    # initial words drop the class-specific setting in the public code, and its context is then two-dimensional
    own = bool(s.get("csc")) and not s.get("ctx_init")
    values = {**make.context(case), "position": s.get("position"), "class_specific": own}
    method = make.method(CoOp, case, values, **{"context.ctx": "ctx"})
    batch, bank = make.batch(case), method.bank()
    out = method(batch, bank)
    (loss,) = method.loss(out, batch).values()
    loss.backward()
    return case.named({
        "tokens": method.backbone.tokenize(method.context.texts(method.task.classes)),
        "image_features": normalize(method.image(batch).pooled, dim=-1),
        "text_features": bank.text,
        "logits": out.pred,
        "loss": loss,
        "ctx": method.context.ctx,
        "grad.ctx": method.context.ctx.grad,
    })
