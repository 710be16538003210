"""Folders whose labels stand in a file beside the pictures: several classes a picture (``labels.csv``), or one class a pixel (``masks/``).

    labels.csv                      images/NAME.jpg  masks/NAME.png  classes.txt
    image,split,cat,dog             train.txt, val.txt, test.txt (optional): names of pictures, one a line
    a.jpg,train,1,0                 a mask holds class indices (line i of classes.txt is class i); 255 = not judged
or  image,labels with ``cat;dog``

Cells: 1 there, 0 not there, -1 or empty unknown. Pictures are looked for in ``images/`` and in the folder itself. ``captions.txt`` (one
a line) and ``tree.json`` or ``tree.csv`` beside them are read too.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from promptlab.data.batch import Split
from promptlab.data.classes import ClassSet
from promptlab.data.dataset import PARTS, DataSet
from promptlab.data.gallery import Files, check, read
from promptlab.data.images import Report
from promptlab.data.tree import read_tree
from promptlab.errors import BadData
from promptlab.losses import UNKNOWN

LABELS, CLASSES, CAPTIONS = "labels.csv", "classes.txt", "captions.txt"
TREES = ("tree.json", "tree.csv")
MASK_SIDE = 128  # height and width of dense targets
IGNORED = 255
CELLS = {"1": 1, "0": 0, "-1": UNKNOWN, "": UNKNOWN, "1.0": 1, "0.0": 0}
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def lines_of(path: Path) -> list[str]:
    """Lines of a text file, without empty ones."""
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        raise BadData(f"{path.name} cannot be read as UTF-8 text; save it with one name a line.") from None


def with_tree(path: Path, classes: ClassSet) -> ClassSet:
    """The class set with the tree of the folder's ``tree.json`` or ``tree.csv``, where there is one."""
    file = next((path / name for name in TREES if (path / name).is_file()), None)
    return classes if file is None else replace(classes, tree=read_tree(file, classes.names))


def _said(path: Path) -> tuple[str, ...]:
    return tuple(lines_of(path / CAPTIONS)) if (path / CAPTIONS).is_file() else ()


def labels_csv(path: Path, keep: Any = None) -> DataSet:
    """A multi-label folder: ``labels.csv`` beside the pictures."""
    rows = list(csv.reader(io.StringIO("\n".join(lines_of(path / LABELS)))))
    head = [cell.strip() for cell in rows[0]] if rows else []
    if len(rows) < 2 or len(head) < 2 or head[0].lower() not in ("image", "file", "filename", "picture"):
        raise BadData(f"{LABELS} must begin with 'image,' and the class names (or 'image,labels') and hold a line a picture.")
    if uneven := next((i for i, row in enumerate(rows[1:], start=2) if len(row) != len(head)), None):
        raise BadData(f"line {uneven} of {LABELS} has {len(rows[uneven - 1])} cells and the first line {len(head)}; make them equal.")
    part = next((i for i, cell in enumerate(head) if cell.lower() == "split"), None)
    columns = [i for i in range(1, len(head)) if i != part]
    body = [[cell.strip() for cell in row] for row in rows[1:]]
    if len(columns) == 1 and head[columns[0]].lower() == "labels":
        names, labels = _named(path, [row[columns[0]] for row in body])
    else:
        names, labels = [head[i] for i in columns], [[_cell(row[i], n, head[i]) for i in columns] for n, row in enumerate(body, start=2)]
    splits = [row[part].lower() if part is not None else "train" for row in body]
    if odd := next((s for s in splits if s not in PARTS), None):
        raise BadData(f"{LABELS} has a split '{odd}'; the splits are {', '.join(PARTS)}.")
    classes = with_tree(path, ClassSet(tuple(names)))
    return _assembled(path, classes, [row[0] for row in body], splits, torch.tensor(labels, dtype=torch.long), keep)


def _named(path: Path, cells: Sequence[str]) -> tuple[list[str], list[list[int]]]:
    """Names and label rows of a column with names that are parted by semicolons."""
    said = [[name.strip() for name in cell.split(";") if name.strip()] for cell in cells]
    names = lines_of(path / CLASSES) if (path / CLASSES).is_file() else sorted({name for row in said for name in row})
    if odd := next((name for row in said for name in row if name not in names), None):
        raise BadData(f"{LABELS} names the class '{odd}', which {CLASSES} does not; add it there.")
    return names, [[int(name in row) for name in names] for row in said]


def _cell(text: str, line: int, name: str) -> int:
    if text not in CELLS:
        raise BadData(f"line {line} of {LABELS} has {text!r} for '{name}'; write 1 (there), 0 (not there) or -1 (unknown).")
    return CELLS[text]


