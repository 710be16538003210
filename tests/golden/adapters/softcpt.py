"""SoftCPT of ``kding1225/softcpt``: contexts per task and per class."""

from typing import Any

import torch

from promptlab.card import build_hyper
from promptlab.data.classes import ClassSet
from promptlab.data.joint import own_classes
from promptlab.data.task import Task
from promptlab.methods.softcpt import SoftCPT
from tests.golden import make
from tests.golden.harness import Case

KNOBS = {"n_ctx": "n_ctx", "position": "position", "per": "context_per", "generator": "generator", "task_n_ctx": "task_n_ctx",
         "task_specific": "task_csc", "task_position": "task_position", "class_n_ctx": "class_n_ctx", "class_specific": "class_csc",
         "class_position": "class_position"}
NAMES = {"task_ctx": "task_prompt_learner.ctx", "class_ctx": "class_prompt_learner.ctx", "proj": "prompt_gen.proj"}


def run(case: Case) -> dict[str, Any]:
    s, at, tasks = case.settings, 0, []
    for about in s["tasks"]:
        tasks.append((about["name"], ClassSet(case.classnames[at : at + about["classes"]])))
        at += about["classes"]
    hyper = build_hyper("softcpt", SoftCPT.Hyper, {ours: s[theirs] for ours, theirs in KNOBS.items() if s.get(theirs) is not None})
    method = SoftCPT(case.backbone(), Task("single", tasks[0][1], tasks[0][0]), hyper)
    method.tasks = (tasks[0],)  # named as in the case, whatever we read out of a task's name
    method.along(tasks[1:])
    own = dict(method.named_parameters())
    with torch.no_grad():
        for ours, theirs in NAMES.items():
            if ours in own:
                own[ours].copy_(case.learnables[theirs])
    method.train()
    batch, bank = make.batch(case), method.bank()
    out = method(batch, bank)
    (loss,) = method.loss(out, batch).values()
    loss.backward()
    features = bank.extra["tasks"]
    seen = features if features is not None else unused(case, tasks, s)
    parts = [method.generated(i, classes, features) for i, (_, classes) in enumerate(tasks)]
    grads = {f"grad.{theirs}": own[ours].grad for ours, theirs in NAMES.items() if ours in own}
    for theirs in NAMES.values():
        if (grad := grads.get(f"grad.{theirs}")) is not None:
            n = len(grad)
            grads |= {f"grad.{theirs}.rows": grad[[0, n // 4, n // 2, 3 * n // 4]] if n >= 4 else grad,
                      f"grad.{theirs}.rownorm": grad.flatten(1).norm(dim=1)}
        elif "task" in theirs and theirs in case.learnables:  # the class-only generator leaves it without a gradient
            grads[f"grad.{theirs}"] = torch.zeros_like(case.learnables[theirs])
    return case.named({
        "label": labels(case, tasks), "task_features": seen, "text_features": bank.text, "logits": out.pred, "loss": loss,
        "task_tokens": lambda: method.backbone.tokenize([s["task_prompt"].replace("{}", n.replace("_", " ")) for n, _ in tasks]),
        "class_features": lambda: torch.cat([method.class_features(i, c) for i, (_, c) in enumerate(tasks)]),
        "ctx": torch.stack(parts) if hyper.per == "task" else torch.cat(parts), **grads,
    })


def unused(case: Case, tasks: list[tuple[str, ClassSet]], s: Any) -> torch.Tensor:
    """Task features of the class-only generator, which the original computes and drops."""
    hyper = build_hyper("softcpt", SoftCPT.Hyper, {ours: s[theirs] for ours, theirs in KNOBS.items() if ours.startswith("task_")})
    method = SoftCPT(case.backbone(), Task("single", tasks[0][1], tasks[0][0]), hyper)
    method.tasks = (tasks[0],)
    method.along(tasks[1:])
    with torch.no_grad():
        method.task_ctx.copy_(case.learnables["task_prompt_learner.ctx"])
        return method.task_features()


def labels(case: Case, tasks: list[tuple[str, ClassSet]]) -> torch.Tensor:
    """Images x classes: 1 for the class, 0 in its task, -1 elsewhere."""
    sizes = [len(c) for _, c in tasks]
    return own_classes(case.labels, sizes).long() - 1 + torch.nn.functional.one_hot(case.labels, sum(sizes))
