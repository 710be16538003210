"""What was learned, as numbers: votes of the shots, residuals, low-rank and weight changes, pixel prompts, shifts."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from promptlab.errors import WrongKind
from promptlab.inspect.evidence import picture
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.subject import as_batch, class_index, method_of, one_picture
from promptlab.inspect.words import word_parameters
from promptlab.method import sandbox
from promptlab.parts.pixels import Frame, Patch
from promptlab.parts.weights import Delta, LowRank


@torch.no_grad()
def memory(subject: Any, image: Any) -> Exhibit:
    """Which shots voted on one picture (methods with a key-value memory).

    arrays: ``affinity`` [M] cosine to each key, ``vote`` [M] its weight in the logits of its class, ``label`` [M], ``plain``,
    ``votes``, ``total`` [C] the zero-shot logits, the memory's, and their sum. sanity: largest difference of that sum from the answer.
    """
    method = method_of(subject)
    cache = getattr(method, "cache", None)
    if cache is None:
        raise WrongKind(f"{method.card.name} keeps no memory of the shots; tip_adapter does.")
    batch, names = one_picture(method, image), method.task.classes.names
    with sandbox(method):
        out = method.predict(batch, method.bank())
    if not {"affinity", "plain", "votes"} <= set(out.aux) or not hasattr(method, "live"):
        raise WrongKind(f"the memory of {method.card.name} adds no votes to the logits; see what else it exposes.")
    affinity = out.aux["affinity"][0].float()
    alpha, beta = (float(x) for x in method.live)
    vote = alpha * torch.exp(-beta * (1 - affinity))
    label = cache.values.argmax(1)
    arrays = {
        "affinity": affinity,
        "vote": vote,
        "label": label,
        "plain": out.aux["plain"][0],
        "votes": out.aux["votes"][0],
        "total": out.pred[0],
    }
    error = float((out.aux["plain"] + torch.zeros_like(out.pred).index_add_(1, label, vote[None]) - out.pred).abs().max())
    return Exhibit(
        "bars",
        f"Votes of the shots of {method.card.name}",
        {k: v.cpu().numpy() for k, v in arrays.items()},
        {"class": names},
        "A bar is the zero-shot logit of a class with the votes of its shots on top.",
        (Sanity("largest difference from the method's answer", error),),
        {"alpha": alpha, "beta": beta},
    )


@torch.no_grad()
def residuals(subject: Any) -> Exhibit:
    """Angle in degrees [C] between each class's zero-shot and tuned text feature, and the cosine matrix [C, C] of the two sets.

    sanity: share of classes whose tuned feature is still nearest to its own zero-shot feature.
    """
    method = method_of(subject)
    names = method.task.classes
    with sandbox(method):
        bank = method.bank()
        text = bank.text if bank.text is not None else None
    if text is None:
        raise WrongKind(f"{method.card.name} makes its class features per picture; look at its shift instead.")
    after, before = F.normalize(text.float().mean(0) if text.ndim == 3 else text.float(), dim=-1), method.plain(names)
    cosine = after @ before.T
    angle = torch.rad2deg(torch.arccos(cosine.diagonal().clamp(-1, 1)))
    own = float((cosine.argmax(1) == torch.arange(len(names), device=cosine.device)).float().mean())
    return Exhibit(
        "matrix",
        f"How {method.card.name} turned the class features",
        {"cosine": cosine.cpu().numpy(), "angle": angle.cpu().numpy()},
        {"class": names.names},
        "Row: tuned class, column: zero-shot class. A strong diagonal means that names kept their meaning.",
        (Sanity("share of classes nearest to their own zero-shot feature", own, 1 / len(names)),),
    )


@torch.no_grad()
def norms(subject: Any) -> Exhibit:
    """How far each named weight of the towers was moved: Frobenius norm of the change over that of the frozen weight.

    arrays: ``relative`` [L, W] per block and weight (nan where nothing was changed), ``singular`` [L, W] share of its energy in the
    largest singular value. For methods that edit weights (low-rank, deltas).
    """
    method = method_of(subject)
    if not any(isinstance(m, LowRank | Delta) for m in method.modules()):
        raise WrongKind(f"{method.card.name} changes no weight of the towers; clip_lora and wise_ft do.")
    clip, found = method.backbone, {}
    for edit in method.edits():
        side = clip.image if edit.at.startswith("image.") else clip.text
        at = edit.at
        if ".weights." not in at and at.rsplit(".", 1)[-1] in ("q", "k", "v", "out", "o"):
            at = at.replace(".block.", ".weights.block.", 1).replace(".attn.out", ".attn.o")
        frozen = side.weights.get(at)
        if frozen is None or frozen.ndim != 2 or ".block." not in at:
            continue
        delta = _delta(method, at, frozen)
        if delta is not None:
            found[at] = (float(delta.norm() / frozen.float().norm()), float(_leading(delta)))
    if not found:
        raise WrongKind(f"{method.card.name} has changed no matrix of a block; there is nothing to show.")
    return _by_layer(method.card.name, found)


def _delta(method: Any, at: str, frozen: torch.Tensor) -> torch.Tensor | None:
    for part in method.modules():
        if isinstance(part, LowRank):
            try:
                return part.delta(at).float()
            except KeyError:
                continue
        if isinstance(part, Delta):
            try:
                return part[at].float()
            except (KeyError, AttributeError):
                continue
    return None


def _leading(delta: torch.Tensor) -> float:
    s = torch.linalg.svdvals(delta)
    return float(s[0] ** 2 / (s**2).sum().clamp_min(1e-30))


def _by_layer(name: str, found: dict[str, tuple[float, float]]) -> Exhibit:
    def split(at: str) -> tuple[str, int, str]:
        side, _, _, layer, weight = at.split(".", 4)
        return side, int(layer), weight

    columns = sorted({f"{s} {w}" for s, _, w in map(split, found)})
    layers = 1 + max(split(at)[1] for at in found)
    relative, singular = np.full((layers, len(columns)), np.nan), np.full((layers, len(columns)), np.nan)
    for at, (r, s) in found.items():
        side, layer, weight = split(at)
        relative[layer, columns.index(f"{side} {weight}")], singular[layer, columns.index(f"{side} {weight}")] = r, s
    total = float(np.sqrt(np.nanmean(relative**2)))
    return Exhibit(
        "heat",
        f"Weights that {name} changed",
        {"relative": relative, "singular": singular},
        {"weight": columns},
        "Norm of the change over the norm of the frozen weight, per block.",
        (Sanity("root mean square relative change", total, 0.0),),
    )


@torch.no_grad()
def pixels(subject: Any, image: Any) -> Exhibit:
    """A pixel prompt as a picture: ``prompt`` [H, W, 3] rescaled to 0..1, ``picture`` and ``prompted`` [H, W, 3] as the tower sees them.

    settings: ``low``, ``high``: the prompt's range in units of normalised pixels. sanity: share of pixels that the prompt leaves alone.
    """
    method = method_of(subject)
    prompt = next((m for m in method.modules() if isinstance(m, Frame | Patch)), None)
    if prompt is None:
        raise WrongKind(f"{method.card.name} adds nothing to the pixels; vp does.")
    batch = one_picture(method, image)
    p = prompt()[0].float().cpu()
    spec = method.backbone.spec
    shown = batch.pixels(spec)[0].cpu().float() + p
    shown = (shown * torch.tensor(spec.std)[:, None, None] + torch.tensor(spec.mean)[:, None, None]).clamp(0, 1)
    low, high = float(p.min()), float(p.max())
    arrays = {
        "prompt": ((p - low) / max(high - low, 1e-12)).permute(1, 2, 0).numpy(),
        "picture": picture(method, batch),
        "prompted": shown.permute(1, 2, 0).numpy(),
    }
    return Exhibit(
        "images",
        f"The pixel prompt of {method.card.name}",
        arrays,
        {},
        "The same values are added to every picture; no clamp is applied in the tower.",
        (Sanity("share of pixels left alone", float((p == 0).all(0).float().mean())),),
        {"low": low, "high": high},
    )


@torch.no_grad()
def conditioning(subject: Any, images: Any) -> Exhibit:
    """Image-conditioned shift of the context: ``norm`` [B] and cosines [B, B] between pictures, sorted by class.

    sanity: mean length of the shift beside that of the context's own vectors (a shift near 0 conditions on nothing), and the mean
    cosine within classes beside that between classes.
    """
    method = method_of(subject)
    batch = as_batch(method, images, 64)
    with sandbox(method):
        out = method.predict(batch, method.bank())
    moved = out.aux.get("shift")
    if moved is None:
        raise WrongKind(f"the context of {method.card.name} does not depend on the picture; that of cocoop does.")
    moved = moved.reshape(len(batch), -1).float().cpu()
    target = batch.target if batch.target is not None else torch.tensor([class_index(method, None, p) for p in out.pred])
    order = target.argsort(stable=True)
    unit, target = F.normalize(moved[order], dim=-1), target[order]
    cosine, same = unit @ unit.T, target[:, None] == target[None]
    off = ~torch.eye(len(batch), dtype=torch.bool)
    inside, outside = cosine[same & off], cosine[~same]
    own = word_parameters(method)[0][1].norm(dim=-1).mean()
    sanity = [Sanity("mean length of the shift", float(moved.norm(dim=1).mean()), float(own))]
    if len(inside) and len(outside):
        sanity.append(Sanity("mean cosine within classes", float(inside.mean()), float(outside.mean())))
    names = [method.task.classes.names[int(t)] for t in target]
    return Exhibit(
        "matrix",
        f"Shifts of the context of {method.card.name}",
        {"cosine": cosine.numpy(), "norm": moved[order].norm(dim=1).numpy()},
        {"picture": names},
        "Blocks along the diagonal would mean that the shift depends on the class.",
        tuple(sanity),
    )


EXHIBITS = {"conditioning": conditioning, "memory": memory, "norms": norms, "pixels": pixels, "residuals": residuals}
SHOWS = {"memory": "memory", "pixels": "pixels", "shift": "conditioning"}
