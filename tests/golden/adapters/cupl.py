"""CuPL of ``sarahpratt/CuPL``: class weights and similarities from templates, from sentences, and from both."""

import copy
from typing import Any

import torch
import torch.nn.functional as F

from promptlab.card import build_hyper
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.methods.cupl import CuPL
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s, inputs = case.settings, case.inputs
    clip = copy.copy(case.backbone())
    clip.scale = torch.tensor(float(s["logit_scale"]))
    written: dict[str, tuple[str, ...]] = {}
    if s["use_sentences"]:
        for text, c in zip(inputs["texts"].tolist(), inputs["texts_class"].tolist(), strict=True):
            written[case.classnames[c]] = (*written.get(case.classnames[c], ()), text)
    templates = tuple(s.get("templates") or inputs["templates"].tolist()) if s["use_templates"] else ("a photo of a {}.",)
    texts = {(True, True): "both", (True, False): "templates", (False, True): "sentences"}[s["use_templates"], s["use_sentences"]]
    task = Task("single", ClassSet(case.classnames, templates, written), case.id)
    method = CuPL(clip, task, build_hyper("cupl", CuPL.Hyper, {"texts": texts}))
    batch, bank = make.batch(case), method.bank()
    return case.named({"image_features": F.normalize(method.image(batch).pooled, dim=-1), "weights": bank.text,
                       "similarity": method(batch, bank).pred})
