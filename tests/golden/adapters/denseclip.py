"""DenseCLIP of ``raoyongming/DenseCLIP``: contexts, context decoder, score map, its loss and gradients."""

import re
from typing import Any

import torch

from promptlab.card import build_hyper
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.methods.denseclip import DenseCLIP
from promptlab.parts.dense import to_map
from tests.golden import rules
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    method, given = build(case), {item["name"]: item for item in case.entry["inputs"]}
    batch = Batch.of(pictures(case, given["images"]), labels(given["score_labels"]))
    bank = method.bank()
    out, seen, text = method(batch, bank), method.seen(batch), bank.extra["text"]
    diff = method.refine(seen, text)
    loss = method.loss(out, batch)["score"]
    loss.backward()
    name_tokens = case.settings["name_tokens"]
    decoder = {f"grad.{n}": (lambda p=p: p.grad[:8]) for n, p in method.decoder.named_parameters()}
    return case.named({
        "tokens": method.backbone.tokenize(method.task.classes.clean)[:, :name_tokens],
        "global_embedding": seen.pooled, "visual_embedding": to_map(seen.tokens, seen.grid), "text_without_image": text,
        "text_diff": diff, "text_embeddings": text + method.gamma * diff, "score_map": out.aux["scores"], "loss": loss,
        "grad.contexts": method.context.ctx.grad[None], "grad.gamma": method.gamma.grad, **decoder,
    })


def pictures(case: Case, item: Any) -> torch.Tensor:
    make = item.get("make", {"array": item["name"]})
    return rules.apply(make["rule"], {}) if "rule" in make else case.array(make["array"])


def labels(item: Any) -> torch.Tensor:
    """"the label at flat index n over [image, row, column] is (3 n) mod 8"; "(n + 1) mod 8" and the like too."""
    found = re.search(r"\bis \(?(\d*) ?n(?: \+ (\d+))?\)? mod (\d+)", item["make"]["rule"])
    index = torch.arange(torch.Size(item["shape"]).numel())
    return ((int(found[1] or 1) * index + int(found[2] or 0)) % int(found[3])).reshape(item["shape"])


def build(case: Case) -> DenseCLIP:
    """The method with the case's settings and learnables; the segmentation head is left out."""
    s = case.settings
    values = {"n_ctx": s["n_contexts"], "width": s["decoder_width"], "heads": s["decoder_heads"], "layers": s["decoder_layers"],
              "tau": s["temperature"], "head": "score", "backbone_lr": 0.0}
    method = DenseCLIP(case.backbone(), Task("dense", ClassSet(case.classnames)), build_hyper("denseclip", DenseCLIP.Hyper, values)).eval()
    own = {f"context_decoder.{n}": p for n, p in method.decoder.named_parameters()}
    own |= {"contexts": method.context.ctx, "gamma": method.gamma}
    with torch.no_grad():
        for name, value in case.learnables.items():
            own[name].copy_(value.reshape(own[name].shape))
    return method
