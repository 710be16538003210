"""Sources of pictures: files and arrays, decoded when they are needed and remembered while memory allows."""

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from promptlab.data.batch import PixelSpec, View
from promptlab.data.images import Report, decode, to_image
from promptlab.data.transforms import render, to_pixels
from promptlab.errors import BadData

CACHE_BYTES = 512 << 20  # decoded pictures that one source keeps: 16 shots of 100 classes at 224-500 px
MAX_FILE_BYTES = 1 << 30  # no picture file is that large; nothing bigger is read into memory
FULL_CHECK = 5000  # up to this many files are decoded once when they are opened; beyond, a file is checked when it is first used
THREADS = min(4, os.cpu_count() or 1)


def parallel(do: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """``[do(i) for i in items]`` on a few threads: Pillow decodes and resizes outside Python's lock."""
    if len(items) < 4 or THREADS == 1:
        return [do(i) for i in items]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(do, items, chunksize=4))


class Remembered:
    """Decoded pictures by row; the least recently used go first."""

    def __init__(self, limit: int = CACHE_BYTES):
        self._items: OrderedDict[int, Image.Image] = OrderedDict()
        self._bytes, self._limit, self._lock = 0, limit, threading.Lock()

    def get(self, row: int) -> Image.Image | None:
        with self._lock:
            if row in self._items:
                self._items.move_to_end(row)
            return self._items.get(row)

    def put(self, row: int, image: Image.Image) -> Image.Image:
        size = image.width * image.height * 3
        with self._lock:
            if row not in self._items and size <= self._limit:
                self._items[row] = image
                self._bytes += size
            while self._bytes > self._limit:
                _, old = self._items.popitem(last=False)
                self._bytes -= old.width * old.height * 3
        return image

    def __getstate__(self) -> dict[str, Any]:
        return {"_limit": self._limit}  # locks and pictures stay behind when a source is sent to another process

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_limit"])


class Gallery:
    """Base of the sources over pictures: subclasses say how to load a row."""

    key = ""

    def __init__(self, count: int, seen: Remembered | None = None):
        self._count, self._seen = count, seen or Remembered()

    def __len__(self) -> int:
        return self._count

    def load(self, row: int) -> Image.Image:
        """The picture of a row, RGB, decoded anew."""
        raise NotImplementedError

    def image(self, row: int) -> Image.Image:
        """The picture of a row, RGB, upright; from memory where it is there."""
        return self._seen.get(row) or self._seen.put(row, self.load(row))

    def name(self, row: int) -> str:
        """What a person calls the picture."""
        return f"picture {row}"

    def pixels(self, rows: Sequence[int], spec: PixelSpec, view: View = View()) -> Tensor:
        """Normalised float32 pixels [B, 3, size, size]."""
        return to_pixels(parallel(lambda row: render(self.image(row), spec, view, row), rows), spec)


class Files(Gallery):
    """Pictures in files. ``names`` are how they are called in messages (paths below the folder that was opened)."""

    def __init__(self, paths: Sequence[Path], names: Sequence[str], contents: Sequence[str] | None = None, keep: Any = None,
                 seen: Remembered | None = None):
        super().__init__(len(paths), seen)
        self.paths, self.names, self.contents = list(paths), list(names), contents  # contents: a digest a file, where it was read
        self.key = digest(contents or [stamp(p) for p in paths])
        self._keep = keep  # a temporary folder that lives as long as its pictures

    def load(self, row: int) -> Image.Image:
        return decode(read(self.paths[row], self.names[row]), self.names[row]).image

    def name(self, row: int) -> str:
        return self.names[row]


class Arrays(Gallery):
    """Pictures that are already in memory: Pillow images, uint8 or [0, 1] arrays and tensors."""

    def __init__(self, images: Iterable[Any]):
        self._images = [to_image(x, f"picture {i}") for i, x in enumerate(images)]
        super().__init__(len(self._images))
        self.key = digest(f"{x.size}{hashlib.sha1(x.tobytes()).hexdigest()}" for x in self._images)

    def image(self, row: int) -> Image.Image:
        return self._images[row]


def digest(parts: Iterable[str]) -> str:
    """One short name for many."""
    total = hashlib.sha1()
    for part in parts:
        total.update(part.encode() + b"\0")
    return total.hexdigest()[:16]


def stamp(path: Path) -> str:
    """What tells a file from its later versions without reading it."""
    try:
        stat = path.stat()
    except OSError:
        return f"{path}"
    return f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"


def read(path: Path, name: str) -> bytes:
    """All bytes of a picture file, or one sentence."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadData(f"{name}: {path.stat().st_size / 1e9:.1f} GB are no picture; leave it out.")
        return path.read_bytes()
    except OSError as error:
        raise BadData(f"{name}: cannot be read ({error.strerror or error}); check its permissions.") from None


@dataclass(frozen=True)
class Checked:
    """Which of some files are pictures: their positions, their content digests, and a source over them."""

    index: tuple[int, ...]
    source: Files


def check(paths: Sequence[Path], names: Sequence[str], report: Report, keep: Any = None, full: bool | None = None) -> Checked:
    """Decode every file once (up to FULL_CHECK files), name the bad and the odd ones in ``report``, and keep the good ones."""
    if not (len(paths) <= FULL_CHECK if full is None else full):
        index = tuple(i for i, p in enumerate(paths) if p.stat().st_size > 0)
        for i in sorted(set(range(len(paths))) - set(index)):
            report.drop(names[i], f"{names[i]}: the file is empty (0 bytes); copy it again.")
        return Checked(index, Files([paths[i] for i in index], [names[i] for i in index], keep=keep))

    def look(i: int) -> tuple[str, str, Image.Image | None, str]:
        try:
            data = read(paths[i], names[i])
            picture = decode(data, names[i])
        except BadData as error:
            return "", "", None, str(error)
        return hashlib.sha1(data).hexdigest(), picture.remark, picture.image, ""

    good, seen = [], Remembered()
    for start in range(0, len(paths), 256):  # in blocks, so that only what ``seen`` keeps stays in memory
        block = range(start, min(start + 256, len(paths)))
        for i, (content, remark, image, problem) in zip(block, parallel(look, block), strict=True):
            if image is None:
                report.drop(names[i], problem)
                continue
            report.problems += [remark] if remark else []
            seen.put(len(good), image)
            good.append((i, content))
    index = tuple(i for i, _ in good)
    source = Files([paths[i] for i in index], [names[i] for i in index], [content for _, content in good], keep, seen)
    return Checked(index, source)
