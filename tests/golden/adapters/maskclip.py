"""MaskCLIP of ``chongzhou96/MaskCLIP``: value-path tokens, dense cosines, prompt denoising and key smoothing."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.card import build_hyper
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.methods.maskclip import MaskCLIP
from promptlab.parts.dense import value_edits
from tests.golden import harness
from tests.golden.harness import Case


def run(case: Case) -> dict[str, Any]:
    s, clip = case.settings, backbone(case)
    values = {"templates": "dataset-all", "pd": float(s["pd_threshold"]), "ks": float(s["ks_threshold"]), "scale": float(s["scale"]),
              "residual": s.get("residual", True), "mlp": s.get("mlp", True)}
    task = Task("dense", ClassSet(case.classnames, tuple(s["templates"])))
    method = MaskCLIP(clip, task, build_hyper("maskclip", MaskCLIP.Hyper, values))
    pixels = case.inputs.get("cropped")
    pixels = case.images() if pixels is None else pixels
    bank = method.bank()
    out = method(Batch.of(pixels), bank)
    refined = out.pred if values["ks"] > 0 else out.pred / values["scale"]
    return case.named({
        "text_embeddings": bank.text, "logits": out.aux["cosine"], "refined_ks": refined, "refined_pd": refined, "refined_both": refined,
        "value_tokens": lambda: value_tokens(clip, pixels, s),
    })


def backbone(case: Case) -> Any:
    """The case's backbone; the public configuration gives the image tower another activation and layer-norm epsilon."""
    activation, eps = case.settings.get("vision_activation", "quick_gelu"), case.settings.get("vision_layer_norm_eps", 1e-5)
    if (activation, eps) == ("quick_gelu", 1e-5):
        return case.backbone()
    model = case.open_clip()
    for block in model.visual.transformer.resblocks:
        block.mlp.gelu = {"gelu": nn.GELU, "quick_gelu": type(block.mlp.gelu)}[activation]()
    for module in model.visual.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = eps
    return harness.wrap(model)


def value_tokens(clip: Any, pixels: Tensor, settings: Any) -> Tensor:
    """Rows of the last block after its norm and before the projection, [B, D, h, w]."""
    name = f"image.block.{clip.image_layers - 1}.out"
    rows = clip.encode_image(pixels, value_edits(clip, mlp=settings["mlp"]), [name]).taps[name][:, clip.image.lead:]
    gain, bias = (clip.image.weights[f"image.weights.ln_post{end}"] for end in ("", ".bias"))
    rows = F.layer_norm(rows, rows.shape[-1:], gain, bias, settings["vision_layer_norm_eps"])
    side = round(rows.shape[1] ** 0.5)
    return rows.transpose(1, 2).unflatten(2, (side, side))
