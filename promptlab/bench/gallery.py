"""The gallery: a few methods fitted for a few steps on the picture world, one picture of each exhibit, and the page that shows them."""

import collections
import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from promptlab import api, registry
from promptlab import inspect as look
from promptlab.backbones.load import load
from promptlab.create import create
from promptlab.fit.context import FitContext
from promptlab.inspect.exhibit import Exhibit
from promptlab.plots import save

TASK = "world:animals@pixel-art"
TASKS = {"maskclip": "world:scenes-masks@photo"}
STEPS = 40
JUDGED = 400  # test pictures of a run
SEVERAL = 40  # pictures of exhibits of many
COMPARED = ("zero_shot", "coop", "tip_adapter")
WANTED = (  # exhibit, method; replays and comparisons have their own makers below
    ("shift", "coop"), ("words", "coop"), ("curves", "coop"), ("drift", "coop"), ("evidence", "coop"), ("text_attention", "coop"),
    ("residuals", "coop"), ("transport", "plot"), ("memory", "tip_adapter"), ("conditioning", "cocoop"), ("pixels", "vp"),
    ("norms", "clip_lora"), ("attention", "maple"), ("masks", "maskclip"), ("views", "tpt"), ("live", "tip_adapter"),
)
HOW = {"live": "--what live --split val", "words": "--what words --split val", "replay": "--what replay --of shift --split val",
       **{what: f"RUN2 --what {what}" for what in look.COMPARISONS}}


class Bench:
    """Runs by method, each fitted once on few pictures and judged on few, and the pictures that they are shown."""

    def __init__(self, steps: int, store: str | Path):
        self.steps, self.store, self.clip = steps, store, load("pocket", device="cpu")
        self.data = {t: self._few(t) for t in {TASK, *TASKS.values()}}
        self._runs: dict[str, Any] = {}

    def _few(self, task: str) -> tuple[Any, tuple[Any, ...]]:
        episode, tests = api.open_data(task, shots=4).draw(1)
        return episode, tuple(dataclasses.replace(t, split=t.split.take(range(min(JUDGED, len(t.split))))) for t in tests)

    def run(self, key: str) -> Any:
        """The run of a method; a method alone where it adapts to each picture, since judging those takes minutes."""
        if key not in self._runs:
            card, (episode, tests) = registry.card(key), self.data[TASKS.get(key, TASK)]
            if card.stream:
                names = episode.task.classes
                self._runs[key] = create(key, self.clip, list(names.names), list(names.templates), preset="demo")
                collections.deque(self._runs[key].fit(episode, FitContext()), maxlen=0)
            else:
                few = {} if card.supervision == "training-free" else {"steps": self.steps}
                self._runs[key] = api.fit(key, self.clip, (episode, tests), preset="demo" if "demo" in card.presets else None,
                                          store=self.store, progress=False, **few)
        return self._runs[key]

    def held_out(self, key: str) -> Any:
        episode = self.data[TASKS.get(key, TASK)][0]
        return episode.val or episode.support

    def exhibit(self, what: str, key: str) -> Exhibit:
        split = self.held_out(key)
        settings = {"split": split} if what in ("live", "words") else {"name": "fox"} if what == "masks" else {}
        pictures = None
        if look.looks_at_pictures(what):
            several = what in look.takes("images")
            pictures = next(split.take(range(min(SEVERAL, len(split))) if several else [3]).batches(SEVERAL))
        return look.show(self.run(key), what, pictures, **settings)


def others() -> list[tuple[str, str]]:
    """Exhibits of newer files, each with the first method whose card exposes something for it."""
    missing = [w for w in look.EXHIBITS if w not in dict(WANTED)]
    shown = {what: [k for k in registry.ids() if what in {look.SHOWS.get(e.as_) for e in registry.card(k).exposes}] for what in missing}
    return [(what, keys[0]) for what, keys in shown.items() if keys]


def exhibits(steps: int = STEPS) -> Iterator[tuple[str, str, Exhibit]]:
    """(name, method, exhibit), each method fitted once."""
    with tempfile.TemporaryDirectory() as store:
        bench = Bench(steps, store)
        for what, key in (*WANTED, *others()):
            yield what, key, bench.exhibit(what, key)
        split = bench.held_out("coop")
        pictures = next(split.take(range(min(SEVERAL, len(split)))).batches(SEVERAL))
        yield "replay", "coop", look.replay(bench.run("coop"), "shift", pictures)
        runs = [bench.run(k) for k in COMPARED]
        makers: dict[str, Callable[..., Exhibit]] = look.COMPARISONS
        for what in makers:
            yield what, ", ".join(COMPARED), look.compare(runs, what)


def build(root: Path, steps: int = STEPS, made: Iterable[tuple[str, str, Exhibit]] | None = None) -> list[Path]:
    """Write ``assets/gallery/*.png`` and ``docs/gallery.md`` under ``root``; ``made``: exhibits from before instead of new ones."""
    about = f"One of each exhibit, untuned, made by `promptlab.bench.gallery` on the pocket backbone and `{TASK}`: 4 shots, {steps} steps."
    written, lines = [], ["# Gallery", "", about, ""]
    for name, key, e in made or exhibits(steps):
        written.append(_small(save(e, root / "assets" / "gallery" / f"{name}.png", width=8.0)))
        lines += [f"## {name} ({key})", "", f"![{e.title}](../assets/gallery/{name}.png)", ""]
        lines += [f"{e.note} Checks: {'; '.join(map(str, e.sanity))}.", "", f"`promptlab inspect RUN {_asked(name)} --out {name}.html`", ""]
    (root / "docs").mkdir(exist_ok=True)
    (root / "docs" / "gallery.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return written


def _asked(name: str) -> str:
    picture = name in look.EXHIBITS and look.looks_at_pictures(name)
    return HOW.get(name, f"--what {name}{' --image x.jpg' if picture else ''}")


def _small(path: Path) -> Path:
    """The picture with 128 colours: a third of the bytes."""
    Image.open(path).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    return path
