"""Opening data: a folder of folders, a zip, arrays, a data set in the CoOp layout, a task of the procedural world."""

import os
import re
import unicodedata
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from promptlab.data import layouts
from promptlab.data.archive import Unpacked, hidden
from promptlab.data.batch import Pixels, Source, Split
from promptlab.data.classes import ClassSet
from promptlab.data.dataset import DataSet, Item, assemble
from promptlab.data.gallery import Arrays, read
from promptlab.data.images import Report, decode
from promptlab.data.listed import TREES, with_tree
from promptlab.errors import BadData

SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test", "testing": "test"}


def open_data(spec: str | Path | DataSet) -> DataSet:
    """Whatever ``--data`` takes: ``world:TASK@STYLE``, a zip, a data set in the CoOp layout (or a folder that holds exactly
    one), or a folder with one folder of pictures a class. Several joined by ``+``: the first is the task, the others are learned
    along by methods for several tasks, with as many shots, or with their own: ``A+B[16]``."""
    if isinstance(spec, DataSet):
        return spec
    if isinstance(spec, str) and "+" in spec and not Path(spec).expanduser().exists():
        return _joined([_with_shots(part.strip()) for part in spec.split("+")])
    if str(spec).startswith("world:"):
        return world(str(spec)[len("world:"):])
    path = Path(spec).expanduser()
    if not path.exists():
        raise BadData(f"'{spec}' does not exist; give a folder with one folder of pictures a class, a zip of it, or world:TASK@STYLE.")
    if path.is_file():
        return zip(path)
    return _directory(path, path.name or path.resolve().name)


def _with_shots(spec: str) -> DataSet:
    told = re.fullmatch(r"(.+)\[(\d+)\]", spec)
    if told is None:
        return open_data(spec)
    if not int(told[2]):
        raise BadData(f"'{spec}' asks for no shots; write how many a class, as in '{told[1]}[16]'.")
    return replace(open_data(told[1]), shots=int(told[2]))


def _joined(found: list[DataSet]) -> DataSet:
    first, *others = found
    if first.shots:
        raise BadData(f"the shots of {first.name}, the task itself, are given by --shots (shots=); only the joined ones have theirs in [].")
    for i, data in enumerate(found):
        if data.kind != first.kind:
            raise BadData(f"tasks that are learned together must be of one kind; {first.name} is {first.kind} and {data.name} {data.kind}.")
        if data.name in [d.name for d in found[:i]]:
            raise BadData(f"{data.name} is there twice; join different tasks with '+'.")
    return replace(first, others=tuple(others))


def _directory(path: Path, name: str, keep: Any = None) -> DataSet:
    found = layouts.find(path)
    if found is not None:
        return found(path, keep)
    inside = sorted(p for p in _folders(path) if layouts.find(p) is not None)
    if len(inside) == 1:
        return layouts.find(inside[0])(inside[0], keep)
    if inside:
        names = ", ".join(p.name for p in inside)
        raise BadData(f"{name} holds {len(inside)} data sets ({names}); name one of them, as in {name}/{inside[0].name}.")
    return _tree(layouts.unsplit(path) or path, name, keep)


def folder(path: str | Path) -> DataSet:
    """One folder a class, named like the class, pictures anywhere below it; or train, val and test folders of such folders."""
    path = Path(path).expanduser()
    if not path.is_dir():
        raise BadData(f"'{path}' is no folder; give one that holds a folder of pictures for each class.")
    return _tree(path, path.name or path.resolve().name)


def zip(path: str | Path) -> DataSet:
    """A zip of whatever :func:`open_data` takes as a folder."""
    path = Path(path).expanduser()
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise BadData(f"'{path.name}' is no zip file; give a folder with one folder of pictures a class, or a zip of it.")
    unpacked = Unpacked(path)
    return _directory(unpacked.path, path.stem, unpacked).named(path.stem)


