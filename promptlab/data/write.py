"""A data set as a folder that :func:`promptlab.open_data` reads again: tasks of the world as picture files, and every layout by example."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from promptlab.data.batch import Split
from promptlab.data.dataset import PARTS, DataSet
from promptlab.data.listed import CLASSES, IGNORED, LABELS
from promptlab.errors import BadData
from promptlab.losses import UNKNOWN


def write_folder(data: DataSet, out: Path, each: int = 16) -> int:
    """Write up to ``each`` pictures a class of every split as PNG: class folders ("single"), ``labels.csv`` ("multi") or ``images/`` and
    ``masks/`` ("dense"). How many pictures were written. The folder must be new or empty."""
    if data.kind not in _WRITERS:
        raise BadData(f"{data.name} is a {data.kind} task; folders hold {', '.join(_WRITERS)} tasks.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadData(f"{out} is there already and not an empty folder; name another.")
    out.mkdir(parents=True, exist_ok=True)
    return _WRITERS[data.kind](data, out, each)


def _splits(data: DataSet) -> Iterator[tuple[str, Split]]:
    return ((p, s) for p in PARTS if (s := getattr(data, p)) is not None)


def _single(data: DataSet, out: Path, each: int) -> int:
    count = 0
    for part, split in _splits(data):
        seen = [0] * len(data.classes)
        for row, target in zip(split.rows, split.targets.tolist(), strict=True):
            if seen[target] == each:
                continue
            folder = out / part / data.classes.names[target]
            folder.mkdir(parents=True, exist_ok=True)
            split.source.image(row).save(folder / f"{seen[target]:04d}.png")
            seen[target] += 1
        count += sum(seen)
    return count


def _listed(data: DataSet, out: Path, each: int) -> Iterator[tuple[str, str, Any]]:
    """(split, file stem, target) of the pictures that are written to ``images/``."""
    (out / "images").mkdir()
    for part, split in _splits(data):
        for i in range(min(len(split), each * len(data.classes))):
            split.source.image(split.rows[i]).save(out / "images" / f"{part}-{i:05d}.png")
            yield part, f"{part}-{i:05d}", split.targets[i]


def _multi(data: DataSet, out: Path, each: int) -> int:
    lines = [[f"{stem}.png", part, *target.tolist()] for part, stem, target in _listed(data, out, each)]
    with open(out / LABELS, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["image", "split", *data.classes.names], *lines])
    return len(lines)


def _dense(data: DataSet, out: Path, each: int) -> int:
    (out / "masks").mkdir()
    (out / CLASSES).write_text("\n".join(data.classes.names) + "\n", encoding="utf-8")
    names: dict[str, list[str]] = {}
    for part, stem, target in _listed(data, out, each):
        with Image.open(out / "images" / f"{stem}.png") as picture:
            size = picture.size
        ids = target.masked_fill(target == UNKNOWN, IGNORED).numpy().astype(np.uint8)
        Image.fromarray(ids).resize(size, Image.Resampling.NEAREST).save(out / "masks" / f"{stem}.png")
        names.setdefault(part, []).append(stem)
    for part, stems in names.items():
        (out / f"{part}.txt").write_text("\n".join(stems) + "\n", encoding="utf-8")
    return sum(map(len, names.values()))


_WRITERS = {"single": _single, "multi": _multi, "dense": _dense}
