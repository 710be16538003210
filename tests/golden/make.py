"""A method with the settings and learnables of a golden case."""

from collections.abc import Mapping
from typing import Any

import torch

from promptlab.card import build_hyper
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.method import Method
from tests.golden.harness import Case


def method(cls: type[Method], case: Case, values: Mapping[str, Any], templates: tuple[str, ...] | None = None, **load: str) -> Method:
    """``values``: hyper-parameters; those that the settings lack are left out as None. ``load``: our parameter = its learnable's name."""
    hyper = build_hyper(cls.card.id, cls.Hyper, {k: v for k, v in values.items() if v is not None})
    classes = ClassSet(case.classnames, templates) if templates else ClassSet(case.classnames)
    made = cls(case.backbone(), Task("single", classes, case.id), hyper)
    own = dict(made.named_parameters())
    with torch.no_grad():
        for ours, theirs in load.items():
            if theirs in case.learnables:  # else: made from its init words, by us as by the original
                value = case.learnables[theirs]
                fits = own[ours].squeeze().shape == value.squeeze().shape
                assert fits, f"{case.id}: {ours} {list(own[ours].shape)}, not {list(value.shape)}"
                own[ours].copy_(value.reshape(own[ours].shape))  # one prompt of a method of many has no axis of prompts here
    return made


def batch(case: Case) -> Batch:
    """The case's images as one batch, with labels where there are some."""
    return Batch.of(case.images(), case.labels)


def context(case: Case) -> dict[str, Any]:
    """``n_ctx`` and ``ctx_init`` of a case; without initial words the method's own default must not step in."""
    s = case.settings
    return {"n_ctx": s.get("n_ctx"), "ctx_init": s.get("ctx_init") or ""}
