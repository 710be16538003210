"""The user's own shots before they are opened: class cards that are named, filled, sorted and switched off. Plain Python."""

import base64
import hashlib
import io
import os
import shutil
import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from promptlab.data import sources
from promptlab.data.gallery import parallel, read
from promptlab.data.images import decode
from promptlab.errors import BadData
from promptlab.ui import says

MOST_PICTURES = 2000
MOST_CLASSES = 200
MOST_BYTES = 10 << 20  # of a picture
MOST_ZIP = 1 << 30  # bytes of a zip when unpacked
THUMB = 72
NAME = 80  # letters of a class name
_LARGE = threading.Semaphore(2)  # very large pictures are decoded two at a time


@dataclass(eq=False)
class Shot:
    """One picture of a card: its file, what its owner calls it, a small copy of it as a data URI, a digest of its content."""

    path: Path
    name: str
    thumb: str
    digest: str
    remark: str = ""


@dataclass(eq=False)
class ClassCard:
    """One class: ``problems`` are sentences about files that could not be used."""

    id: int
    name: str = ""
    shots: list[Shot] = field(default_factory=list)
    on: bool = True
    problems: list[str] = field(default_factory=list)


@dataclass
class Draft:
    """All cards; ``picked``: the shot that waits to be moved."""

    cards: list[ClassCard] = field(default_factory=list)
    picked: Shot | None = None
    note: str = ""
    made: int = 0

    @property
    def total(self) -> int:
        return sum(len(c.shots) for c in self.cards)

    @property
    def used(self) -> list[ClassCard]:
        """Cards that take part: switched on and not empty."""
        return [c for c in self.cards if c.on and (c.name.strip() or c.shots)]

    def card(self, id: Any) -> ClassCard:
        found = next((c for c in self.cards if str(c.id) == str(id)), None)
        if found is None:
            raise BadData("that class is no longer there; it was removed in another tab.")
        return found

    def add(self, name: str = "") -> ClassCard:
        """A new card at the end."""
        if len(self.cards) >= MOST_CLASSES:
            raise BadData(f"there are {MOST_CLASSES} classes already; use the command line for more.")
        self.made += 1
        self.cards.append(ClassCard(self.made, name))
        return self.cards[-1]

    def shot(self, card: ClassCard, digest: str) -> Shot:
        found = next((s for s in card.shots if s.digest == digest), None)
        if found is None:
            raise BadData("that picture is no longer there; it was removed in another tab.")
        return found

    def twins(self) -> dict[str, list[ClassCard]]:
        """Content digest → cards that hold it, where there are several."""
        where: dict[str, list[ClassCard]] = {}
        for c in self.cards:
            for s in c.shots:
                where.setdefault(s.digest, []).append(c)
        return {d: cards for d, cards in where.items() if len(cards) > 1}

    def problem(self) -> str | None:
        """Why these cards cannot be opened yet, in one sentence; None when they can."""
        used, seen = self.used, set()
        if len(used) < 2:
            return says.NO_SHOTS if not used else f"There is {says.count(len(used), 'class')}; a choice needs 2 or more."
        for i, c in enumerate(used, 1):
            if not c.name.strip():
                return f"Class {i} has pictures and no name; give it one."
            if len(c.shots) < 2:
                return says.fewer(c.name, len(c.shots))
            if (key := folder_name(c.name).casefold()) in seen:
                return f"The class name '{c.name}' is there twice; rename one, or merge the two."
            seen.add(key)
        return None


def take(draft: Draft, card: ClassCard, files: Sequence[tuple[Path, str]], folder: Path) -> int:
    """Copy files (path, the owner's name for it) to a card; what cannot be used is named at the card. How many were taken."""
    room = MOST_PICTURES - draft.total
    over, files = len(files) - room, list(files)[: max(0, room)]
    card.problems = [f"{says.count(over, 'picture')} more than {MOST_PICTURES:,} came; they are not used."] if over > 0 else []
    folder.mkdir(parents=True, exist_ok=True)
    have, taken = {s.digest for s in card.shots}, 0
    for found in parallel(lambda f: _shot(f[0], f[1], folder), files):
        if isinstance(found, str):
            card.problems.append(found)
        elif found.digest in have:
            card.problems.append(f"{found.name}: this picture is in the class already.")
        else:
            have.add(found.digest)
            card.shots.append(found)
            card.problems += [found.remark] if found.remark else []
            taken += 1
    return taken


