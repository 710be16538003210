"""CALIP of ``ZiyuGuo99/CALIP``: features, logits at given weights, and the search."""

import copy
from typing import Any

import torch

from promptlab.card import build_hyper
from promptlab.data.batch import Split
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.methods.calip import CALIP
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    clip = copy.copy(case.backbone())
    clip.scale = torch.tensor(float(s["scale"]))
    values = {"beta2": s.get("beta2"), "beta3": s.get("beta3"), "temperature": float(s["attention_factor"]), "grid": s.get("grid_steps"),
              "bottom": s.get("beta_min"), "top_beta2": s.get("beta2_max"), "top_beta3": s.get("beta3_max")}
    names = ClassSet(case.classnames, tuple(s["templates"]))
    method = CALIP(clip, Task("single", names, case.id),
                   build_hyper("calip", CALIP.Hyper, {k: v for k, v in values.items() if v is not None}))
    batch, bank = make.batch(case), method.bank()
    out = method(batch, bank)
    found = {"text_features": bank.text.T, "tokens_features": torch.cat([out.aux["whole"][:, None], out.aux["parts"]], 1),
             "logits_clip": out.aux["plain"], **{k: out.pred for k in case.wanted if "logits_grid" in k}}
    if case.wants("best"):
        best = method.search(Split(batch.source, batch.rows, case.labels))
        found |= {"best": torch.tensor([best.first, best.second, 100 * best.accuracy], dtype=torch.float64),
                  "accuracy_grid": 100 * best.grid[::10, ::10]}
    return case.named(found)
