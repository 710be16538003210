"""Feature shift: where pictures and class names lie before and after tuning, in one projection."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.errors import BadData, WrongKind
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.subject import as_batch, class_text, method_of
from promptlab.method import Method, sandbox


@torch.no_grad()
def features(method: Method, batch: Any, versus: Method | None = None) -> dict[str, Tensor]:
    """Unit features: ``image_before``, ``image_after`` [B, E], ``text_before``, ``text_after`` [C, E]; before = zero-shot, or what
    another method on the same backbone and classes answers with."""
    image, text = _answered(method, batch)
    if versus is None:
        start = method.backbone.cached_image(batch).pooled, method.plain(method.task.classes)
    else:
        _same_space(method, versus)
        start = _answered(versus, batch)
    found = {"image_before": start[0], "image_after": image, "text_before": start[1], "text_after": text}
    return {k: F.normalize(v.float(), dim=-1).cpu() for k, v in found.items()}


def _answered(method: Method, batch: Any) -> tuple[Tensor, Tensor]:
    """The image [B, E] and text [C, E] features that a method answers with."""
    with sandbox(method):
        bank = method.bank()
        out = method.predict(batch, bank)
        text, plain = class_text(bank, out), method.plain(method.task.classes)
        after = out.aux.get("after")
        moved = after if isinstance(after, Tensor) and after.shape == (len(batch), plain.shape[1]) else method.image(batch).pooled
    if text is None or text.shape != plain.shape or moved.shape != (len(batch), plain.shape[1]):
        raise WrongKind(f"{method.card.name} answers without one feature a picture and one text feature per class; look at its weights or "
                        f"evidence instead.")
    return moved, text


def _same_space(method: Method, versus: Method) -> None:
    if versus.backbone.digest() != method.backbone.digest() or versus.task.classes.names != method.task.classes.names:
        raise BadData(f"{versus.card.name} and {method.card.name} do not share backbone and classes, so their features lie in different "
                      f"spaces; compare runs that were fitted on the same ones.")


def project(points: Tensor, dims: int = 2) -> tuple[Tensor, float]:
    """Principal axes [E, dims] of centred points [n, E], signs fixed, and the share of variance that they hold."""
    centred = points - points.mean(0)
    _, s, vh = torch.linalg.svd(centred, full_matrices=False)
    axes = vh[:dims].T
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    return axes, float((s[:dims] ** 2).sum() / (s**2).sum().clamp_min(1e-30))


def margins(image: Tensor, text: Tensor, target: Tensor) -> Tensor:
    """Cosine to the true class minus the best other one, [B]."""
    sim = image @ text.T
    true = sim.gather(1, target[:, None])[:, 0]
    return true - sim.scatter(1, target[:, None], -2.0).amax(1)


def shift(subject: Any, images: Any, *, limit: int = 256, versus: Any = None, like: Exhibit | None = None, space: str = "pca") -> Exhibit:
    """Image and text features before (zero-shot, or the run ``versus``) and after tuning; labelled pictures also give alignment and
    margin per class.

    arrays: ``image_before``/``image_after`` [B, 2], ``text_before``/``text_after`` [C, 2] in one projection (each modality centred on
    its own mean before tuning, since the gap between modalities would fill the first axis; then the principal axes of all four sets, or
    ``space="umap"``), ``image_shift`` [B] and ``text_shift`` [C] (Euclidean, in the joint space), ``target`` [B] or -1; with labels
    ``alignment_*`` (cosine to the own class's text) and ``margin_*`` [C]. ``like``: a shift exhibit whose axes are used again.
    sanity: ``discrepancy`` = (mean text shift - mean image shift)², the difference of the two modalities' shifts that RESTORE
    penalises (arXiv:2403.06136; measured on embeddings, as its text defines it, not on prompt norms as its code does).
    """
    method = method_of(subject)
    batch = as_batch(method, images, limit)
    f = features(method, batch, None if versus is None else method_of(versus))
    names, target = method.task.classes.names, batch.target
    flat, kept, axes = _flat(f, like, space)
    arrays: dict[str, np.ndarray] = {k: v.numpy() for k, v in flat.items()}
    moved = {side: (f[f"{side}_after"] - f[f"{side}_before"]).norm(dim=1) for side in ("image", "text")}
    arrays |= {"image_shift": moved["image"].numpy(), "text_shift": moved["text"].numpy()}
    labelled = target is not None and target.ndim == 1
    arrays["target"] = target.numpy() if labelled else np.full(len(batch), -1)
    mean = {side: float(v.mean()) for side, v in moved.items()}
    gap = (mean["text"] - mean["image"]) ** 2
    sanity = [] if kept is None else [Sanity("share of variance in the picture", kept)]
    sanity += [Sanity("mean shift of texts (of images)", mean["text"], mean["image"]), Sanity("discrepancy of the shifts", gap, 0.0)]
    if labelled and len(names) > 1:
        arrays |= _per_class(f, target, len(names))
        before, after = (margins(f[f"image_{w}"], f[f"text_{w}"], target).mean() for w in ("before", "after"))
        sanity.append(Sanity("mean margin after", float(after), float(before)))
    start = "zero-shot" if versus is None else method_of(versus).card.name
    return Exhibit(
        "shift", f"What {method.card.name} moved", arrays, {"class": names},
        f"Arrows run from {start} to tuned; both ends use the same projection, and each modality is centred on its own mean before.",
        tuple(sanity), {"image_shift": mean["image"], "text_shift": mean["text"], "discrepancy": gap, "axes": axes, "before": start},
    )


def _flat(f: dict[str, Tensor], like: Exhibit | None, space: str) -> tuple[dict[str, Tensor], float | None, dict[str, list]]:
    """The four sets in two dimensions, the share of variance that these hold (None where that means nothing), and the axes."""
    known = like.settings.get("axes") if like is not None else None
    mean = {side: torch.tensor(known[side]) if known else f[f"{side}_before"].mean(0) for side in ("image", "text")}
    centred = {k: v - mean[k.split("_")[0]] for k, v in f.items()}
    every = torch.cat(list(centred.values()))
    if space == "umap":
        return dict(zip(centred, _umap(every).split([len(v) for v in centred.values()]), strict=True)), None, {}
    if space != "pca":
        raise BadData(f"features are drawn in the space 'pca' or 'umap'; got {space!r}.")
    if known:
        axes = torch.tensor(known["axes"])
        kept = float((every @ axes).pow(2).sum() / every.pow(2).sum().clamp_min(1e-30))
    else:
        axes, kept = project(every)
    return {k: v @ axes for k, v in centred.items()}, kept, {"axes": axes.tolist(), **{side: m.tolist() for side, m in mean.items()}}


def _umap(points: Tensor) -> Tensor:
    """All points in one UMAP embedding [n, 2] (arXiv:1802.03426), seeded."""
    try:
        from umap import UMAP
    except ImportError:
        raise BadData("space='umap' needs the package umap-learn, which is not installed; install it or use space='pca'.") from None
    return torch.from_numpy(np.asarray(UMAP(random_state=0, n_jobs=1, metric="cosine").fit_transform(points.numpy()), dtype=np.float32))


def _per_class(f: dict[str, Tensor], target: Tensor, n: int) -> dict[str, np.ndarray]:
    """Mean cosine to the own class's text, and mean margin, per class; nan where a class has no picture."""
    out = {}
    for when in ("before", "after"):
        image, text = f[f"image_{when}"], f[f"text_{when}"]
        own, margin = (image * text[target]).sum(1), margins(image, text, target)
        for name, value in (("alignment", own), ("margin", margin)):
            out[f"{name}_{when}"] = np.array([float(value[target == c].mean()) if bool((target == c).any()) else np.nan for c in range(n)])
    return out


EXHIBITS = {"shift": shift}
