"""Shots: gather and label pictures from folders, zips, uploads or memory, and see what is wrong with them before training."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ipywidgets as ipw
import traitlets
from PIL import Image

from promptlab import api
from promptlab.data import sources
from promptlab.data.images import decode, to_image
from promptlab.errors import BadData
from promptlab.shots import Shots as Drawn
from promptlab.widgets import draw
from promptlab.widgets.base import Panel, told
from promptlab.widgets.scene import Scene

SIDE = 56
FEW = 2  # pictures a class needs: one to learn from, one to check with


@dataclass(frozen=True)
class Picture:
    """A decoded picture, how its owner calls it, and a digest of its pixels."""

    image: Image.Image
    name: str
    digest: str


class Shots(Panel):
    """Traits: ``counts`` (class → pictures; changes with everything), ``off`` (classes that are left out), ``chosen`` ("class/place" of
    the picture that a button acts on), ``problems`` (sentences). ``task`` is what ``promptlab.fit`` takes.

    Uploaded files are read and then cleared from the control: Jupyter would otherwise save them inside the notebook.
    """

    counts = traitlets.Dict()
    off = traitlets.Tuple()
    chosen = traitlets.Unicode("")
    problems = traitlets.List(traitlets.Unicode())

    def __init__(self, data: Any = None, shots: int | None = 16):
        self.classes: dict[str, list[Picture]] = {}
        self.shots = shots
        super().__init__()
        self._build()
        if data is not None:
            self.add_data(data)
        self._draw(None)

    def _build(self) -> None:
        wide = ipw.Layout(width="220px")
        self._name = ipw.Text(placeholder="class name", layout=wide)
        self._upload = ipw.FileUpload(accept="image/*", multiple=True, description="Add pictures")
        self._path = ipw.Text(placeholder="folder or zip on this machine", layout=ipw.Layout(width="320px"), continuous_update=False)
        self._act = [ipw.Button(description=d, layout=ipw.Layout(width="auto")) for d in ("Remove picture", "Move to the class named above",
                                                                                           "Remove class", "Leave class out")]
        self._scene = Scene(label="classes and their pictures")
        self._upload.observe(self._uploaded, names="value")
        self._path.observe(lambda c: self._open(c["new"]), names="value")
        self._scene.observe(lambda c: setattr(self, "chosen", c["new"]), names="picked")
        for button, act in zip(self._act, (self._drop, self._move, self._drop_class, self._switch)):
            button.on_click(act)
        warn = ipw.HTML("<small>Pictures stay on this machine. An upload is read once and cleared: not saved in the notebook.</small>")
        self.show(ipw.HBox([self._name, self._upload, self._path]), warn, self._scene, ipw.HBox(self._act))

    # ---- gathering --------------------------------------------------------------------------------------------------

    def add(self, name: str, images: Iterable[Any]) -> int:
        """Add pictures (paths, bytes, Pillow images, arrays) to a class; the number that could be used."""
        name = name.strip()
        if not name:
            raise BadData("give the class a name first; the pictures need one to be called by.")
        found, problems = list(self.classes.get(name, [])), list(self.problems)
        before = len(found)
        for item in images:
            called = Path(item).name if isinstance(item, str | Path) else f"picture {len(found) + 1}"
            try:
                found.append(_read(item, called))
            except BadData as error:
                problems.append(str(error))
        self.classes[name], self.problems = found, problems
        self._count()
        return len(found) - before

    def add_data(self, data: Any) -> None:
        """Add everything that can be learned from in a folder, a zip or an opened data set."""
        found = sources.open_data(data.data if isinstance(data, Drawn) else data)
        if found.kind != "single" or found.train is None:
            raise BadData(f"{found.name} has no pictures with one class each to learn from.")
        problems = [*self.problems, *found.report.problems]
        for row, label in zip(found.train.rows, found.train.targets.tolist()):
            name = found.classes.names[label]
            called = found.train.source.name(row) if hasattr(found.train.source, "name") else f"picture {row}"
            self.classes.setdefault(name, []).append(_picture(found.train.source.image(row), called))
        self.problems = problems
        self._count()

    @told
    def _open(self, path: str) -> None:
        if path.strip():
            self.add_data(path.strip())

    @told
    def _uploaded(self, change: Any) -> None:
        files = change["new"]
        if not files:
            return
        try:
            self.add_files(self._name.value, [(f["name"], bytes(f["content"])) for f in files])
        finally:
            self._upload.value = ()

    def add_files(self, name: str, files: Sequence[tuple[str, bytes]]) -> None:
        """Add uploaded files, (name, content) each."""
        if not name.strip():
            raise BadData("give the class a name first; the pictures need one to be called by.")
        found, problems = list(self.classes.get(name.strip(), [])), list(self.problems)
        for called, content in files:
            try:
                found.append(_picture(decode(content, called).image, called))
            except BadData as error:
                problems.append(str(error))
        self.classes[name.strip()], self.problems = found, problems
        self._count()

    # ---- sorting ----------------------------------------------------------------------------------------------------

    def rename(self, old: str, new: str) -> None:
        """Give a class another name; the name of another class merges the two."""
        pictures = self.classes.pop(self._known(old))
        self.classes.setdefault(new.strip() or old, []).extend(pictures)
        self._count()

    def move(self, name: str, place: int, to: str) -> None:
        """Move one picture to another class."""
        self.classes.setdefault(to, []).append(self.classes[self._known(name)].pop(place))
        self._count()

    def remove(self, name: str, place: int | None = None) -> None:
        """Remove one picture, or (without a place) the class."""
        pictures = self.classes[self._known(name)]
        if place is None:
            del self.classes[name]
        else:
            pictures.pop(place)
        self._count()

    def _known(self, name: str) -> str:
        if name not in self.classes:
            raise BadData(f"there is no class '{name}'; the classes are {', '.join(self.classes) or 'none yet'}.")
        return name

    def _place(self) -> tuple[str, int]:
        if "/" not in self.chosen:
            raise BadData("click a picture first.")
        name, place = self.chosen.rsplit("/", 1)
        if not 0 <= int(place) < len(self.classes.get(name, [])):
            raise BadData("that picture is gone; click another one.")
        return name, int(place)

    @told
    def _drop(self, button: Any) -> None:
        self.remove(*self._place())

    @told
    def _move(self, button: Any) -> None:
        if not self._name.value.strip():
            raise BadData("write the class to move to into the name field.")
        self.move(*self._place(), self._name.value.strip())

    @told
    def _drop_class(self, button: Any) -> None:
        self.remove(self._place()[0])

    @told
    def _switch(self, button: Any) -> None:
        name = self._place()[0]
        self.off = tuple(n for n in self.off if n != name) if name in self.off else (*self.off, name)

    # ---- what comes of it -------------------------------------------------------------------------------------------

    @property
    def used(self) -> dict[str, list[Picture]]:
        """Classes that take part."""
        return {n: p for n, p in self.classes.items() if n not in self.off and p}

    @property
    def task(self) -> Drawn:
        """The pictures as data; :class:`BadData` says what is missing."""
        used = self.used
        if len(used) < 2:
            raise BadData(f"two classes with pictures are needed; there {'is 1' if len(used) == 1 else 'are 0'}.")
        images = [p.image for pictures in used.values() for p in pictures]
        labels = [i for i, pictures in enumerate(used.values()) for _ in pictures]
        return api.arrays(images, labels, list(used), shots=self.shots, name="own pictures")

    def doctor(self) -> list[str]:
        """What to mend before training, one sentence each."""
        said = [f"Class '{n}' has {len(p)} picture{'s' if len(p) != 1 else ''}; two are needed to learn and to check."
                for n, p in self.classes.items() if n not in self.off and len(p) < FEW]
        sizes = [len(p) for p in self.used.values()]
        if sizes and max(sizes) >= 4 * max(1, min(sizes)):
            said.append(f"The classes differ much in size ({min(sizes)} to {max(sizes)} pictures); even numbers compare better.")
        seen: dict[str, tuple[str, str]] = {}
        for name, pictures in self.used.items():
            for p in pictures:
                other = seen.setdefault(p.digest, (name, p.name))
                if other != (name, p.name):
                    where = f"in '{name}'" if other[0] == name else f"in '{other[0]}' and in '{name}'"
                    said.append(f"{p.name} is there twice, {where}; remove one of them.")
        return said

    def _count(self) -> None:
        self.chosen = ""
        self.counts = {n: len(p) for n, p in self.classes.items()}

    @traitlets.observe("counts", "off", "chosen", "problems")
    def _draw(self, change: Any) -> None:
        if not hasattr(self, "_scene"):
            return
        parts = []
        for name, pictures in self.classes.items():
            faint = ' style="opacity:0.4"' if name in self.off else ""
            items = [(draw.uri(p.image, SIDE), Path(p.name).stem[:10], f"{name}/{i}") for i, p in enumerate(pictures)]
            shown = draw.gallery(items, self.chosen, SIDE)
            parts.append(f"<section{faint}><b>{draw.esc(name)}</b> <small>{len(pictures)}</small>{shown}</section>")
        said = [f"<li>{draw.esc(s)}</li>" for s in (*self.problems, *self.doctor())]
        empty = "<p>No pictures yet: name a class and add some, or give a folder with one folder of pictures a class.</p>"
        self._scene.html = ("".join(parts) or empty) + (f"<ul>{''.join(said)}</ul>" if said else "")


def _read(item: Any, called: str) -> Picture:
    if isinstance(item, str | Path):
        return _picture(decode(sources.read(Path(item), called), called).image, called)
    if isinstance(item, bytes | bytearray):
        return _picture(decode(bytes(item), called).image, called)
    return _picture(to_image(item, called), called)


def _picture(image: Image.Image, name: str) -> Picture:
    return Picture(image, name, hashlib.sha1(f"{image.size}".encode() + image.tobytes()).hexdigest())
