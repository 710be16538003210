"""TaskRes of ``geekyutao/TaskRes``."""

from typing import Any

from promptlab.methods.taskres import TaskRes
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    templates = tuple(s.get("templates") or (case.prompt,))
    values = {"alpha": float(s["alpha"]), "base": s.get("base")}
    method = make.method(TaskRes, case, values, templates, **{"head.residual": "residual"})
    batch, bank = make.batch(case), method.bank()
    out = method(batch, bank)
    (loss,) = method.loss(out, batch).values()
    loss.backward()
    return case.named({
        "base_text_features": method.base(method.task.classes),
        "image_features": method.image(batch).pooled,
        "logits": out.pred,
        "loss": loss,
        "grad.residual": method.head.residual.grad,
    })
