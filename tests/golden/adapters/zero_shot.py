"""Zero-shot CLIP of ``KaiyangZhou/CoOp``: one template, or the mean of several."""

from typing import Any

from torch.nn.functional import normalize

from promptlab.methods.zero_shot import ZeroShot
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    templates = tuple(case.settings.get("templates") or (case.prompt,))
    method = make.method(ZeroShot, case, {"templates": "dataset-all"}, templates)
    batch, bank = make.batch(case), method.bank()
    return case.named({
        "tokens": lambda: method.backbone.tokenize(method.task.classes.prompts()),
        "image_features": normalize(method.image(batch).pooled, dim=-1),
        "text_features": bank.text,
        "logits": method(batch, bank).pred,
    })