def _shot(path: Path, name: str, folder: Path) -> Shot | str:
    try:
        if path.is_symlink() or not path.is_file():
            return f"{name}: the file did not arrive; send it again."
        if path.stat().st_size > MOST_BYTES:
            return f"{name}: {path.stat().st_size / 2**20:.0f} MB; save it smaller than {MOST_BYTES >> 20} MB."
        data = read(path, name)
        if len(data) > 2_000_000:
            with _LARGE:
                picture = decode(data, name)
        else:
            picture = decode(data, name)
    except BadData as error:
        return str(error)
    digest = hashlib.sha1(data).hexdigest()
    kept = folder / f"{digest[:20]}{safe_suffix(name)}"
    if not kept.exists():
        kept.write_bytes(data)
    return Shot(kept, name, thumb(picture.image), digest, picture.remark)


def safe_suffix(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return suffix if suffix[1:].isalnum() and len(suffix) <= 6 else ".img"


def thumb(image: Image.Image, side: int = THUMB) -> str:
    """A small square copy as a data URI, so that no picture needs an address of its own."""
    small = image.convert("RGB")
    small.thumbnail((side * 2, side * 2)) if max(small.size) > side * 2 else None
    out = io.BytesIO()
    if max(small.size) <= side:
        small.save(out, "PNG")
        return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
    small.save(out, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def folder_name(name: str) -> str:
    """The class name without characters that a folder cannot hold."""
    kept = "".join(c for c in name if c.isprintable() and c not in '/\\:*?"<>|').strip(". ")
    if not kept:
        raise BadData(f"the class name {name!r} has no letters; give it a name that a sentence can hold.")
    return kept[:NAME]


def gather(draft: Draft, room: Path) -> dict[str, str]:
    """The used cards as one folder a class (links to the kept files); folder name → the name as it was typed."""
    if problem := draft.problem():
        raise BadData(problem)
    names = {}
    for c in draft.used:
        folder = room / folder_name(c.name)
        folder.mkdir()
        names[folder.name] = " ".join(c.name.split())[:NAME]
        for i, s in enumerate(c.shots):
            target = folder / f"{i:04d}-{s.digest[:12]}{safe_suffix(s.name)}"
            try:
                os.link(s.path, target)
            except OSError:
                shutil.copyfile(s.path, target)
    return names


def open_zip(path: Path, name: str) -> Any:
    """A zip of class folders as a data set, with smaller limits than on the command line."""
    try:
        with zipfile.ZipFile(path) as archive:
            size, count = sum(i.file_size for i in archive.infolist()), len(archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise BadData(f"{name} is no readable zip file; zip a folder with one folder of pictures for each class.") from None
    if size > MOST_ZIP or count > 4 * MOST_PICTURES:
        raise BadData(f"{name} holds {count:,} files of {size / 1e6:,.0f} MB, more than this page takes; use the command line.")
    data = sources.zip(path)
    if sum(data.counts.values()) > MOST_PICTURES:
        raise BadData(f"{name} holds more than {MOST_PICTURES:,} pictures; use the command line or send fewer.")
    return data


def from_data(draft: Draft, data: Any, folder: Path) -> None:
    """Cards from a data set without splits of its own."""
    by: dict[int, list[tuple[Path, str]]] = {}
    for row, label in zip(data.train.rows, data.train.targets.tolist(), strict=True):
        by.setdefault(label, []).append((data.train.source.paths[row], Path(data.train.source.name(row)).name))
    for label, name in enumerate(data.classes.names):
        take(draft, draft.add(name), by.get(label, []), folder)
    draft.note = " ".join([*data.report.problems[:4], *data.report.notes[:2]])
