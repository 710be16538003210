"""ProDA as re-implemented in ``ml-stat-Sustech/CLIP_Calibration``: batches of prompts, the upper bound, the mean classifier."""

from typing import Any

import torch
from torch.nn.functional import normalize

from promptlab.methods.proda import ProDA, alike
from tests.golden import make
from tests.golden.harness import Case

PLACES = ("front", "middle", "end")


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    values = {"n_prompts": s["n_prompts"], "prompt_batch": s["prompt_batch"], "n_ctx": s["n_ctx"], "diversity": s["diversity_weight"],
              "clean_names": not s.get("underscores_in_prompt")}
    method = make.method(ProDA, case, values)
    at = [PLACES[int(p)] for p in case.inputs["pos"]]
    ours = sorted(range(len(at)), key=lambda i: PLACES.index(at[i]))  # our prompt j is theirs ours[j]
    with torch.no_grad():
        for place, context in method.places.items():
            context.ctx.copy_(case.learnables["ctx"][[i for i, p in enumerate(at) if p == place]].reshape(context.ctx.shape))
    part = make.batch(case)
    method.eval()
    with torch.no_grad():
        bank = method.bank()
        out = method(part, bank)
    last_first = [j for place in reversed(PLACES) for j, i in enumerate(ours) if at[i] == place]
    found = {
        "tokens": method.backbone.tokenize(method.places["end"].texts(method.task.classes)),
        "image_features": normalize(method.image(part).pooled, dim=-1),
        "text_features": bank.text[last_first].transpose(0, 1),
        "text_features_mean": bank.text.mean(0),
        "logits": out.pred,
    }
    method.queue = [ours.index(int(i)) for i in case.inputs["order"]]
    for turn in range(len(method.queue) // s["prompt_batch"]):
        found |= {f"batch{turn}.{name}": value for name, value in _step(method, part, ours).items()}
    return {name: value for name, value in found.items() if name in case.wanted}


def _step(method: ProDA, part: Any, ours: list[int]) -> dict[str, Any]:
    method.train().zero_grad()
    out = method(part, method.bank())
    terms = method.loss(out, part)
    loss = sum(terms.values())
    loss.backward()
    grad = torch.cat([c.ctx.grad.reshape(-1, *c.ctx.shape[-2:]) for c in method.places.values()])
    return {"logits": method.upper(out, part.target), "loss_upper": terms["task"], "loss": loss,
            "loss_div": alike(out.aux["free"]), "grad.ctx": grad[[ours.index(i) for i in range(len(ours))]]}