def arrays(images: Sequence[Any], labels: Sequence[Any], names: Sequence[str], *, name: str = "arrays",
           templates: Sequence[str] = ("a photo of a {}.",)) -> DataSet:
    """Pictures in memory (Pillow images, uint8 or [0, 1] arrays, tensors) with labels: class ids [n], [n, C] in {1, 0, -1},
    or masks [n, H, W] (-1 = not judged)."""
    classes, targets = ClassSet(tuple(names), tuple(templates)), torch.as_tensor(labels).long()
    kind = {1: "single", 2: "multi", 3: "dense"}.get(targets.ndim)
    if kind is None or len(targets) != len(images):
        raise BadData(f"labels of shape {tuple(targets.shape)} do not fit {len(images)} pictures; give [n], [n, classes] or [n, H, W].")
    low, high = (0 if kind == "single" else -1), (1 if kind == "multi" else len(classes) - 1)
    if len(targets) and not (low <= int(targets.min()) and int(targets.max()) <= high):
        raise BadData(f"labels must be in [{low}, {high}] for a {kind} task of {len(classes)} classes; "
                      f"got {int(targets.min())} to {int(targets.max())}.")
    if kind == "multi" and targets.shape[1] != len(classes):
        raise BadData(f"labels have {targets.shape[1]} columns for {len(classes)} class names; give one column a class.")
    source = Arrays(images)
    if kind == "single" and (empty := [n for i, n in enumerate(classes.names) if i not in set(targets.tolist())]):
        raise BadData(f"class '{empty[0]}' of {name} has no picture; add one or remove the class.")
    return DataSet(name, classes, kind, Split(source, tuple(range(len(source))), targets), None, None)


def loose(items: Sequence[Any]) -> Source:
    """A source over single pictures: paths, bytes of files, Pillow images, arrays [H, W, 3], uint8 tensors; or, where all are
    float tensors [3, H, W] of one size, pixels that are normalised already."""
    if items and all(isinstance(i, Tensor) and i.is_floating_point() and i.ndim == 3 for i in items):
        if len({i.shape for i in items}) > 1:
            raise BadData(f"normalised pictures must have one size; got {sorted({tuple(i.shape) for i in items})}, so resize them first.")
        return Pixels(torch.stack(list(items)))
    return Arrays([_loose(item, i) for i, item in enumerate(items)])


def _loose(item: Any, i: int) -> Any:
    if isinstance(item, str | Path):
        path = Path(item).expanduser()
        return decode(read(path, path.name), path.name).image
    return decode(bytes(item), f"picture {i}").image if isinstance(item, bytes | bytearray) else item


def world(spec: str) -> DataSet:
    """A task of the procedural world, ``TASK@STYLE`` (style "photo" when left out)."""
    from promptlab.data.worlds import open_world  # the world draws with torch; nobody else pays for its import

    return open_world(spec)


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not hidden(p.name))


def _files(path: Path) -> list[Path]:
    """Files anywhere below, in order of their path; hidden ones and linked folders are passed over."""
    found = []
    for root, folders, files in os.walk(path):
        folders[:] = sorted(f for f in folders if not hidden(f))
        found += [Path(root) / f for f in sorted(files) if not hidden(f)]
    return found


def _tree(path: Path, name: str, keep: Any = None) -> DataSet:
    while True:
        folders = _folders(path)
        loose = [f for f in path.iterdir() if f.is_file() and not hidden(f.name) and f.name not in TREES]
        if len(folders) != 1 or loose or not _folders(folders[0]):
            break
        path = folders[0]  # a wrapper: one folder that holds the class folders
    parts = {f: SPLITS[f.name.lower()] for f in folders if f.name.lower() in SPLITS}
    split = "train" in parts.values() and len(parts) == len(folders) > 1
    report, where = Report(), list(parts.items()) if split else [(path, "train")]
    report.problems += [f"{f.name}: not inside a class folder; it is not used." for f in sorted(loose)]
    report.left_out += [f.name for f in sorted(loose)]
    folders = [(c, part) for root, part in where for c in _folders(root) if c.name not in layouts.ignored(name)]
    found = [(_name(c), part, f, f.relative_to(path).as_posix()) for c, part in folders for f in _files(c)]
    names = sorted({_name(c) for c, _ in folders})
    if not names:
        raise BadData(f"{name} holds no class folders; put the pictures of each class in a folder named like the class.")
    _refuse_alike(names)
    items = [Item(f, shown, names.index(label), part) for label, part, f, shown in found]
    classes = layouts.dress(name, tuple(names)) if not split else ClassSet(tuple(names))
    return assemble(name, with_tree(path, classes), items, report, keep)


def _name(path: Path) -> str:
    return unicodedata.normalize("NFC", path.name).strip()  # macOS stores accents apart from their letters


def _refuse_alike(names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for n in names:
        other = seen.setdefault(n.replace("_", " ").casefold(), n)
        if other != n:
            raise BadData(f"the class folders '{other}' and '{n}' read as the same name; rename or merge them.")
