"""The replay of Inspect: a slider over the epochs of a fit that moves the learned words, the map and the evidence together."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from promptlab import inspect as insight
from promptlab.errors import PromptlabError
from promptlab.inspect.shift import features, project
from promptlab.plots import linked
from promptlab.ui import core, heat
from promptlab.ui.handlers import atlas
from promptlab.ui.handlers.views import Up, View
from promptlab.ui.pieces import error, note, t, word_said
from promptlab.ui.session import Session

PICTURES = 120  # on the map


def show(session: Session, r: Any, one: Any, at: int | None = None) -> View:
    """The run as it was after a kept epoch (the ``at``-th, from 1; the last one by default)."""
    kept = r.epochs
    if len(kept) < 2:
        return {
            "replay_said": note(f"{core.title(r.key)} kept no epochs: it learns without epochs, or its learnables are too large."),
            "replay_at": Up(visible=False),
            "replay_map": None,
            "replay_evidence": "",
        }
    at = len(kept) if at is None else max(1, min(int(at), len(kept)))
    split = session.data.test
    part = split.take(core.spread(split.targets.tolist(), PICTURES))
    with core.COMPUTE:
        past = r.at(kept[at - 1])
        final, now = _features(r.method, part), _features(past, part)
        said, maps = _nearest(past), _evidence(past, one)
    figure = _still(final, now, part, session.data.names, core.title(r.key)) if final and now else None
    return {
        "replay_at": Up(visible=True, maximum=len(kept), value=at),
        "replay_map": figure,
        "replay_evidence": maps,
        "replay_said": f"<p>After epoch <b>{kept[at - 1]}</b> of {kept[-1]}. {said}</p>",
    }


def drift(r: Any) -> Any:
    """How far the learnables are from where they began, over the epochs."""
    kept = r.epochs
    if len(kept) < 2:
        return None
    states = [r.at(e).state_dict() for e in kept]
    names = [n for n, v in states[0].items() if v.is_floating_point()][:6]
    moved = {
        n: (kept, [float((s[n] - states[0][n]).norm()) if n in s and s[n].shape == states[0][n].shape else 0.0 for s in states])
        for n in names
    }
    return linked.safe(linked.lines(moved, title="Drift: distance from the start", x_title="epoch", y_title="distance"), ())


def _features(method: Any, part: Any) -> Any:
    try:
        return features(method, next(part.batches(len(part))))
    except PromptlabError:
        return None


def _nearest(method: Any) -> str:
    try:
        e = insight.words(method)
    except PromptlabError:
        return ""
    return "Nearest words: " + t(", ".join(word_said(w) for w in e.labels["word 1"][:16])) + "."


def _evidence(method: Any, one: Any) -> str:
    try:
        e = insight.evidence(method, one)
    except PromptlabError as problem:
        return error(str(problem))
    a = e.arrays
    drawn = heat.overlay(a["picture"], a["after"], float(a["after"].min()), float(a["after"].max()))
    caption = f"<figcaption>{t(e.title)}, at this time</figcaption>"
    return f"<figure class='pl-alone'><img class='pl-look' src='{drawn}' alt='{t(e.title)}'>{caption}</figure>"


def _still(final: Mapping[str, Any], now: Mapping[str, Any], part: Any, names: Sequence[str], title: str) -> Any:
    """A map whose projection is that of the last epoch, so that only what is learned moves."""
    mean = {side: final[f"{side}_before"].mean(0) for side in ("image", "text")}
    axes, _ = project(torch.cat([v - mean[k.split("_")[0]] for k, v in final.items()]))
    arrays = {k: ((v - mean[k.split("_")[0]]) @ axes).numpy() for k, v in now.items()}
    every = {k: ((v - mean[k.split("_")[0]]) @ axes).numpy() for k, v in final.items()}
    held = SimpleNamespace(arrays={**arrays, "target": part.targets.numpy()}, labels={"class": names})
    figure = linked.scatter(held, part.rows, f"{title} over time")
    atlas.named(figure)
    both = np.concatenate(list(every.values()))
    low, high = both.min(0) - 0.05, both.max(0) + 0.05
    figure.update_xaxes(range=[low[0], high[0]])
    figure.update_yaxes(range=[low[1], high[1]])
    return linked.safe(figure, names)
