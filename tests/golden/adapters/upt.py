"""UPT as ``sIncerass/MVLPT`` computes it."""

from typing import Any

import torch

from promptlab.methods.upt import UPT
from tests.golden import make
from tests.golden.harness import Case

NAMES = {
    "attn.in_proj_weight": "attn.in_proj_weight", "attn.in_proj_bias": "attn.in_proj_bias", "attn.out_proj.weight": "attn.out_proj.weight",
    "attn.out_proj.bias": "attn.out_proj.bias", "ln_1.weight": "ln_1.weight", "ln_1.bias": "ln_1.bias", "up.weight": "mlp.c_fc.weight",
    "up.bias": "mlp.c_fc.bias", "down.weight": "mlp.c_proj.weight", "down.bias": "mlp.c_proj.bias", "ln_2.weight": "ln_2.weight",
    "ln_2.bias": "ln_2.bias",
}


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    values = {"n_ctx": s.get("n_ctx_text"), "n_vision": s.get("n_ctx_vision"), "deep": s.get("deep"), "position": s.get("position"),
              "class_specific": s.get("csc"), "dim": s.get("project_dim"), "heads": s.get("heads"), "mixing": s.get("mixing")}
    method = make.method(UPT, case, values, **modules(case))
    vision(method.prompts.vision, case)
    return outputs(method, case, modules(case))


def modules(case: Case) -> dict[str, str]:
    """Our parameter → the original's, for those that the case has."""
    names = {"prompts.context.ctx": "ctx"}
    names |= {f"prompts.mixer.block.{ours}": f"mvlpt_proj.resblocks.0.{theirs}" for ours, theirs in NAMES.items()}
    for ours, theirs in (("t", "coop"), ("v", "vpt")):
        for when in ("pre", "post"):
            names |= {f"prompts.mixer.{when}_{ours}.{kind}": f"mvlpt_proj_ctx_{theirs}_{when}.{kind}" for kind in ("weight", "bias")}
    return {ours: theirs for ours, theirs in names.items() if theirs in case.learnables}


def vision(ours: torch.Tensor, case: Case) -> None:
    """The first block's tokens and those of the others, joined."""
    parts = [case.learnables[k] for k in ("vpt_embeddings", "vpt_embeddings_deep") if k in case.learnables]
    with torch.no_grad():
        ours.copy_(torch.cat(parts))


def outputs(method: Any, case: Case, names: dict[str, str]) -> dict[str, Any]:
    batch, bank = make.batch(case), method.bank()
    out = method(batch, bank)
    (loss,) = method.loss(out, batch).values()
    loss.backward()
    ctx, tokens = method.prompts.mixed()
    own, grads = dict(method.named_parameters()), {}
    for ours, theirs in names.items():
        grads[f"grad.{theirs}"] = stored(own[ours].grad, case, f"grad.{theirs}")
    moved = method.prompts.vision.grad
    return case.named({
        "image_features": method.image(batch).pooled,
        "text_features": method.text(method.prompts.context.inputs(ctx=ctx)) if ctx is not None else None,
        "logits": out.pred, "loss": loss, "prompt_text": ctx, "prompt_vision": tokens[0], "prompt_vision_deep": tokens[1:],
        "grad.vpt_embeddings": moved[:1], "grad.vpt_embeddings_deep": moved[1:], **grads,
    })


def stored(grad: torch.Tensor, case: Case, name: str) -> torch.Tensor:
    """The rows that the case keeps of a large gradient: "..., rows 188 to 191"."""
    about = next((o for o in case.outputs if o["array"] == name or o["array"].endswith(f".{name}")), None)
    if about is None or "rows " not in about["meaning"]:
        return grad
    first, last = (int(w) for w in about["meaning"].rsplit("rows ", 1)[1].split(" to "))
    return grad[first : last + 1]
