"""PromptSRC of ``muzairkhattak/PromptSRC``: prompts, the four losses, the average over epochs."""

from typing import Any

import torch
from torch.nn.functional import normalize

from promptlab.fit import average
from promptlab.fit.events import Epoch
from promptlab.methods.promptsrc import PromptSRC
from tests.golden import make
from tests.golden.adapters import ivlp
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    values = {**ivlp.values(case), "text_weight": s.get("text_loss_weight"), "image_weight": s.get("image_loss_weight"),
              "logits_weight": s.get("logits_loss_weight"), "temperature": s.get("temperature"), "teacher": "dataset-all",
              "gpa_mean": s.get("gpa_mean"), "gpa_std": s.get("gpa_std"), "epochs": s.get("gpa_epochs")}
    values = {k: float(v) if k.endswith(("weight", "mean", "std", "temperature")) and v is not None else v for k, v in values.items()}
    names = ivlp.names(case)
    method = make.method(PromptSRC, case, values, templates=tuple(s["templates"]), **names)
    batch = make.batch(case)
    out = method(batch, method.bank())
    terms = method.loss(out, batch)
    loss = sum(terms.values())
    loss.backward()
    own = dict(method.named_parameters())
    frozen_text = method.teacher(method.task.classes)
    frozen_image = normalize(method.backbone.cached_image(batch).pooled, dim=-1)
    weights = method.epoch_weights(method.hyper.epochs)
    return case.named({
        "tokens": method.backbone.tokenize(method.prompts.context.texts(method.task.classes)),
        "logits": out.pred, "text_features": out.aux["text"], "image_features": out.aux["image"],
        "frozen_text_features": frozen_text, "frozen_image_features": frozen_image,
        "frozen_logits": method.cosine(frozen_image, frozen_text),
        "loss_ce": terms["task"], "loss_text": terms["text"], "loss_image": terms["image"], "loss_logits": terms["logits"], "loss": loss,
        **{f"grad.{theirs}": own[ours].grad for ours, theirs in names.items()},
        "gpa_weights": torch.tensor(weights),
        "gpa_average": lambda: averaged(case, weights),
    })


class Holder(torch.nn.Module):
    """A learner of one tensor."""

    def __init__(self, value: torch.Tensor):
        super().__init__()
        self.value, self.backbone = torch.nn.Parameter(value.clone()), None


def averaged(case: Case, weights: list[float]) -> torch.Tensor:
    """One tensor that takes the recorded values after the epochs, through our recipe."""
    held = Holder(case.inputs["gpa.0"])

    def epochs():
        for e in range(len(weights)):
            with torch.no_grad():
                held.value.copy_(case.inputs[f"gpa.{e}"])
            yield Epoch(e + 1, len(weights))

    list(average.epochs(held, epochs(), weights))
    return held.value
