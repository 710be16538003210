"""WaffleCLIP of ``ExplainableML/WaffleCLIP``: scores of given texts; those without chance are built by the method."""

import copy
from typing import Any

import torch
import torch.nn.functional as F

from promptlab.card import build_hyper
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.method import Bank
from promptlab.methods.waffleclip import WaffleCLIP
from tests.golden import make
from tests.golden.harness import Case

OURS = {"clip": "name", "gpt_descriptions": "descriptors"}


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    texts, owner = case.inputs["texts"].tolist(), case.inputs["texts_class"].tolist()
    lists = [[t for t, o in zip(texts, owner, strict=True) if o == c] for c in range(len(case.classnames))]
    clip = copy.copy(case.backbone())
    clip.scale = torch.tensor(float(s["logit_scale"]))
    mode = OURS.get(s["mode"])
    hyper = build_hyper("waffleclip", WaffleCLIP.Hyper, {"mode": mode or "waffle", "aggregate": s["aggregate"],
                                                         "before": s["label_before_text"], "after": s["label_after_text"]})
    names = ClassSet(case.classnames, descriptions={k: tuple(v) for k, v in s.get("descriptors", {}).items()})
    method = WaffleCLIP(clip, Task("single", names, case.id), hyper)
    if mode and s["separator"] == ", " and s["clause"]:
        assert method.texts(names) == lists, f"{case.id}: other texts than {lists[0]}"
    found = method.library(lists)
    bank = Bank(names, found.centres, {"sentences": found})
    out = method(make.batch(case), bank)
    return case.named({"image_features": out.aux["features"], "scores": out.pred,
                       "scores_merged": F.normalize(method.image(make.batch(case)).pooled, dim=-1) @ bank.text.T})
