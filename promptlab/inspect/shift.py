"""Feature shift: where pictures and class names lie before and after tuning, in one projection."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.errors import WrongKind
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.subject import as_batch, class_text, method_of
from promptlab.method import Method, sandbox


@torch.no_grad()
def features(method: Method, batch: Any) -> dict[str, Tensor]:
    """Unit features: ``image_before``, ``image_after`` [B, E], ``text_before``, ``text_after`` [C, E]."""
    with sandbox(method):
        bank = method.bank()
        out = method.predict(batch, bank)
        text = class_text(bank, out)
        before = method.plain(method.task.classes)
        after = out.aux.get("after")
        moved = after if isinstance(after, Tensor) and after.shape == (len(batch), before.shape[1]) else method.image(batch).pooled
    if text is None or text.shape != before.shape:
        raise WrongKind(f"{method.card.name} answers without one text feature per class; look at its weights or evidence instead.")
    found = {"image_before": method.backbone.cached_image(batch).pooled, "image_after": moved, "text_before": before, "text_after": text}
    return {k: F.normalize(v.float(), dim=-1).cpu() for k, v in found.items()}


def project(points: Tensor, dims: int = 2) -> tuple[Tensor, float]:
    """Principal axes [E, dims] of centred points [n, E], signs fixed, and the share of variance that they hold."""
    centred = points - points.mean(0)
    _, s, vh = torch.linalg.svd(centred, full_matrices=False)
    axes = vh[:dims].T
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    return axes, float((s[:dims] ** 2).sum() / (s**2).sum())


def margins(image: Tensor, text: Tensor, target: Tensor) -> Tensor:
    """Cosine to the true class minus the best other one, [B]."""
    sim = image @ text.T
    true = sim.gather(1, target[:, None])[:, 0]
    return true - sim.scatter(1, target[:, None], -2.0).amax(1)


def shift(subject: Any, images: Any, *, limit: int = 256) -> Exhibit:
    """Image and text features before (zero-shot) and after tuning; labelled pictures also give alignment and margin per class.

    arrays: ``image_before``/``image_after`` [B, 2], ``text_before``/``text_after`` [C, 2] in one projection (principal axes of all
    four sets; each modality is centred on its own mean before tuning, since the gap between modalities would fill the first axis),
    ``image_shift`` [B] and ``text_shift`` [C] (Euclidean, in the joint space), ``target`` [B] or -1; with labels ``alignment_*`` and
    ``margin_*`` [C]. settings: ``discrepancy`` = (mean text shift - mean image shift)², the difference of the two modalities' shifts
    that RESTORE penalises (arXiv:2403.06136; measured on embeddings, as its text defines it, not on prompt norms as its code does).
    """
    method = method_of(subject)
    batch = as_batch(method, images, limit)
    f = features(method, batch)
    names, target = method.task.classes.names, batch.target
    mean = {side: f[f"{side}_before"].mean(0) for side in ("image", "text")}
    centred = {k: v - mean[k.split("_")[0]] for k, v in f.items()}
    axes, kept = project(torch.cat(list(centred.values())))
    arrays: dict[str, np.ndarray] = {k: (v @ axes).numpy() for k, v in centred.items()}
    moved = {side: (f[f"{side}_after"] - f[f"{side}_before"]).norm(dim=1) for side in ("image", "text")}
    arrays |= {"image_shift": moved["image"].numpy(), "text_shift": moved["text"].numpy()}
    arrays["target"] = np.full(len(batch), -1) if target is None or target.ndim != 1 else target.numpy()
    labelled = target is not None and target.ndim == 1
    sanity = [Sanity("share of variance in the picture", kept)]
    if labelled and len(names) > 1:
        arrays |= _per_class(f, target, len(names))
        before, after = (margins(f[f"image_{w}"], f[f"text_{w}"], target).mean() for w in ("before", "after"))
        sanity.append(Sanity("mean margin after", float(after), float(before)))
    mean_shift = {side: float(v.mean()) for side, v in moved.items()}
    return Exhibit(
        "shift",
        f"What {method.card.name} moved",
        arrays,
        {"class": names},
        "Arrows run from zero-shot to tuned; both ends use the same projection, and each modality is centred on its own zero-shot mean.",
        tuple(sanity),
        {
            "image_shift": mean_shift["image"],
            "text_shift": mean_shift["text"],
            "discrepancy": (mean_shift["text"] - mean_shift["image"]) ** 2,
        },
    )


def _per_class(f: dict[str, Tensor], target: Tensor, n: int) -> dict[str, np.ndarray]:
    """Mean cosine to the own class's text, and mean margin, per class; nan where a class has no picture."""
    out = {}
    for when in ("before", "after"):
        image, text = f[f"image_{when}"], f[f"text_{when}"]
        own, margin = (image * text[target]).sum(1), margins(image, text, target)
        for name, value in (("alignment", own), ("margin", margin)):
            out[f"{name}_{when}"] = np.array([float(value[target == c].mean()) if bool((target == c).any()) else np.nan for c in range(n)])
    return out
