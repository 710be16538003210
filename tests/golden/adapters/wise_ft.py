"""WiSE-FT of ``mlfoundations/wise-ft``: weights on the line from zero-shot to fine-tuned."""

import re
from typing import Any

import torch

from promptlab.methods.wise_ft import WiSEFT
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    templates = tuple(s.get("templates") or (case.prompt,))
    method = make.method(WiSEFT, case, {"alpha": float(s["alpha"]), "train": s.get("train")}, templates).eval()
    other = case.backbone(seed=s["fine_tuned_seed"]).image.weights
    with torch.no_grad():
        method.head.weight.copy_(case.inputs["head_weight_delta"])
        method.head.bias.copy_(case.inputs["head_bias_delta"])
        for name in method.tower.names:
            method.tower[name].copy_(s["fine_tuned_step"] * (other[name] - method.backbone.image.weights[name]))
    bank = method.bank()
    logits = method(make.batch(case), bank).pred
    return case.named({
        "head_weight_zeroshot": method.backbone.scale * bank.text,
        **{name: logits for name in case.wanted if re.search(r"(^|\.)logits", name)},  # "logits_0.25": the name itself has dots
    })
