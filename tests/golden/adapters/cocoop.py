"""CoCoOp of ``KaiyangZhou/CoOp``: the context shifted by a network of the image feature."""

from typing import Any

from torch.nn.functional import normalize

from promptlab.methods.cocoop import CoCoOp
from tests.golden import make
from tests.golden.harness import Case

NET = [f"meta_net.{layer}.{kind}" for layer in ("linear1", "linear2") for kind in ("weight", "bias")]


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    values = {**make.context(case), "reduction": s.get("meta_reduction")}
    method = make.method(CoCoOp, case, values, **{"context.ctx": "ctx", **{name: name for name in NET}})
    batch, bank = make.batch(case), method.bank()
    out = method(batch, bank)
    (loss,) = method.loss(out, batch).values()
    loss.backward()
    gradients = {f"grad.{name}": dict(method.named_parameters())[name].grad for name in NET}
    return case.named({
        "tokens": method.backbone.tokenize(method.context.texts(method.task.classes)),
        "image_features": normalize(method.image(batch).pooled, dim=-1),
        "bias": out.aux["shift"],
        **{f"text_features.{i}": text for i, text in enumerate(out.aux["text"])},
        "logits": out.pred,
        "loss": loss,
        "ctx": method.context.ctx,
        "grad.ctx": method.context.ctx.grad,
        **gradients,
    })
