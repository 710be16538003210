"""Published folder layouts: CoOp's split files, FGVC-Aircraft's lists, ImageNet and its variants."""

import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from promptlab.data import catalogue, listed
from promptlab.data.archive import hidden
from promptlab.data.catalogue import Entry, Shift
from promptlab.data.classes import ClassSet
from promptlab.data.dataset import PARTS, DataSet, Item, assemble
from promptlab.data.images import Report
from promptlab.errors import BadData

Opener = Callable[[Path, Any], DataSet]
AIRCRAFT = {part: f"images_variant_{part}.txt" for part in PARTS}
IMAGENET = catalogue.by_name("imagenet")


def find(path: Path) -> Opener | None:
    """How to open a folder in one of the layouts; None for any other folder."""
    if next(path.glob("split_zhou_*.json"), None):
        return coop
    if (path / AIRCRAFT["train"]).is_file() and (path / "variants.txt").is_file():
        return aircraft
    if (path / listed.LABELS).is_file():
        return listed.labels_csv
    if (path / listed.CLASSES).is_file() and (path / "masks").is_dir():
        return listed.masks
    if (path / "classnames.txt").is_file():
        if (path / "images" / "train").is_dir() and (path / "images" / "val").is_dir():
            return imagenet
        for shift in catalogue.SHIFTS:
            if (path / shift.images).is_dir():
                return lambda p, keep, shift=shift: imagenet_shift(p, shift, keep)
    return None


def unsplit(path: Path) -> Path | None:
    """The class folders of a catalogued data set that came without its split file; an error where only that file has the labels."""
    entry = catalogue.by_name(path.name)
    root = path / (entry.images or "cars_train") if entry and entry.split else None
    if root is None or not root.is_dir():
        return None
    if not entry.foldered:
        raise BadData(f"{path.name} needs its labels from {entry.split} (see DATASETS.md of CoOp); put that file into the folder.")
    return root


def ignored(name: str) -> tuple[str, ...]:
    """Class folders of a known data set that nobody uses."""
    entry = catalogue.by_name(name)
    return entry.ignored if entry else ()


def dress(name: str, names: tuple[str, ...]) -> ClassSet:
    """The class set of a plain folder; one that is called like a known data set gets its templates and tidy names."""
    entry = catalogue.by_name(name)
    return entry.class_set(names) if entry else ClassSet(names)


def coop(path: Path, keep: Any = None) -> DataSet:
    """A folder with ``split_zhou_*.json``: {"train" | "val" | "test": [[relative path, label, class name], ...]}."""
    split = sorted(path.glob("split_zhou_*.json"))[0]
    entry = catalogue.by_split(split.name)
    listing = _listing(split)
    names = _names(listing, split.name)
    labels = sorted(names)  # contiguous from 0 in the published files; re-numbered where a cut left gaps
    root = _image_root(path, entry, listing)
    items, report = [], Report()
    for part in PARTS:
        for where, label, _ in listing.get(part, ()):
            item = Item(root / where, where, labels.index(label), part)
            if item.path.is_file():
                items.append(item)
            else:
                report.drop(where, f"{where}: listed in {split.name} but not there; it is not used.")
    if not items:
        raise BadData(f"none of the pictures listed in {split.name} is in {root.name or path.name}; unpack the pictures there.")
    raw = [names[label] for label in labels]
    classes = entry.class_set(raw) if entry else ClassSet(tuple(raw))
    return assemble(entry.key if entry else path.name, classes, items, report, keep)


def _listing(split: Path) -> dict[str, list[tuple[str, int, str]]]:
    try:
        data = json.loads(split.read_text(encoding="utf-8"))
        listing = {part: [(str(w), int(y), str(n)) for w, y, n in data[part]] for part in PARTS if part in data}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        listing = {}
    if not listing.get("train"):
        raise BadData(f"{split.name} is no split file; it should hold train, val and test lists of [path, label, class name].")
    for entries in listing.values():
        for where, label, _ in entries:
            where_ = PurePosixPath(where.replace("\\", "/"))
            if where_.is_absolute() or ".." in where_.parts or label < 0:
                raise BadData(f"{split.name} lists '{where}' with label {label}; paths must stay inside the folder and labels start at 0.")
    return listing


def _names(listing: dict[str, list[tuple[str, int, str]]], split: str) -> dict[int, str]:
    names: dict[int, str] = {}
    for entries in listing.values():
        for _, label, name in entries:
            if names.setdefault(label, name) != name:
                raise BadData(f"{split} calls label {label} both '{names[label]}' and '{name}'; a label has one name.")
    return names


