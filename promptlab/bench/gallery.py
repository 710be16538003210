"""The gallery: a few methods fitted for a few steps on the picture world, one picture of each exhibit, and the page that shows them."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from promptlab import api
from promptlab import inspect as look
from promptlab.backbones.load import load
from promptlab.inspect.exhibit import Exhibit
from promptlab.plots import save

TASK = "world:animals@pixel-art"
STEPS = 40
WANTED = (
    ("shift", "coop", "shift"), ("words", "coop", "words"), ("curves", "coop", "curves"), ("evidence", "coop", "evidence"),
    ("text_attention", "coop", "text_attention"), ("residuals", "coop", "residuals"), ("transport", "plot", "transport"),
    ("memory", "tip_adapter", "memory"), ("conditioning", "cocoop", "conditioning"), ("pixels", "vp", "pixels"),
    ("norms", "clip_lora", "norms"), ("attention", "maple", "attention"), ("views", "tpt", "views"),
)
SEVERAL = ("shift", "conditioning")  # exhibits of many pictures


def exhibits(steps: int = STEPS) -> Iterator[tuple[str, str, Exhibit]]:
    """(name, method, exhibit), each method fitted once."""
    clip, data = load("pocket", device="cpu"), api.open_data(TASK, shots=4)
    runs: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as store:
        for name, key, what in WANTED:
            if key not in runs:
                runs[key] = api.fit(key, clip, data, preset="demo", store=store, progress=False, **_fewer(key, steps))
            test = data.draw(0)[0].val or data.draw(0)[0].support
            several = next(test.take(range(min(40, len(test)))).batches(64))
            one = next(test.take([3]).batches(1))
            yield name, key, look.show(runs[key], what, several if name in SEVERAL else one)


def _fewer(key: str, steps: int) -> dict[str, int]:
    """The steps of methods that train; test-time and training-free methods have none."""
    return {} if key in ("tip_adapter", "tpt") else {"steps": steps}


def build(root: Path, steps: int = STEPS, made: Iterable[tuple[str, str, Exhibit]] | None = None) -> list[Path]:
    """Write ``assets/gallery/*.png`` and ``docs/gallery.md`` under ``root``; ``made``: exhibits from before instead of new ones."""
    about = f"One of each exhibit, untuned, made by `promptlab.bench.gallery` on the pocket backbone and `{TASK}`: 4 shots, {steps} steps."
    written, lines = [], ["# Gallery", "", about, ""]
    for name, key, e in made or exhibits(steps):
        written.append(_small(save(e, root / "assets" / "gallery" / f"{name}.png", width=8.0)))
        lines += [f"## {name} ({key})", "", f"![{e.title}](../assets/gallery/{name}.png)", ""]
        lines += [f"{e.note} Checks: {'; '.join(map(str, e.sanity))}.", "",
                  f"`promptlab inspect RUN --what {name}{' --image x.jpg' if look.looks_at_pictures(name) else ''} --out {name}.html`", ""]
    (root / "docs").mkdir(exist_ok=True)
    (root / "docs" / "gallery.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return written


def _small(path: Path) -> Path:
    """The picture with 128 colours: a third of the bytes."""
    Image.open(path).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    return path
