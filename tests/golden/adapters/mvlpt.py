"""MVLPT's forward over several tasks, with its choice of each task's logits."""

from typing import Any

from promptlab.methods.mvlpt import MVLPT
from tests.golden import make
from tests.golden.adapters.upt import modules, stored, vision
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s, at, tasks = case.settings, 0, []
    mixed, text, tokens = s.get("project_method") not in (None, "identity"), s.get("n_ctx_text"), s.get("n_ctx_vision")
    values = {"instance": "upt" if mixed else "both" if text and tokens else "coop" if text else "vpt", "n_ctx": text or None,
              "n_vision": tokens or None, "deep": s.get("deep"), "position": s.get("position"), "class_specific": s.get("csc"),
              "dim": s.get("project_dim"), "heads": s.get("heads"), "mixing": s.get("mixing"), "per_task": s.get("label_pertask")}
    method = make.method(MVLPT, case, values, **modules(case))
    if tokens:
        vision(method.prompts.vision, case)
    for size in s["task_sizes"]:
        tasks.append(method.task.classes.subset(range(at, at + size)))
        at += size
    method.joint = None if s.get("csc") else tuple(tasks)
    batch, bank = make.batch(case), method.bank()
    method.joint = tuple(tasks)
    out = method(batch, bank)
    (loss,) = method.loss(out, batch).values()
    loss.backward()
    ctx, prompts = method.prompts.mixed()
    own = dict(method.named_parameters())
    grads = {f"grad.{theirs}": stored(own[ours].grad, case, f"grad.{theirs}") for ours, theirs in modules(case).items()}
    if prompts is not None:
        moved = method.prompts.vision.grad
        grads |= {"grad.vpt_embeddings": moved[:1], "grad.vpt_embeddings_deep": moved[1:]}
    inputs = None if ctx is None else method.prompts.context.inputs(method.task.classes, ctx=ctx)
    return case.named({
        "image_features": method.image(batch).pooled,
        "text_features": method.text(inputs if inputs is not None else method.task.classes.prompts()),
        "logits": method.own(out.pred, batch.target), "loss": loss, "prompt_text": ctx,
        "prompt_vision": None if prompts is None else prompts[0], "prompt_vision_deep": None if prompts is None else prompts[1:], **grads,
    })