def _assembled(path: Path, classes: ClassSet, files: Sequence[str], splits: Sequence[str], labels: torch.Tensor, keep: Any) -> DataSet:
    report, root = Report(), path.resolve()
    where = [next((f for f in (path / "images" / name, path / name) if f.is_file()), None) for name in files]
    if bad := next((n for n, f in zip(files, where, strict=True) if f is not None and not f.resolve().is_relative_to(root)), None):
        raise BadData(f"{LABELS} lists '{bad}', which lies outside the folder; keep all pictures in it.")
    for name, file in zip(files, where, strict=True):
        if file is None:
            report.drop(name, f"{name}: listed in {LABELS} but not there; it is not used.")
    there = [i for i, file in enumerate(where) if file is not None]
    checked = check([where[i] for i in there], [files[i] for i in there], report, keep)
    used = [there[i] for i in checked.index]
    found = {p: [r for r, i in enumerate(used) if splits[i] == p] for p in PARTS}
    if not found["train"]:
        raise BadData(f"none of the training pictures listed in {LABELS} of {path.name} can be used; check their names.")
    targets = labels[used]
    if (empty := (targets[found["train"]] == 1).any(0).logical_not().nonzero()[:, 0].tolist()):
        raise BadData(f"class '{classes.names[empty[0]]}' of {path.name} is in no training picture; add one or remove the class.")
    parts = {p: Split(checked.source, tuple(rows), targets[rows]) if rows else None for p, rows in found.items()}
    return DataSet(path.name, classes, "multi", parts["train"], parts["val"], parts["test"], report, _said(path))


class Squares(Files):
    """Pictures cut to their centre square, so that masks and pictures agree whatever a backbone does to the sides."""

    def __init__(self, files: Files):
        super().__init__(files.paths, files.names, files.contents, files._keep)
        self.key = f"square-{self.key}"

    def load(self, row: int) -> Image.Image:
        return square(super().load(row))


def square(image: Image.Image) -> Image.Image:
    """The centre square of a picture."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def masks(path: Path, keep: Any = None) -> DataSet:
    """A segmentation folder: ``images/``, ``masks/`` of the same names, ``classes.txt``."""
    classes = with_tree(path, ClassSet(tuple(lines_of(path / CLASSES))))
    report = Report()
    inside = sorted((path / "images").iterdir()) if (path / "images").is_dir() else []
    pictures = {f.stem: f for f in inside if f.suffix.lower() in SUFFIXES}
    paired = [(f, m) for stem, f in pictures.items() if (m := path / "masks" / f"{stem}.png").is_file()]
    for f in sorted(set(pictures.values()) - {f for f, _ in paired}):
        report.drop(f.name, f"{f.name}: has no mask masks/{f.stem}.png; it is not used.")
    if not paired:
        raise BadData(f"{path.name} has no picture in images/ with a mask of the same name in masks/ (PNG); add them.")
    checked = check([f for f, _ in paired], [f.name for f, _ in paired], report, keep)
    paired = [paired[i] for i in checked.index]
    source = Squares(checked.source)
    shapes = [checked.source.image(i).size for i in range(len(paired))]  # upright, and smaller than the file where that is very large
    targets = torch.stack([_mask(m, len(classes), shape) for (_, m), shape in zip(paired, shapes, strict=True)]) if paired else None
    lists = {p: set(lines_of(path / f"{p}.txt")) for p in PARTS if (path / f"{p}.txt").is_file()}
    parts = {}
    for p in PARTS:
        own = [i for i, (f, _) in enumerate(paired) if {f.stem, f.name} & lists.get(p, set()) or (not lists and p == "train")]
        parts[p] = Split(source, tuple(own), targets[own]) if own else None
    if parts["train"] is None:
        raise BadData(f"{path.name} has no training picture; list the names of some in train.txt, or remove the lists.")
    return DataSet(path.name, classes, "dense", parts["train"], parts["val"], parts["test"], report, _said(path))


def _mask(path: Path, classes: int, size: tuple[int, int]) -> torch.Tensor:
    """Class ids [MASK_SIDE, MASK_SIDE] of the centre square of a mask file, -1 where it says 255."""
    try:
        image = Image.open(io.BytesIO(read(path, path.name)), formats=["PNG"])
        image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise BadData(f"masks/{path.name} is no PNG picture; save the mask as PNG with one class index a pixel.") from None
    if image.mode not in ("P", "L", "I", "I;16", "1"):
        raise BadData(f"masks/{path.name} has colours ({image.mode}); save it as grey or palette PNG with one class index a pixel.")
    if abs(image.width / image.height - size[0] / size[1]) > 0.02 * size[0] / size[1]:
        raise BadData(f"masks/{path.name} is {image.width} x {image.height} and its picture {size[0]} x {size[1]}; give both one shape.")
    ids = torch.from_numpy(np.asarray(square(image).resize((MASK_SIDE, MASK_SIDE), Image.Resampling.NEAREST)).astype(np.int64))
    ids = ids.masked_fill(ids == IGNORED, UNKNOWN)
    if int(ids.max()) >= classes:
        raise BadData(f"masks/{path.name} holds the class index {int(ids.max())}, but {CLASSES} names only {classes}; add lines.")
    return ids
