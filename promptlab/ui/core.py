"""What the handlers ask of the layers below: backbones, opened shots, checked requests, runs and their numbers."""

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from promptlab import registry
from promptlab.card import auto_preset, build_hyper, knobs
from promptlab.data.batch import Batch, PixelSpec, Split, View
from promptlab.data.dataset import DataSet
from promptlab.data.protocols import base_to_new, few_shot
from promptlab.data.sources import open_data
from promptlab.data.task import Episode
from promptlab.errors import BadData
from promptlab.evaluate import evaluate
from promptlab.fit.context import FitContext
from promptlab.fit.optim import Plan
from promptlab.fit.score import score
from promptlab.request import Request
from promptlab.runs import Run
from promptlab.ui.facts import real

MOST_TESTS = 400  # test pictures, spread over the classes: enough to a few points, judged in seconds
CHECKS = 12  # points on the validation curve
PROTOCOLS = {"few_shot": few_shot, "base_to_new": base_to_new}
COMPUTE = threading.Lock()  # one short computation at a time beside the training lane


class Joined:
    """Two sources one after the other: sample shots, and the pictures that were added to them."""

    def __init__(self, first: Any, second: Any):
        self.first, self.second = first, second
        self.key = f"{first.key}+{second.key}"

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def _side(self, row: int) -> tuple[Any, int]:
        return (self.first, row) if row < len(self.first) else (self.second, row - len(self.first))

    def image(self, row: int) -> Image.Image:
        source, row = self._side(row)
        return source.image(row)

    def name(self, row: int) -> str:
        source, row = self._side(row)
        return source.name(row)

    def pixels(self, rows: Sequence[int], spec: PixelSpec, view: View = View()) -> Tensor:
        return torch.cat([source.pixels([r], spec, view) for source, r in map(self._side, rows)])


class Opened:
    """A data set with the episode and test sets that were drawn from it. ``spec``: how Python opens it again, None for own pictures;
    ``most``: test pictures that are judged on."""

    def __init__(self, data: DataSet, shots: int | None, seed: int, spec: str | None = None, label: str = "", most: int | None = None):
        if data.kind != "single":
            raise BadData(f"{data.name} is a {data.kind} task; this page takes one class a picture, the command line the others.")
        self.data, self.shots, self.seed, self.spec, self.label, self.most = data, shots, seed, spec, label or data.name, most
        self.extra: list[tuple[str, int]] = []  # (file, label) of pictures added later
        self.episode, self.tests = self.draw(seed)

    @property
    def names(self) -> tuple[str, ...]:
        return self.data.classes.names

    def draw(self, seed: int, shots: int | None = None, protocol: str = "few_shot") -> tuple[Episode, tuple[Any, ...]]:
        """Episode and (thinned) test sets of a seed."""
        episode, tests = PROTOCOLS[protocol](self.data, shots or self.shots, seed)
        if self.extra and protocol == "few_shot" and shots is None:
            episode = episode.replace(support=self._with_extra(episode.support))
        thin = [dataclasses.replace(t, split=t.split.take(spread(t.split.targets.tolist(), self.most or MOST_TESTS))) for t in tests]
        return episode, tuple(thin)

    def add(self, file: str, label: int) -> None:
        """One more shot for a class."""
        self.extra.append((file, label))
        self.episode, self.tests = self.draw(self.seed)

    def _with_extra(self, support: Split) -> Split:
        from promptlab.data.gallery import Files

        files = Files([Path(f) for f, _ in self.extra], [Path(f).name for f, _ in self.extra])
        rows = (*support.rows, *(len(support.source) + i for i in range(len(self.extra))))
        return Split(Joined(support.source, files), rows, torch.cat([support.targets, torch.tensor([label for _, label in self.extra])]))

    @property
    def task(self) -> tuple[Episode, tuple[Any, ...]]:
        """What ``promptlab.fit`` takes."""
        return self.episode, self.tests

    @property
    def test(self) -> Split | None:
        """The held-out pictures that everything is judged on."""
        return self.tests[0].split if self.tests else None


def opened(spec: Any, shots: int, seed: int = 1, label: str = "") -> Opened:
    """A spec string or a data set, opened."""
    return Opened(open_data(spec), shots, seed, spec if isinstance(spec, str) and spec.startswith("world:") else None, label)


@lru_cache(maxsize=2)
def load_backbone(name: str, device: str) -> Any:
    """A backbone, loaded once and shared by all sessions (it is never written to)."""
    from promptlab.backbones.load import load

    return load(name, device=device)


