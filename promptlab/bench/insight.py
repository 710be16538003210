"""``promptlab bench insight``: do evidence maps point at the thing, and what does each method yield, in how many seconds.

Pointing game (Zhang et al., arXiv:1608.00507): the centre of a map's largest patch lies in the object's box; sets of pictures: see
``promptlab.bench.sights``. The map is that of ``promptlab.inspect.evidence`` (gradient x attention over all layers, class score against
the mean of the other classes), not smoothed; settings were compared on validation pictures, the figures come from test pictures.
Controls: the same map for random directions in place of the class, and the class token's attention in the last layer, mean over heads.
*chance*: mean share of the picture that the box covers. *deletion*: the class's probability while the map's patches are deleted, as a
share of the whole picture's (lower is better), beside the random prompt's.
"""

import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from promptlab import registry
from promptlab.bench.sights import SETS, Sights, sights
from promptlab.create import create
from promptlab.data.batch import Batch
from promptlab.errors import PromptlabError
from promptlab.inspect import EXHIBITS, SHOWS, Exhibit, of_runs, show
from promptlab.inspect.evidence import class_score, deletion, probability, random_score, relevance
from promptlab.method import Method
from promptlab.testing.subject import Subject

COLUMNS = ("set", "maps", "evidence", "random prompt", "raw attention", "chance", "deletion", "deletion, random")
TIMED = ("exhibit", "methods", "slowest", "median s", "slowest s")
YIELDS = ("method", "exposes", "yields", "slowest", "slowest s", "missing")
DELETED = 60  # maps whose deletion score is taken

__all__ = ["COLUMNS", "SETS", "TIMED", "YIELDS", "inside", "pointing", "timing", "yields"]


def pointing(clip: Any, which: str, pictures: int = 200, split: str = "test") -> dict[str, Any]:
    """One row of the table: shares of maps whose peak falls in the box, over at most ``pictures`` pictures of one set."""
    seen = sights(which, split, pictures, clip.spec.size)
    method = create("zero_shot", clip, seen.spec.classes, seen.spec.templates)
    hits: dict[str, list[bool]] = {"evidence": [], "random prompt": [], "raw attention": []}
    areas: list[float] = []
    scores: dict[str, list[float]] = {"deletion": [], "deletion, random": []}
    bank = method.bank()
    for batch, c, box in _asked(method, seen):
        maps = {"evidence": relevance(method, batch, class_score(c, bank)), "random prompt": relevance(
            method, batch, random_score(method, batch, len(areas))), "raw attention": _raw(clip, batch)}
        for name, heat in maps.items():
            hits[name].append(inside(heat, clip.grid, clip.spec.size, box))
        if len(areas) < DELETED:
            for name, key in (("deletion", "evidence"), ("deletion, random", "random prompt")):
                scores[name].append(deletion(method, batch.pixels(clip.spec), maps[key], clip.grid, probability(c, bank)))
        areas.append(float((box[2] - box[0]) * (box[3] - box[1])) / clip.spec.size**2)
    means = {k: sum(v) / max(1, len(v)) for k, v in {**hits, **scores}.items()}
    return {"set": which, "task": seen.spec.name, "style": seen.spec.style, "split": split, "maps": len(areas), **means,
            "chance": sum(areas) / max(1, len(areas))}


def inside(heat: Tensor, grid: tuple[int, int], size: int, box: Tensor) -> bool:
    """Whether the centre of the largest patch of ``heat`` [M] lies in ``box`` (left, top, right, bottom in px of a picture of ``size``)."""
    row, column = divmod(int(heat.argmax()), grid[1])
    x, y = (column + 0.5) * size / grid[1], (row + 0.5) * size / grid[0]
    left, top, right, bottom = box.tolist()
    return left <= x <= right and top <= y <= bottom


def _asked(method: Method, seen: Sights) -> Iterator[tuple[Batch, int, Tensor]]:
    """(picture, class, box) of all that is asked; where the set wants it, only pictures that zero-shot names rightly."""
    spec = method.backbone.spec
    shift, scale = (torch.tensor(v)[:, None, None] for v in (spec.mean, spec.std))
    bank = method.bank()
    for b, c, box in seen.asked:
        batch = Batch.of((seen.pixels[b : b + 1].float() / 255 - shift) / scale)
        if seen.named:
            with torch.no_grad():
                if int(method(batch, bank).pred[0].argmax()) != c:
                    continue
        yield batch, c, box


@torch.no_grad()
def _raw(clip: Any, batch: Batch) -> Tensor:
    """Attention [M] of the class token to the patches in the last layer, mean over heads."""
    point = f"image.block.{clip.image_layers - 1}.attn.pattern"
    lead, m = clip.image.lead, clip.grid[0] * clip.grid[1]
    return clip.encode_image(batch.pixels(clip.spec), (), [point]).taps[point][0].mean(0)[0, lead : lead + m]


def yields(clip: Any, keys: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """One row a method, fitted for a few steps on four classes of two pictures: the seconds (of the processor, since others may use it
    too) of each exhibit that it yields, and what its card exposes that no exhibit shows."""
    return [_yield(key, clip) for key in keys or registry.ids()]


def _yield(key: str, clip: Any) -> dict[str, Any]:
    subject = Subject(registry.get(key), clip)
    try:
        method, _ = subject.fit()
    except PromptlabError as e:
        return {"method": key, "exposes": [], "seconds": {}, "missing": [], "why": str(e)}
    picture, seconds = next(subject.toy.episode.support.take([0]).batches(1)), {}
    for what in EXHIBITS:
        start = time.process_time()
        if not of_runs(what) and isinstance(_try(method, what, picture), Exhibit):
            seconds[what] = time.process_time() - start
    exposed = [SHOWS.get(e.as_, e.as_) for e in method.card.exposes]
    missing = [w for w in dict.fromkeys(exposed) if w not in seconds and not of_runs(w)]
    return {"method": key, "exposes": list(dict.fromkeys(exposed)), "seconds": seconds, "missing": missing, "why": ""}


def yield_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row of :func:`yields` as text."""
    s = row["seconds"]
    slowest = max(s, key=s.get) if s else ""
    return (row["method"], ", ".join(row["exposes"]), str(len(s)), slowest, f"{s[slowest]:.2f}" if s else row["why"],
            ", ".join(row["missing"]))


def timing(clip: Any, keys: tuple[str, ...] = (), rows: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """Seconds of every exhibit over all methods; ``rows``: those of :func:`yields` where they are there."""
    seconds: dict[str, dict[str, float]] = {what: {} for what in EXHIBITS}
    for row in yields(clip, keys) if rows is None else rows:
        for what, s in row["seconds"].items():
            seconds[what][row["method"]] = s
    return [_summary(what, s) for what, s in seconds.items() if s]


def _try(method: Method, what: str, picture: Batch) -> Exhibit | None:
    try:
        return show(method, what, picture)
    except PromptlabError:
        return None


def _summary(what: str, s: dict[str, float]) -> dict[str, Any]:
    slowest = max(s, key=s.get)
    return {"exhibit": what, "methods": len(s), "slowest": slowest, "median s": sorted(s.values())[len(s) // 2], "slowest s": s[slowest]}
