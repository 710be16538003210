"""LP++ of ``FereshteShakeri/FewShot-CLIP-Strong-Baseline``: start, step sizes, and a whole training on ready features."""

import copy
from typing import Any

import torch

from promptlab.backbones.points import Encoding
from promptlab.card import build_hyper
from promptlab.data.batch import PixelSpec, Split, View
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.fit.context import FitContext
from promptlab.fit.events import Step
from promptlab.methods.lp_pp import LPPP
from tests.golden.harness import Case


class Features:
    """A source whose pictures are ready features."""

    key = ""

    def __init__(self, features: torch.Tensor):
        self.features = features

    def __len__(self) -> int:
        return len(self.features)

    def pixels(self, rows: Any, spec: PixelSpec, view: View = View()) -> torch.Tensor:
        return self.features[list(rows)]


def create(case: Case, **hyper: Any) -> LPPP:
    """A method over the case's text weights, with its bias."""
    s, text = case.settings, case.inputs["text_weights"]
    clip = copy.copy(case.backbone(embed_dim=text.shape[1]))
    clip.zero_shot = lambda names, templates, mean="unit": text
    clip.cached_image = lambda batch, tokens=False: Encoding(batch.pixels(clip.spec))
    values = {"steps": s["steps"], "momentum": s["momentum"], "alpha_every": s["alpha_every"], "alpha_scale": s["alpha_init_scale"],
              "accumulate": s["accumulate_alpha_gradient"], "augment": "none", **hyper}
    method = LPPP(clip, Task("single", ClassSet(case.classnames), case.id), build_hyper("lp_pp", LPPP.Hyper, values))
    with torch.no_grad():
        method.bias.copy_(case.learnables["bias"])
    return method


def run(case: Case) -> dict[str, Any]:
    train, val, test = (Split(Features(case.inputs[k]), tuple(range(len(case.inputs[k]))), case.labels) for k in ("train", "val", "test"))
    method = create(case, select_on="last")
    f, y = method.features(train)
    lr_w, lr_alpha = method.start(f, y, method.bank().text)
    centroids, alpha = method.weight.detach().clone(), method.alpha.detach().clone()
    first = method(next(train.batches(10_000)), method.bank()).pred
    one = create(case, steps=1, select_on="last")
    list(one.fit(Episode(one.task, train, val), FitContext()))
    events = list(method.fit(Episode(method.task, train, val), FitContext()))
    chosen = create(case)
    list(chosen.fit(Episode(chosen.task, train, val), FitContext()))
    pred = chosen(next(test.batches(10_000)), chosen.bank()).pred
    return case.named({
        "centroids": centroids, "init_alpha": alpha, "lr_w": torch.tensor(lr_w), "lr_alpha": torch.tensor(lr_alpha),
        "losses": torch.tensor([e.terms["task"] for e in events if isinstance(e, Step)]), "logits_first": first,
        "weight_after_1": one.weight, "weight_final": method.weight, "bias_final": method.bias, "alpha_final": method.alpha,
        "test_logits_final": method(next(test.batches(10_000)), method.bank()).pred,
        "test_accuracy": 100 * pred.argmax(1).eq(case.labels).float().mean(),
    })
