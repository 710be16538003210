"""``promptlab bench insight``: do evidence maps point at the thing, and how long does each exhibit take.

Pointing game (Zhang et al., arXiv:1608.00507): the centre of a map's largest patch lies in the object's box. Two sets of the picture
world in photo style: *one*, pictures of one object that zero-shot names rightly; *several*, pictures with other objects in them, each
asked for by name. With one large object nearly every map hits, whatever it was made for, so the controls mean little there; with
several only a map that depends on the class can. The map is that of ``promptlab.inspect.evidence`` (gradient x attention over all
layers, class score against the mean of the other classes), not smoothed; settings were compared on validation pictures, the figures
come from test pictures. Controls: the same map for random directions in place of the class, and the class token's attention in the last
layer, mean over heads. *chance*: mean share of the picture that the box covers.
"""

import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from promptlab import registry
from promptlab.create import create
from promptlab.data.batch import Batch
from promptlab.errors import PromptlabError
from promptlab.inspect import EXHIBITS, Exhibit, show
from promptlab.inspect.evidence import class_score, random_score, relevance
from promptlab.method import Method
from promptlab.testing.subject import Subject
from promptlab.world import task_spec

SETS = {"one": "animals@photo", "several": "scenes@photo"}
COLUMNS = ("set", "maps", "evidence", "random prompt", "raw attention", "chance")
TIMED = ("exhibit", "methods", "slowest", "median s", "slowest s")


def pointing(clip: Any, which: str, pictures: int = 200, split: str = "test") -> dict[str, Any]:
    """One row of the table: shares of maps whose peak falls in the box, over at most ``pictures`` pictures of one set."""
    spec = task_spec(SETS[which])
    made = spec.render(split, range(min(pictures, spec.count(split))), clip.spec.size)
    method = create("zero_shot", clip, spec.classes, spec.templates)
    shift, scale = (torch.tensor(v)[:, None, None] for v in (clip.spec.mean, clip.spec.std))
    pixels = (made.pixels.float() / 255 - shift) / scale
    hits: dict[str, list[bool]] = {"evidence": [], "random prompt": [], "raw attention": []}
    areas = []
    for b in range(len(made)):
        batch = Batch.of(pixels[b : b + 1])
        raw = None
        for c, box in _asked(method, batch, made, b, which, spec.classes):
            raw = _raw(clip, batch) if raw is None else raw
            maps = {
                "evidence": relevance(method, batch, class_score(c)),
                "random prompt": relevance(method, batch, random_score(method, batch, len(areas))),
                "raw attention": raw,
            }
            for name, heat in maps.items():
                hits[name].append(inside(heat, clip.grid, clip.spec.size, box))
            areas.append(float((box[2] - box[0]) * (box[3] - box[1])) / clip.spec.size**2)
    return {"set": which, "task": spec.name, "style": spec.style, "split": split, "maps": len(areas),
            **{k: sum(v) / len(v) for k, v in hits.items()}, "chance": sum(areas) / len(areas)}


def inside(heat: Tensor, grid: tuple[int, int], size: int, box: Tensor) -> bool:
    """Whether the centre of the largest patch of ``heat`` [M] lies in ``box`` (left, top, right, bottom in px of a picture of ``size``)."""
    row, column = divmod(int(heat.argmax()), grid[1])
    x, y = (column + 0.5) * size / grid[1], (row + 0.5) * size / grid[0]
    left, top, right, bottom = box.tolist()
    return left <= x <= right and top <= y <= bottom


def _asked(method: Method, batch: Batch, made: Any, b: int, which: str, classes: list[str]) -> Iterator[tuple[int, Tensor]]:
    """The (class, box) pairs that are asked about one picture."""
    if which == "one":
        with torch.no_grad():
            answer = int(method(batch, method.bank()).pred[0].argmax())
        if answer == int(made.labels[b]):
            yield answer, made.box[b, 0]
        return
    names = made.names[b]
    for o, name in enumerate(names):
        if len(names) > 1 and name in classes and names.count(name) == 1:
            yield classes.index(name), made.box[b, o]


@torch.no_grad()
def _raw(clip: Any, batch: Batch) -> Tensor:
    """Attention [M] of the class token to the patches in the last layer, mean over heads."""
    point = f"image.block.{clip.image_layers - 1}.attn.pattern"
    lead, m = clip.image.lead, clip.grid[0] * clip.grid[1]
    return clip.encode_image(batch.pixels(clip.spec), (), [point]).taps[point][0].mean(0)[0, lead : lead + m]


def timing(clip: Any, keys: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Seconds of every exhibit over all methods, each fitted for a few steps on four classes of two pictures."""
    seconds: dict[str, dict[str, float]] = {what: {} for what in EXHIBITS}
    for key in keys or registry.ids():
        subject = Subject(registry.get(key), clip)
        method, _ = subject.fit()
        picture = next(subject.toy.episode.support.take([0]).batches(1))
        for what in EXHIBITS:
            start = time.perf_counter()
            if isinstance(_try(method, what, picture), Exhibit):
                seconds[what][key] = time.perf_counter() - start
    return [_summary(what, s) for what, s in seconds.items() if s]


def _try(method: Method, what: str, picture: Batch) -> Exhibit | None:
    if what == "curves":  # made of a run's events, not of a method
        return None
    try:
        return show(method, what, picture)
    except PromptlabError:
        return None


def _summary(what: str, s: dict[str, float]) -> dict[str, Any]:
    slowest = max(s, key=s.get)
    return {"exhibit": what, "methods": len(s), "slowest": slowest, "median s": sorted(s.values())[len(s) // 2], "slowest s": s[slowest]}
