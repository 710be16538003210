"""SVL-Adapter of ``omipan/svl_adapter``: the classifier trained on stored features, fused with the model's answers."""

import copy
import re
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from promptlab.backbones.points import Encoding
from promptlab.data.batch import Batch, Pixels, Split
from promptlab.fit.optim import Plan, optimiser
from promptlab.methods.svl_adapter import SVLAdapter
from tests.golden import make
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s, clip = case.settings, case.backbone()
    method = make.method(SVLAdapter, case, {
        "encoder": "small", "hidden": s["hidden"], "optimiser": s["optimizer"], "lr": float(s["lr"]), "epochs": s["epochs"],
        "select": "val" if s["fusion"] == "tuned" else "confidence", "confidence": "raw", "alpha_step": s.get("alpha_step"),
        "alpha": float(s["alpha"]) if s["fusion"] == "fixed" else None}, (case.prompt,))
    inputs = {**case.inputs, **clip_features(case, clip)}
    stand_in = copy.copy(clip)
    stand_in.scale = torch.tensor(float(s["scale"]))
    stand_in.cached_image = lambda batch, tokens=False: Encoding(batch.source._pixels[list(batch.rows)])
    object.__setattr__(method, "backbone", stand_in)
    parts = {name: split(inputs[f"clip_{name}_features"], case.labels, name) for name in ("val", "test")}
    parts["train"] = split(torch.zeros(len(case.labels), stand_in.joint_dim), case.labels, "train")
    method.features = lambda batch: inputs[batch.source.key][list(batch.rows)]
    method.mlp = nn.Sequential(nn.Linear(inputs["train"].shape[1], s["hidden"]), nn.ReLU(), nn.Linear(s["hidden"], len(case.classnames)))
    method.mlp.load_state_dict({k.removeprefix("mlp."): v for k, v in case.learnables.items()})
    losses = train(method, parts["train"])
    method._choose(parts["val"], parts["test"])
    with torch.no_grad():
        out = method(next(parts["test"].batches(len(case.labels))), method.bank())
    return case.named({
        "clip_text": method.bank().text.T, "clip_test_features": inputs["clip_test_features"], "losses": losses,
        "adapter_logits": out.aux["adapter"], "mlp.2.weight_after": method.mlp[2].weight, "mlp.0.bias_after": method.mlp[0].bias,
        "old_logits": out.aux["plain"], "logits": out.pred, "alpha": torch.as_tensor(method.share),
    })


def split(features: Tensor, labels: Tensor, name: str) -> Split:
    return Split(Pixels(features, name), tuple(range(len(features))), labels)


def train(method: SVLAdapter, data: Split) -> Tensor:
    """Both halves in each epoch, in order."""
    half = (len(data) + 1) // 2
    batches: list[Batch] = list(data.batches(half))
    plan, opt, losses = Plan.of(method.hyper, len(batches)), optimiser(method.hyper, list(method.mlp.parameters())), []
    for _ in range(plan.epochs):
        for batch in batches:
            (loss,) = method.loss(method(batch, method.bank()), batch).values()
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.detach())
    return torch.stack(losses)


@torch.no_grad()
def clip_features(case: Case, clip: Any) -> dict[str, Tensor]:
    """The inputs that are features of the case's model: an image feature plus the text feature of its class, scaled or unit length."""
    text = clip.encode_text([case.prompt.replace("{}", n.replace("_", " ")) for n in case.classnames]).pooled[case.labels]
    found = {}
    for item in case.entry["inputs"]:
        rule = item["make"].get("rule", "")
        if "feature of" not in rule:
            continue
        source = re.search(r"image feature of (\w+)\[i\]", rule)[1]
        whole = clip.encode_image(case.images() if source == "images" else case.inputs[source]).pooled + text
        factor = re.match(r"\S+\[i\] = ([0-9.]+) \(", rule)
        found[item["name"]] = float(factor[1]) * whole if factor else normalize(whole, dim=-1)
    return found
