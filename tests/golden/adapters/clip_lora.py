"""CLIP-LoRA of ``MaxZanella/CLIP-LoRA``: training without and with (given) dropout, evaluation, the merged change."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.backbones.points import Edit
from promptlab.methods.clip_lora import CLIPLoRA
from tests.golden import make
from tests.golden.harness import Case

OUT = ("o", "o_proj", "out_proj", "proj")


def ours(name: str) -> str:
    """``visual.transformer.resblocks.3.attn.q_proj`` → ``image.weights.block.3.attn.q``."""
    side = "image" if name.startswith("visual.") else "text"
    *_, block, _, module = name.split(".")
    return f"{side}.weights.block.{block}.attn.{'o' if module in OUT else module[0]}"


def run(case: Case) -> dict[str, Any]:
    s = case.settings
    values = {"encoder": s.get("encoder"), "params": "".join(p[0] for p in s["params"]), "layers": _layers(s), "rank": s["rank"],
              "alpha": float(s["alpha"]), "dropout": float(s.get("dropout", 0.0))}
    modules = sorted({name.rpartition(".")[0] for name in case.learnables})
    key = {m: ours(m).replace(".weights.", ".").replace(".", "/") for m in modules}
    load = {f"lora.{kind}.{key[m]}": f"{m}.{kind}" for m in modules for kind in "AB"}
    method = make.method(CLIPLoRA, case, values, tuple(s.get("templates") or (case.prompt,)), **load)
    if s.get("scale") is not None:  # a constant of the original, not the model's own
        object.__setattr__(method, "backbone", copy.copy(method.backbone))
        method.backbone.scale = torch.tensor(float(s["scale"]))
    method.train(s["mode"] == "train")
    method.lora.mask = Masks(case)
    # an identity at the patterns: every row of every block is computed, side by side, so that the given masks fit
    plain = [Edit(f"{side}.block.*.attn.pattern", lambda p: p) for side in ("image", "text")]
    method.edits = lambda batch=None: [*method.lora.edits(), *plain]
    batch, bank = make.batch(case), method.bank()
    out = method(batch, bank)
    features = method.image(batch).pooled
    values = {"logits": out.pred, "image_features": F.normalize(features, dim=-1), "text_features": bank.text}
    if case.labels is not None:
        (values["loss"],) = method.loss(out, batch).values()
        values["loss"].backward()
        values |= {f"grad.{m}.{kind}": getattr(method.lora, kind)[key[m]].grad for m in modules for kind in "AB"}
    about = next((o["meaning"] for o in case.outputs if o["array"].endswith("merged_delta")), None)
    if about is not None:
        values["merged_delta"] = method.lora.delta(ours(next(m for m in modules if f"of {m}" in about)))[:8]
    return case.named(values)


class Masks:
    """The dropout of the case: noise [tokens, batch, width] that says which entries are kept."""

    def __init__(self, case: Case):
        self.keep = 1 - float(case.settings.get("dropout", 0.0))
        self.edge = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(1 - self.keep)) if self.keep < 1 else torch.tensor(0.0)
        self.noise = {ours(n.removeprefix("drop.")): v.transpose(0, 1) for n, v in case.inputs.items() if n.startswith("drop.")}

    def __call__(self, x: Tensor, name: str) -> Tensor:
        kept = (self.noise[name] > self.edge)[:, : x.shape[1]]
        return x * kept / self.keep


def _layers(s: Any) -> str:
    layers = s.get("layers")
    return layers if isinstance(layers, str) else "all" if layers is None else ",".join(map(str, layers))
