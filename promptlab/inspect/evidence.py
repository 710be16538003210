"""Evidence: which patches speak for a class. Each map carries its deletion score beside that of a random-prompt control.

Relevance for ViTs: gradient x attention, carried over the layers. With A_l the pattern and G_l the gradient of the class score,
R ← R + mean_heads(max(G_l * A_l, 0)) R from R = I; the class token's row over the patches is the map
(Chefer, Gur, Wolf: *Generic Attention-model Explainability*, ICCV 2021, arXiv:2103.15679, eq. 5-6).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.backbones.points import Edit
from promptlab.data.batch import Batch
from promptlab.errors import WrongKind
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.subject import class_index, method_of, one_picture, random_like, with_edits
from promptlab.method import Bank, Method, sandbox

SHARES = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)  # of patches that are deleted, most relevant first
CONTROLS = {"relevance": 4, "occlusion": 2}  # random directions of the control
CELLS = 6  # of a side of the occlusion map
HOW = {"relevance": "Made by relevance.",
       "occlusion": "{} has no attention that could be read, so this is an occlusion map: one cell after another is covered."}

Score = Callable[[Method, Batch], Tensor]


class Capture:
    """An identity edit that keeps the patterns of one run, with their gradients."""

    def __init__(self) -> None:
        self.patterns: list[Tensor] = []

    def edit(self) -> Edit:
        return Edit("image.block.*.attn.pattern", self._keep)

    def _keep(self, pattern: Tensor) -> Tensor:
        pattern = pattern if pattern.requires_grad else pattern.detach().requires_grad_()
        self.patterns.append(pattern)
        return pattern


def relevance(method: Method, batch: Batch, score: Score) -> Tensor | None:
    """Relevance [M] of the patches of one picture for ``score(method, batch)`` ([B]); None where the method reads the picture
    by a path of its own (a value path without attention)."""
    seen, clip = Capture(), method.backbone
    with torch.enable_grad():
        value = score(with_edits(method, [seen.edit()]), batch).sum()
        if not seen.patterns:
            return None
        grads = torch.autograd.grad(value, seen.patterns, allow_unused=True)
    carried = torch.eye(seen.patterns[0].shape[-1], device=value.device)
    for a, g in zip(seen.patterns, grads, strict=True):
        if g is None:  # nothing after the last read value
            continue
        t = a.shape[-1]
        if t > len(carried):  # tokens that a method adds in later layers start as themselves
            grown = torch.eye(t, device=value.device)
            grown[: len(carried), : len(carried)] = carried
            carried = grown
        step = (a[0] * g[0]).clamp_min(0).mean(0).detach()
        carried = carried[:t, :t] + step @ carried[:t, :t]
    lead, m = clip.image.lead, clip.grid[0] * clip.grid[1]
    return carried[0, lead : lead + m].cpu()


def occlusion(method: Method, batch: Batch, score: Score, cells: int = CELLS) -> Tensor:
    """Fall [cells²] of the score when one cell is painted in the mean colour; for towers without named attention."""
    x = batch.pixels(method.backbone.spec)
    edges = torch.linspace(0, x.shape[-1], cells + 1).round().int().tolist()
    painted = x.expand(cells**2 + 1, -1, -1, -1).clone()
    for i in range(cells):
        for j in range(cells):
            painted[1 + i * cells + j, :, edges[i] : edges[i + 1], edges[j] : edges[j + 1]] = 0
    with torch.no_grad():
        values = score(method, Batch.of(painted)).cpu()
    return values[0] - values[1:]


def deletion(method: Method, pixels: Tensor, heat: Tensor, grid: tuple[int, int], score: Score) -> float:
    """Mean score (area under the curve over SHARES) while the most relevant patches are painted in the mean colour; lower = better map.

    Divided by the score of the whole picture, so that 1 means that deleting changed nothing.
    """
    return deletions(method, pixels, [heat], grid, score)[0]


def deletions(method: Method, pixels: Tensor, heats: Sequence[Tensor], grid: tuple[int, int], score: Score) -> list[float]:
    """The deletion score of several maps of one picture [1, 3, H, W], in one run of the tower."""
    keep = torch.ones(len(heats), len(SHARES), len(heats[0]))
    for rows, heat in zip(keep, heats, strict=True):
        order = heat.argsort(descending=True)
        for row, share in zip(rows, SHARES, strict=True):
            row[order[: round(share * len(heat))]] = 0
    mask = F.interpolate(keep.reshape(-1, 1, *grid), size=pixels.shape[-2:], mode="nearest").to(pixels.device)
    with torch.no_grad():
        values = score(method, Batch.of(pixels * mask)).cpu().reshape(len(heats), -1).numpy()
    return [float(np.trapezoid(v, SHARES) / (SHARES[-1] - SHARES[0]) / max(float(v[0]), 1e-12)) for v in values]


def class_score(c: int, bank: Bank | None = None) -> Score:
    """Logit of class ``c`` against the mean of the others: what speaks for this class rather than for any. ``bank``: the class side
    that is already there."""

    def score(method: Method, batch: Batch) -> Tensor:
        pred = method(batch, bank or method.bank()).pred
        pred = pred.flatten(2).amax(-1) if pred.ndim == 4 else pred
        return pred[:, c] - (pred.sum(1) - pred[:, c]) / max(1, pred.shape[1] - 1)

    return score


def probability(c: int, bank: Bank | None = None) -> Score:
    def score(method: Method, batch: Batch) -> Tensor:
        return method.kind.probabilities(method(batch, bank or method.bank()).pred)[:, c]

    return score


def random_score(method: Method, batch: Batch, seed: int) -> Score:
    """Cosine to a random direction: a prompt that means nothing, read by the same tower."""
    direction = random_like(method.backbone.cached_image(batch).pooled[0].float(), seed)
    return lambda m, b: F.cosine_similarity(m.image(b).pooled.float(), direction[None])


def _map(method: Method, batch: Batch, score: Score) -> tuple[Tensor, tuple[int, int], str]:
    """(heat [M], grid, how): relevance where attention is named, occlusion elsewhere."""
    heat = relevance(method, batch, score) if "attention" in method.backbone.offers else None
    if heat is not None:
        return heat, method.backbone.grid, "relevance"
    return occlusion(method, batch, score), (CELLS, CELLS), "occlusion"


def _control(method: Method, batch: Batch, seed: int, how: str) -> Tensor:
    """The map of a random prompt, made in the same way."""
    score = random_score(method, batch, seed)
    return occlusion(method, batch, score) if how == "occlusion" else relevance(method, batch, score)


def evidence(subject: Any, image: Any, name: str | int | None = None, *, seed: int = 0, versus: Any = None) -> Exhibit:
    """Which patches speak for a class (default: the predicted one), zero-shot (or in the run ``versus``) and tuned.

    arrays: ``before``, ``after``, ``control`` [h, w] (unscaled relevance; a plot uses one colour scale for the first two), ``picture``
    [H, W, 3] in 0..1. sanity, for the tuned map and the one before: deletion score (area under the class probability while the map's
    patches are deleted, most relevant first, as a share of the whole picture's; lower is better) beside the mean of random-prompt maps
    deleted likewise.
    """
    method = method_of(subject)
    if method.task.kind == "dense":
        raise WrongKind(f"{method.card.name} answers with a map already; show its masks instead.")
    batch = one_picture(method, image)
    pixels = batch.pixels(method.backbone.spec)
    plain, start = (plain_of(method), "zero-shot") if versus is None else (method_of(versus), method_of(versus).card.name)
    with sandbox(method), sandbox(plain):
        with torch.no_grad():
            banks = method.bank(), plain.bank()
            c = class_index(method, name, method(batch, banks[0]).pred[0])
        scored = [class_score(c, bank) for bank in banks]
        after, grid, how = _map(method, batch, scored[0])
        before = occlusion(plain, batch, scored[1]) if how == "occlusion" else _map(plain, batch, scored[1])[0]
        controls = [_control(method, batch, seed + i, how) for i in range(CONTROLS[how])]
        scores = []
        for judged, heat, bank in ((method, after, banks[0]), (plain, before, banks[1])):
            own, *null = deletions(judged, pixels, [heat, *controls], grid, probability(c, bank))
            scores.append((own, float(np.mean(null))))
    maps = {"before": before, "after": after, "control": controls[0]}
    return Exhibit(
        "maps",
        f"Evidence for '{method.task.classes.names[c]}': {start} and {method.card.name}",
        {k: v.reshape(grid).numpy() for k, v in maps.items()} | {"picture": picture(method, batch)},
        {},
        f"{HOW[how].format(method.backbone.name)} Trust a map only if deleting its patches hurts more (a lower score) than deleting those "
        f"of a random prompt.",
        (Sanity("deletion score", *scores[0]), Sanity(f"deletion score, {start}", *scores[1])),
        {"class": method.task.classes.names[c], "how": how, "seed": seed, "before": start},
    )


def plain_of(method: Method) -> Method:
    """Zero-shot on the same backbone and task: the empty method."""
    plain = Method.__new__(Method)
    torch.nn.Module.__init__(plain)
    for key in ("backbone", "task", "hyper", "kind"):
        object.__setattr__(plain, key, getattr(method, key))
    object.__setattr__(plain, "card", method.card)
    return plain.eval()


def picture(method: Method, batch: Batch) -> np.ndarray:
    """The picture as the tower sees it, [H, W, 3] in 0..1."""
    spec = method.backbone.spec
    x = batch.pixels(spec)[0].cpu().float()
    x = x * torch.tensor(spec.std)[:, None, None] + torch.tensor(spec.mean)[:, None, None]
    return x.clamp(0, 1).permute(1, 2, 0).numpy()


EXHIBITS = {"evidence": evidence}
