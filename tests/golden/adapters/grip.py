"""FPL and GRIP of ``BatsResearch/menghini-neurips23-code``: boards, text prompt without full stop, mixed loss, schedule."""

from dataclasses import replace
from typing import Any

import torch

from promptlab.card import build_hyper
from promptlab.data.batch import Batch, Split
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.fit.boards import choose, growing
from promptlab.fit.rounds import mixed
from promptlab.methods.grip import Grip
from tests.golden import make
from tests.golden.harness import Case


class Verbatim(ClassSet):
    """Names whose underscores stay, as the public prefix encoder takes them."""

    @property
    def clean(self) -> tuple[str, ...]:
        return self.names


def run(case: Case) -> dict[str, Any]:
    return {"pseudo_labels": pseudo_labels, "text_prompt": text_prompt, "schedule": schedule}[case.settings["step"]](case)


def pseudo_labels(case: Case) -> dict[str, Any]:
    s = case.settings
    if s["source"] == "zero_shot":
        method = make.method(Grip, case, {"settings": "n_ctx=1"})
        source = make.batch(case).source
        logits = method.guess(Split(source, tuple(range(len(source)))), case.prompt)
    else:
        logits = case.inputs["logits"]
    chosen = choose(logits.softmax(-1), None if s["k"] == "all" else s["k"])
    return case.named({"logits": logits, "images": chosen.index, "labels": chosen.label})


def text_prompt(case: Case) -> dict[str, Any]:
    s = case.settings
    hyper = build_hyper("grip", Grip.Hyper, {"settings": f"n_ctx={s['n_ctx']}", "period": s.get("final_period", False)})
    names = (ClassSet if s.get("replace_underscores") else Verbatim)(case.classnames)
    method = Grip(case.backbone(), Task("single", names, case.id), hyper)
    with torch.no_grad():
        method.inner.context.ctx.copy_(case.learnables["prefix"].reshape(method.inner.context.ctx.shape))
    whole = make.batch(case)
    batch = replace(whole, rows=tuple(s["image_index"]))
    batch = Batch(batch.source, batch.rows, case.labels)
    bank = method.bank()
    out = method(batch, bank)
    loss = method.loss(out, batch)["task"]
    loss.backward()
    ids = batch.rows if set(s["pseudo_labelled"]) <= set(batch.rows) else range(len(batch))
    pseudo = torch.tensor([i in s["pseudo_labelled"] for i in ids], dtype=torch.bool)
    return case.named({
        "tokens": method.backbone.tokenize(method.inner.context.texts(names)),
        "text_features": bank.text, "logits": out.pred, "loss": loss,
        "grad": method.inner.context.ctx.grad[None],
        "mixed_loss": mixed(out.pred, batch.target, ~pseudo, (s["balance"], 1.0)),
    })


def schedule(case: Case) -> dict[str, Any]:
    s = case.settings
    ks = growing(s["n_unlabeled"], s["n_classes"], 100 // s["step_quantile"])
    return {name: torch.tensor(ks) for name in case.wanted}
