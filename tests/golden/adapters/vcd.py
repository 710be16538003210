"""VCD of ``sachit-menon/classify_by_description_release``: texts, scores and the baseline of bare names."""

import copy
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from promptlab.card import build_hyper
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.methods.vcd import VCD
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    clip = copy.copy(case.backbone())
    clip.scale = torch.tensor(float(s["logit_scale"]))
    values = {"clauses": s["clause"], "name_at": s["category_name_inclusion"] or "none", "before": s["before_text"],
              "between": s["between_text"], "after": s["after_text"]}
    names = ClassSet(case.classnames, descriptions={k: tuple(v) for k, v in s["descriptors"].items()})
    task, batch, out = Task("single", names, case.id), make.batch(case), {}
    for how in ("mean", "max"):
        method = VCD(clip, task, build_hyper("vcd", VCD.Hyper, {**values, "aggregate": how}))
        bank = method.bank()
        out[how] = method(batch, bank)
    image = F.normalize(method.image(batch).pooled, dim=-1)
    return case.named({
        "image_features": image, "texts": np.array(bank.extra["sentences"].texts), "texts_class": bank.extra["sentences"].owner,
        "similarity_per_text": out["mean"].aux["per_text"], "scores": out["mean"].pred, "scores_max": out["max"].pred,
        "label_similarity": image @ method.baseline(names, s["label_before_text"], s["label_after_text"]).T,
    })
