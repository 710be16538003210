"""Replay: any exhibit over the epochs of a run, and how far every learned vector went."""

import inspect as _signature
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.errors import BadData, WrongKind
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.words import labels, nearest, word_parameters
from promptlab.method import Method

MOST = 12  # frames of a replay
LINES = 64  # vectors of a drift; more are summed up by parameter


def epochs_of(run: Any) -> list[int]:
    """The epochs that a run can be gone back to; one sentence where it kept none."""
    kept = getattr(run, "epochs", None)
    if kept is None:
        raise BadData("only a run has epochs to go back to, and a method alone came; pass the run.")
    if len(kept) < 2:
        raise BadData(f"run {run.id} of {run.key} kept no learnables of its epochs, since it took none or was told to keep none; "
                      f"fit a method that trains, or fit again with refit.")
    return kept


def spread(kept: Sequence[int], most: int) -> list[int]:
    """At most ``most`` of the epochs, the first and the last among them, evenly apart."""
    places = np.unique(np.linspace(0, len(kept) - 1, min(most, len(kept))).round().astype(int))
    return [kept[i] for i in places]


def replay(run: Any, what: str | Callable[..., Exhibit], image: Any = None, *, epochs: Sequence[int] | None = None, most: int = MOST,
           **settings: Any) -> Exhibit:
    """The exhibit ``what`` (a name, or a function of a method) after each of ``epochs`` (default: at most ``most``, evenly apart).

    Kind "replay": ``frames()`` gives the exhibits, one an epoch. A projection (of ``shift``) is that of the last epoch in all frames,
    and a class that is not named is the one predicted after the last epoch.
    """
    from promptlab.inspect import EXHIBITS, show

    chosen = list(epochs) if epochs is not None else spread(epochs_of(run), most)
    taken = _signature.signature(EXHIBITS[what] if what in EXHIBITS else what if callable(what) else show).parameters
    made: dict[int, Exhibit] = {}
    for epoch in sorted(chosen, reverse=True):
        method = run.at(epoch)
        made[epoch] = what(method, *([] if image is None else [image]), **settings) if callable(what) else show(
            method, what, image, **settings)
        if "like" in taken and "like" not in settings:
            settings = {**settings, "like": made[epoch]}
        if "name" in taken and settings.get("name") is None and "class" in made[epoch].settings:
            settings = {**settings, "name": made[epoch].settings["class"]}
    frames = [made[e] for e in sorted(chosen)]
    names = ["start" if e == 0 else f"epoch {e}" for e in sorted(chosen)]
    return Exhibit.replay(names, frames, f"{frames[-1].title}: {names[0]} to {names[-1]}", frames[-1].note)


def drift(run: Any) -> Exhibit:
    """How far each learned vector is from where it started, over the epochs of a run.

    arrays: ``epoch`` [T], ``distance`` [T, n] Euclidean, ``cosine`` [T, n] to the start, and for word vectors ``id`` [T, n], the
    nearest token. labels: ``vector``, and ``word 1`` at the end. Methods without word vectors (or with very many) have one line a
    parameter tensor instead. sanity: median distance at the end beside the median distance between vectors at the start, and the
    share of the way that is not straight.
    """
    kept = epochs_of(run)
    methods = [run.at(e) for e in kept]
    rows, names, words = _vectors(methods)
    start = rows[0]
    distance = torch.stack([torch.stack([(a - b).norm() for a, b in zip(r, start)]) for r in rows])
    cosine = torch.stack([torch.stack([F.cosine_similarity(a.flatten(), b.flatten(), dim=0) for a, b in zip(r, start)]) for r in rows])
    steps = torch.stack([torch.stack([(a - b).norm() for a, b in zip(x, y)]) for x, y in zip(rows[1:], rows)])
    arrays = {"epoch": np.array(kept), "distance": distance.numpy(), "cosine": cosine.numpy()}
    named: dict[str, Sequence[str]] = {"vector": names}
    if words:
        clip, vocabulary = methods[0].backbone, methods[0].backbone.text.weights["text.weights.token"]
        ids = torch.stack([nearest(torch.stack(r).to(clip.device), vocabulary, 1)[1][:, 0] for r in rows]).cpu()
        arrays["id"] = ids.numpy()
        named["word 1"] = [clip.words.decode([int(i)]) for i in ids[-1]]
    straight = distance[-1] / steps.sum(0).clamp_min(1e-12)
    size = torch.stack([v.norm() for v in start]).median()
    checks = (Sanity("median distance from the start (length of a vector there)", float(distance[-1].median()), float(size)),
              Sanity("straightness of the way, 1 = no turn", float(straight.median()), 1.0))
    return Exhibit("curve", f"Drift of what {methods[0].card.name} learned", arrays, named,
                   "Distance from the start after each epoch; far from it is not better or worse.", checks,
                   {"x": "epoch", "lines": "vector", "y": "distance from the start"})


def _vectors(methods: list[Method]) -> tuple[list[list[Tensor]], list[str], bool]:
    """Per epoch the vectors [n][D], their names, and whether they are words."""
    try:
        found = word_parameters(methods[0])
    except WrongKind:
        found = []
    n = sum(p[..., 0].numel() for _, p in found)
    if 0 < n <= LINES:
        keys = [k for k, _ in found]
        rows = [[v for k in keys for v in dict(m.named_parameters())[k].detach().float().cpu().flatten(0, -2)] for m in methods]
        return rows, labels(found), True
    keys = [k for k, v in methods[-1].state_dict().items() if v.is_floating_point()]
    keys = [k for k in keys if all(k in m.state_dict() and m.state_dict()[k].shape == methods[-1].state_dict()[k].shape for m in methods)]
    if not keys:
        raise BadData(f"{methods[0].card.name} has no learnables that are there from the first epoch to the last, so nothing drifts.")
    return [[m.state_dict()[k].detach().float().cpu() for k in keys] for m in methods], keys, False


EXHIBITS = {"drift": drift}
OF_RUNS = ("drift",)