def _image_root(path: Path, entry: Entry | None, listing: dict[str, list[tuple[str, int, str]]]) -> Path:
    """Where the listed paths start: the published image folder, or the first folder that holds the first pictures."""
    roots = [path / entry.images] if entry else []
    roots += [path, *sorted(p for p in path.iterdir() if p.is_dir())]
    first = [where for where, _, _ in listing["train"][:20]]
    return next((r for r in roots if any((r / w).is_file() for w in first)), roots[0])


def aircraft(path: Path, keep: Any = None) -> DataSet:
    """FGVC-Aircraft's own lists: ``variants.txt`` (names in label order) and ``images_variant_{train,val,test}.txt``."""
    entry = catalogue.by_name("fgvc_aircraft")
    names = [line.strip() for line in (path / "variants.txt").read_text(encoding="utf-8").splitlines() if line.strip()]
    items, report = [], Report()
    for part, file in AIRCRAFT.items():
        lines = (path / file).read_text(encoding="utf-8").splitlines() if (path / file).is_file() else []
        for number, _, name in (line.strip().partition(" ") for line in lines if line.strip()):
            where = f"{number}.jpg"
            if name not in names:
                raise BadData(f"{file} names the variant '{name}', which variants.txt does not; use both files of one release.")
            if (path / "images" / where).is_file():
                items.append(Item(path / "images" / where, where, names.index(name), part))
            else:
                report.drop(where, f"{where}: listed in {file} but not there; it is not used.")
    return assemble(entry.key, entry.class_set(names), items, report, keep)


def wordnet_names(path: Path) -> dict[str, str]:
    """``classnames.txt``: "n01440764 tench" a line, in label order."""
    lines = (path / "classnames.txt").read_text(encoding="utf-8").splitlines()
    names = {wnid: name for wnid, _, name in (line.strip().partition(" ") for line in lines if line.strip())}
    if not names or not all(names.values()):
        raise BadData(f"{path.name}/classnames.txt should hold a WordNet id and a name a line, as in 'n01440764 tench'.")
    return names


def _pictures(folder: Path, shown: str, label: int, part: str) -> list[Item]:
    # sorted, where CoOp takes the operating system's order: the same shots on every machine
    return [Item(p, f"{shown}/{p.name}", label, part) for p in sorted(folder.iterdir()) if p.is_file() and not hidden(p.name)]


def imagenet(path: Path, keep: Any = None) -> DataSet:
    """``images/train/<wnid>``, ``images/val/<wnid>``, ``classnames.txt``; label = position of the folder among the sorted ids.

    The validation pictures are the test split; CoOp also validates on them, which an episode must not, so ``val`` is None.
    """
    names = wordnet_names(path)
    folders = sorted(p.name for p in (path / "images" / "train").iterdir() if p.is_dir() and not hidden(p.name))
    _known(folders, names, path)
    items = []
    for part, folder in (("train", "train"), ("test", "val")):
        for label, wnid in enumerate(folders):
            if (path / "images" / folder / wnid).is_dir():
                items += _pictures(path / "images" / folder / wnid, f"{folder}/{wnid}", label, part)
    return assemble("imagenet", IMAGENET.class_set([names[w] for w in folders]), items, Report(), keep)


def imagenet_shift(path: Path, shift: Shift, keep: Any = None) -> DataSet:
    """A variant of ImageNet, for testing only: its classes are the folders it has, named through ``classnames.txt``.

    V2 calls its folders "0".."999": folder i is the i-th line of ``classnames.txt``, never the i-th folder in string order.
    """
    names, root = wordnet_names(path), path / shift.images
    wnids = list(names)
    there = [p.name for p in root.iterdir() if p.is_dir() and not hidden(p.name)]
    if shift.by_label:
        if odd := [n for n in there if not n.isdigit() or int(n) >= len(wnids)]:
            raise BadData(f"{root.name} has a folder '{odd[0]}'; its folders are called by label, 0 to {len(wnids) - 1}.")
        folders = sorted(there, key=int)
        ids = [wnids[int(f)] for f in folders]
    else:
        folders = ids = sorted(there)
        _known(ids, names, path)
    items = [i for label, f in enumerate(folders) for i in _pictures(root / f, f, label, "test")]
    return assemble(shift.key, IMAGENET.class_set([names[w] for w in ids]), items, Report(), keep)


def _known(folders: list[str], names: dict[str, str], path: Path) -> None:
    if not folders:
        raise BadData(f"{path.name} holds no class folders; unpack the pictures there.")
    if odd := [f for f in folders if f not in names]:
        raise BadData(f"{path.name} has a class folder '{odd[0]}' that classnames.txt does not name; use the classnames.txt of the set.")
