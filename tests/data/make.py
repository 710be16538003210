"""Small picture files, good and bad, and small data sets in the published layouts."""

import io
import json
import random
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from promptlab.data.batch import PixelSpec

SPEC = PixelSpec(32, (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
REAL = Path(__file__).parents[2].parent / "shared" / "data" / "caltech-101"


def picture(seed: int = 0, size: tuple[int, int] = (48, 40), mode: str = "RGB") -> Image.Image:
    """Smooth colours, so that JPEG keeps them."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def class_folders(root: Path, classes=("cat", "dog", "red_panda"), count: int = 4) -> Path:
    """A folder of folders with different pictures."""
    for c, name in enumerate(classes):
        for i in range(count):
            write(root / name / f"{i}.jpg", encoded(picture(100 * c + i)))
    return root


def zipped(path: Path, members: dict[str, bytes], **options) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data, **options)
    return path


def coop_layout(root: Path, folder: str, split: str, images: str, names: dict[str, str], sizes=(5, 3, 2), seed: int = 0) -> Path:
    """A data set in CoOp's layout: ``names`` maps class folder → class name; sizes count train, val and test pictures."""
    listing: dict[str, list] = {"train": [], "val": [], "test": []}
    for label, (where, name) in enumerate(names.items()):
        for part, size in zip(listing, sizes, strict=True):
            for i in range(size):
                listing[part].append([f"{where}/{part}_{i}.jpg", label, name])
                write(root / folder / images / where / f"{part}_{i}.jpg", encoded(picture(hash_of(label, part, i))))
    for items in listing.values():
        random.Random(seed).shuffle(items)  # published lists are not sorted by class
    write(root / folder / split, json.dumps(listing).encode())
    return root / folder


def hash_of(*words) -> int:
    return zlib.crc32(repr(words).encode())
