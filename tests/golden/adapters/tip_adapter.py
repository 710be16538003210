"""Tip-Adapter and -F of ``gaopengcuhk/Tip-Adapter``: cache from passes, search on validation, trained keys."""

import copy
from typing import Any

import torch
from torch import Tensor

from promptlab.backbones.points import Encoding
from promptlab.card import build_hyper
from promptlab.data.batch import Batch, PixelSpec, Split, View
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.fit.context import FitContext
from promptlab.fit.optim import Plan, optimiser
from promptlab.methods.tip_adapter import TipAdapter
from promptlab.parts.memory import one_hot, search, ticks
from tests.golden.harness import Case


class Passes:
    """A source whose view i is the given picture (or feature) set i."""

    key = ""

    def __init__(self, sets: list[Tensor]):
        self.sets = sets

    def __len__(self) -> int:
        return len(self.sets[0])

    def pixels(self, rows: Any, spec: PixelSpec, view: View = View()) -> Tensor:
        return self.sets[max(view.index - 1, 0)][list(rows)]


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    return encoder(case) if "variant" not in s else tip_f(case) if s["variant"] == "tip_f" else tip(case)


def create(case: Case, **hyper: Any) -> TipAdapter:
    classes = ClassSet(case.classnames, tuple(case.settings.get("templates") or ("a photo of a {}.",)))
    return TipAdapter(backbone(case), Task("single", classes, case.id), build_hyper("tip_adapter", TipAdapter.Hyper, hyper))


def backbone(case: Case) -> Any:
    """The case's backbone; for a case of ready features a stand-in whose pictures are these features."""
    if case.arguments is not None:
        return case.backbone()
    weights = case.inputs["text_weights"]
    made = copy.copy(case.backbone(embed_dim=weights.shape[1]))
    made.scale = torch.tensor(float(case.settings["scale"]))
    made.zero_shot = lambda names, templates, mean="unit": weights
    made.cached_image = lambda batch, tokens=False: Encoding(batch.pixels(made.spec))
    return made


def split(case: Case, *sets: Tensor) -> Split:
    return Split(Passes(list(sets)), tuple(range(len(sets[0]))), case.labels)


def encoder(case: Case) -> dict[str, Any]:
    passes = case.settings["augment_epoch"]
    others = [case.inputs[f"pass_{i}"] for i in range(2, passes + 1)]
    method = create(case, passes=passes, select_on="init")
    list(method.fit(Episode(method.task, split(case, case.images(), *others)), FitContext()))
    return case.named({"clip_weights_encoder": method.bank().text.T, "cache_keys_encoder": method.cache.keys.T})


def tip(case: Case) -> dict[str, Any]:
    s = case.settings
    (top_beta, top_alpha), (betas, alphas) = s["search_scale"], s["search_step"]
    hyper = {"init_beta": float(s["beta"]), "init_alpha": float(s["alpha"]), "search_beta": float(top_beta),
             "search_alpha": float(top_alpha), "betas": betas, "alphas": alphas, "passes": 1}
    train, val, test = (split(case, case.inputs[k]) for k in ("train", "val", "test"))
    before, method = create(case, **hyper, select_on="init"), create(case, **hyper)
    for m in (before, method):
        list(m.fit(Episode(m.task, train, val), FitContext()))
    out = {(k, part): m(next(data.batches(1000)), m.bank())
           for k, m in (("first", before), ("found", method)) for part, data in (("val", val), ("test", test))}
    alpha, beta = method.found.tolist()
    seen = out["first", "val"].aux
    grid = search(method.cache, seen["plain"], seen["affinity"], case.labels, ticks(top_beta, betas), ticks(top_alpha, alphas)).grid
    plain = {part: out["first", part].aux["plain"] for part in ("val", "test")}
    return case.named({
        "clip_weights": method.bank().text.T, "cache_keys": method.cache.keys.T,
        "val_features": case.inputs["val"], "test_features": case.inputs["test"],
        "clip_logits_val": plain["val"], "clip_logits_test": plain["test"],
        "tip_logits_val": out["first", "val"].pred, "tip_logits_test": out["found", "test"].pred,
        "accuracy_grid": 100 * grid, "best": torch.tensor([beta, alpha]),
        "accuracies": torch.stack([percent(p, case.labels) for p in
                                   (plain["val"], out["first", "val"].pred, plain["test"], out["found", "test"].pred)]),
    })


def tip_f(case: Case) -> dict[str, Any]:
    """The keys trained on the batches of the case (train[0::2], then val[1::2]) in each epoch."""
    s = case.settings
    method = create(case, finetune=True, init_beta=float(s["beta"]), init_alpha=float(s["alpha"]), epochs=s["train_epoch"], batch=1,
                    optimiser=s["optimizer"], lr=float(s["lr"]), adam_eps=float(s["eps"]), weight_decay=float(s["weight_decay"]))
    method.cache.fill(case.inputs["train"], one_hot(case.labels, len(case.classnames)))
    batches = [Batch.of(case.inputs[k][i::2], case.labels[i::2]) for k, i in (("train", 0), ("val", 1))]
    plan, opt = Plan.of(method.hyper, len(batches)), optimiser(method.hyper, list(method.parameters()))
    losses, rates, first = [], [], None
    for step in range(plan.total):
        rates.append(plan.rate(step // len(batches), step))
        opt.param_groups[0]["lr"] = rates[-1]
        batch = batches[step % len(batches)]
        (loss,) = method.loss(method(batch, method.bank()), batch).values()
        opt.zero_grad()
        loss.backward()
        first = method.cache.keys.grad.clone() if first is None else first
        opt.step()
        losses.append(loss.detach())
    return case.named({"f_losses": torch.stack(losses), "f_lr": torch.tensor(rates), "f_grad_first": first,
                       "f_weight_final": method.cache.keys})


def percent(pred: Tensor, target: Tensor) -> Tensor:
    return 100 * pred.argmax(-1).eq(target).float().mean()
