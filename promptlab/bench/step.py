"""One step of one method at K = 100 on a random ViT-B-32, batch 8, in a process of its own: ``python -m promptlab.bench.step coop fast``.

``fast`` has all exact fast paths on, ``plain`` has them off. A method that learns by steps is timed between its Step events, with the
paper's settings and frozen encodings kept; one that does not, while it answers for the batch.
"""

import dataclasses
import json
import resource
import sys
import time
from typing import Any

import torch

from promptlab import registry
from promptlab.backbones.checkpoint import find, imagenet_names
from promptlab.backbones.load import wrap
from promptlab.bench.cell import MODEL
from promptlab.card import knobs
from promptlab.create import build
from promptlab.data.kinds import kind_of
from promptlab.data.task import Episode
from promptlab.data.templates import SETS
from promptlab.fit.context import FitContext
from promptlab.fit.events import Step

CLASSES, BATCH = 100, 8
STEPS = {"fast": 4, "plain": 2}  # one more than is timed; a plain step takes ten seconds
SETTING = {"batch": BATCH, "augment": "none", "warmup_steps": 0, "views": 1, "encoder": "world-ssl"}  # the encoder that needs no download


def backbone(how: str) -> Any:
    """A random ViT-B-32 with the fast paths on or off."""
    torch.manual_seed(0)
    found = find(MODEL, "random")
    clip = wrap(found.model.requires_grad_(False), found.tokenizer, name=MODEL)
    if how == "plain":
        clip.fast = dataclasses.replace(clip.fast, **{f.name: False for f in dataclasses.fields(clip.fast)})
    return clip


def episode_of(kind: str, size: int) -> Episode:
    """Toy pictures of ImageNet's names; the support is one batch, so that each epoch is one step on the same pictures."""
    made = kind_of(kind).toy(size=size, classes=CLASSES, shots=1).episode
    names = imagenet_names()
    classes = dataclasses.replace(made.task.classes, names=tuple(names[i * len(names) // CLASSES] for i in range(CLASSES)))
    rows = range(0, len(made.support), len(made.support) // BATCH)
    few = made.support.take(list(rows)[:BATCH])
    return made.replace(task=dataclasses.replace(made.task, classes=classes), support=few, val=few, pool=type(few)(few.source, few.rows))


def step_seconds(method: Any, episode: Episode) -> list[float]:
    """Seconds between the Step events of a fit."""
    marks = []
    for event in method.fit(episode, FitContext()):
        if isinstance(event, Step):
            marks.append(time.perf_counter())
    return [b - a for a, b in zip(marks, marks[1:], strict=False)]


def answer_seconds(method: Any, episode: Episode) -> list[float]:
    """Seconds of three answers for the batch, the class side included."""
    batch, found = next(episode.support.batches(BATCH)), []
    method.eval()
    for _ in range(3):
        start = time.perf_counter()
        with torch.no_grad():
            method.predict(batch, method.bank())
        found.append(time.perf_counter() - start)
    return found


def measure(key: str, how: str) -> dict[str, Any]:
    """``what``: "step" or "answer"; best ``seconds`` of the last stage; ``peak_gb`` of the whole process, weights included."""
    cls, clip = registry.get(key), backbone(how)
    episode = episode_of(cls.card.kinds[0], clip.spec.size)
    known = knobs(cls.Hyper)
    hyper = {k: v for k, v in {**SETTING, "steps": STEPS[how]}.items() if k in known and known[k].problem(key, v) is None}
    hyper |= {k: "dataset" for k, v in known.items() if v.choices == SETS}  # frozen sentences: read before the steps, and not timed
    method = build(cls, clip, episode.task, hyper)
    method.train()
    times = step_seconds(method, episode)
    what = "step" if times else "answer"
    times = times or answer_seconds(method, episode)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"what": what, "seconds": min(times[-(STEPS[how] // 2) :]), "peak_gb": peak / 1e9, "trainable": method.trainable()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(*sys.argv[1:3])) + "\n")