def backbone(session: Any) -> Any:
    if (found := session.given.get(session.settings["backbone"])) is not None:
        return found
    return load_backbone(session.settings["backbone"], real(session.settings["device"]))


def title(key: str) -> str:
    return registry.card(key).name


def cleaned(key: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The page's values as the knobs' types: whole numbers from sliders, None from empty boxes."""
    known, out = knobs(registry.get(key).Hyper), {}
    for name, value in values.items():
        if (knob := known.get(name)) is None:
            continue
        if value in ("", None):
            value = None if knob.optional else knob.default
        elif knob.type is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        out[name] = knob.read(value) if isinstance(value, str) else value
    return out


def preset(key: str, session: Any) -> str | None:
    """The preset of two cores for the demo backbone, where the method has one; the paper's values elsewhere."""
    return auto_preset(registry.card(key).presets, session.settings["backbone"])


def request(session: Any, key: str, seed: int, *, shots: int | None = None, protocol: str = "few_shot") -> Request:
    """A checked request; a bad value is one sentence."""
    cls = registry.get(key)
    values = {**cleaned(key, session.knobs.get(key, {})), "seed": seed}
    hyper = build_hyper(key, cls.Hyper, values, cls.card.presets, preset(key, session))
    episode, tests = session.data.draw(seed, shots, protocol)
    return Request(cls, backbone(session), episode, hyper, tests, protocol, seconds=session.settings.get("seconds"))


def context(asked: Request) -> FitContext:
    """A context that checks on validation pictures about twelve times."""
    epochs = Plan.of(asked.hyper, len(asked.episode.support)).epochs if asked.episode.support else 0
    return FitContext(val_every=max(1, epochs // CHECKS) if asked.episode.val else 0)


def zero_shot(session: Any, templates: Mapping[str, Any] | None = None) -> Run:
    """The reference row, judged at once and not in the lane: it learns nothing and draws no random numbers, so it may run beside a
    fit. The encodings of all pictures are made on the way."""
    session.knobs["zero_shot"] = dict(templates or {})
    asked = request(session, "zero_shot", session.data.seed)
    method = asked.cls(asked.clip, asked.episode.task, asked.hyper).eval()
    with COMPUTE:
        reports = {test.name: evaluate(method, test) for test in asked.tests}
        encode(asked.clip, asked.episode.support)
        val = asked.episode.val
        session.zero_val = next(iter(score(method, val).values())) if val else None
    meta = {**asked.meta(method), "started": datetime.now(timezone.utc).isoformat(), "status": "done", "seconds": 0.0, "peak_mb": 0.0,
            "hyper": dataclasses.asdict(asked.hyper), "reports": {n: r.to_json() for n, r in reports.items()}}
    session.zero = Run(meta, method=method, clip=asked.clip, cls=asked.cls, reports=reports)
    session.jobs.store.write(session.zero)
    return session.zero


@torch.no_grad()
def encode(clip: Any, split: Split) -> Tensor:
    """Image features [n, E] of a split, unit length, from the cache where they are there."""
    parts = [clip.cached_image(batch).pooled for batch in split.batches(64)]
    return torch.nn.functional.normalize(torch.cat(parts).float().cpu(), dim=-1)


def spread(labels: list[int], count: int) -> list[int]:
    """Positions of at most ``count`` rows, first one of each class, then a second one, ..."""
    seen: dict[int, int] = {}
    turn = []
    for i, label in enumerate(labels):
        seen[label] = seen.get(label, -1) + 1
        turn.append((seen[label], label, i))
    return [i for _, _, i in sorted(turn)[:count]]


def picture(session: Any, index: int) -> Image.Image:
    """A test picture, large enough to look at."""
    split = session.data.test
    return split.source.image(split.rows[index % len(split)])


def one(session: Any, index: int) -> Batch:
    """A test picture as a batch."""
    return next(session.data.test.take([index % len(session.data.test)]).batches(1))


def answers_of(run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(probabilities [n, C], answers [n], targets [n]) on the test pictures, from the saved predictions."""
    p = run.report.predictions
    logits = torch.from_numpy(p["pred"])
    return logits.softmax(-1).numpy(), p["pred"].argmax(1), p["target"]


def error(run: Run) -> float:
    """Half of the 95 % interval of an accuracy by the number of test pictures alone."""
    a, n = run.report.headline, run.report.protocol["pictures"]
    return 1.96 * max(a * (1 - a), 1e-9) ** 0.5 / n ** 0.5
