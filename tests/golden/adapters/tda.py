"""TDA of ``kdiAAA/TDA``: the queues and the answers along a stream of ready features."""

import copy
from typing import Any

import torch

from promptlab.card import build_hyper
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.methods.tda import TDA
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s, text, stream = case.settings, case.inputs["text_weights"], case.inputs["ordered_stream"]
    positive, negative = s.get("positive") or {}, s.get("negative") or {}
    values = {"alpha_pos": positive.get("alpha"), "beta_pos": positive.get("beta"), "capacity_pos": positive.get("capacity", 0),
              "alpha_neg": negative.get("alpha"), "beta_neg": negative.get("beta"), "capacity_neg": negative.get("capacity", 0)}
    for name, (low, high) in (("", negative.get("entropy_window", (None, None))), ("mask_", negative.get("mask_window", (None, None)))):
        values |= {f"{name}low": low, f"{name}high": high}
    values |= {"n_views": s.get("views"), "share": s.get("view_fraction")}
    clip = copy.copy(case.backbone(embed_dim=text.shape[1]))
    clip.scale, clip.zero_shot = torch.tensor(float(s["scale"])), lambda names, templates, mean="unit": text
    hyper = build_hyper("tda", TDA.Hyper, {k: v for k, v in values.items() if v is not None})
    method = TDA(clip, Task("single", ClassSet(case.classnames), case.id), hyper)
    bank = method.bank()
    outs = [method.follow(x if x.ndim == 2 else x[None], bank) for x in stream]
    pred, plain = torch.cat([o.pred for o in outs]), torch.stack([o.aux["plain"] for o in outs])
    queues = {"pos": bank.extra["positive"], "neg": bank.extra["negative"]}
    return case.named({
        "order": case.inputs.get("order"), "labels": case.labels, "clip_logits": plain,
        "entropy": torch.stack([o.aux["entropy"] for o in outs]), "pred": plain.argmax(-1),
        "image_features": torch.stack([o.aux["feature"] for o in outs]), "final_logits": pred,
        "accuracy": 100 * pred.argmax(-1).eq(case.labels).float().mean(),
        **{f"{k}_sizes": torch.tensor(q.sizes) for k, q in queues.items()},
        **{f"{k}_keys": q.keys() if len(q) else text[:0] for k, q in queues.items()},
        **{f"{k}_losses": torch.tensor([i.entropy for _, i in q.ordered()]) for k, q in queues.items()},
        **{f"{k}_probs": q.probs() if len(q) else plain[:0] for k, q in queues.items()},
    })
