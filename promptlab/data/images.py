"""From bytes to an RGB picture, or one sentence that says why not."""

import io
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import PurePath

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from promptlab.errors import BadData

MAX_PIXELS = 89_478_485  # where Pillow's own bomb warning starts: 256 MiB of RGB
WORKING_SIDE = 768  # pictures at least twice as large on their shorter side are halved (thirded, ...) to this before any crop
FORMATS = {  # what is read, and how its files are usually called
    "JPEG": ("jpg", "jpeg", "jpe", "jfif"), "MPO": ("jpg", "jpeg", "mpo"), "PNG": ("png", "apng"), "GIF": ("gif",),
    "BMP": ("bmp", "dib"), "WEBP": ("webp",), "TIFF": ("tif", "tiff"), "PPM": ("ppm", "pgm", "pbm", "pnm"),
    "JPEG2000": ("jp2", "j2k", "jpx"), "AVIF": ("avif", "avifs"),
}
SUFFIXES = frozenset(s for names in FORMATS.values() for s in names)
MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")
# what Pillow's readers raise on damaged files, beyond OSError
DECODE_ERRORS = (OSError, ValueError, SyntaxError, EOFError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError,
                 MemoryError, struct.error, zlib.error, Image.DecompressionBombError, Image.DecompressionBombWarning)


@dataclass
class Report:
    """What opening found. ``problems``: one sentence a file; ``left_out``: the files among them that are not used;
    ``notes``: sentences about the whole."""

    problems: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def drop(self, name: str, sentence: str) -> None:
        """Say why a file is not used."""
        self.problems.append(sentence)
        self.left_out.append(name)


@dataclass(frozen=True)
class Picture:
    """A decoded RGB picture, upright, and what is odd about its file (one sentence or "")."""

    image: Image.Image
    remark: str = ""


def decode(data: bytes, name: str) -> Picture:
    """The picture in ``data``; :class:`BadData` in one sentence that begins with ``name`` otherwise."""
    if not data:
        raise BadData(f"{name}: the file is empty (0 bytes); copy it again.")
    try:
        image = Image.open(io.BytesIO(data), formats=_formats())
    except Image.DecompressionBombError:
        raise BadData(f"{name}: more than {2 * MAX_PIXELS / 1e6:.0f} megapixels; save it smaller than {MAX_PIXELS / 1e6:.0f}.") from None
    except UnidentifiedImageError:
        raise BadData(_not_a_picture(data, name)) from None
    except DECODE_ERRORS:
        raise BadData(f"{name}: the picture's data is damaged; save it again.") from None
    if image.width * image.height > MAX_PIXELS:
        raise BadData(f"{name}: {image.width * image.height / 1e6:.0f} megapixels; save it smaller than {MAX_PIXELS / 1e6:.0f}.")
    try:
        remark = _remark(image, name)
        image.draft(image.mode, (WORKING_SIDE, WORKING_SIDE))  # JPEG only: decodes at 1/2, 1/4, 1/8 while larger than that
        image.load()
        rgb = to_rgb(_upright(image))
    except DECODE_ERRORS as error:
        cut = isinstance(error, EOFError) or "truncated" in str(error) or "ends" in str(error)
        why = "the file ends before the picture does; copy it" if cut else "the picture's data is damaged; save it"
        raise BadData(f"{name}: {why} again.") from None
    return Picture(working(rgb), remark)


def _formats() -> list[str]:
    # an explicit list: Pillow would otherwise hand PostScript files to an outside program
    Image.init()
    return [f for f in FORMATS if f in Image.OPEN]


def _suffix(name: str) -> str:
    return PurePath(name).suffix[1:].lower()


def _not_a_picture(data: bytes, name: str) -> str:
    suffix = _suffix(name)
    if data.startswith(MAGIC):
        return f"{name}: the picture's data is damaged or cut off; save it again."
    if suffix in SUFFIXES:
        return f"{name}: not a picture although its name ends in .{suffix}; save it as JPG or PNG."
    return f"{name}: format not read; save it as JPG or PNG."


def _remark(image: Image.Image, name: str) -> str:
    suffix, kind = _suffix(name), image.format or ""
    if kind != "MPO" and getattr(image, "is_animated", False):  # an MPO's further frames are previews
        return f"{name}: animated; its first frame is used."
    if suffix and suffix not in FORMATS.get(kind, (suffix,)):
        return f"{name}: a {kind} file although its name ends in .{suffix}; it is used."
    return ""


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except DECODE_ERRORS:  # a broken EXIF block says nothing about the pixels
        return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to 8-bit RGB: 16-bit scaled (not clipped), transparency laid on white."""
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Grey values of 16 or 32 bits, or floats, to 0..255: by the smallest of 1, 2^8, 2^16, 2^32 that holds the largest value."""
    values = np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    top = values.max(initial=0.0)
    full = next((f for f in (1.0, 255.0, 65535.0) if top <= f), max(top, 1.0))
    return (values.clip(0, full) / full * 255 + 0.5).astype(np.uint8)


def working(image: Image.Image) -> Image.Image:
    """A very large picture reduced by a whole factor (box filter), so that many of them fit in memory."""
    factor = min(image.size) // WORKING_SIDE
    return image.reduce(factor) if factor >= 2 else image


def to_image(value: object, name: str = "picture") -> Image.Image:
    """A Pillow image from an image, a uint8 or [0, 1] float array or tensor ([H, W], [H, W, 1|3|4] or [1|3|4, H, W])."""
    if isinstance(value, Image.Image):
        return working(to_rgb(_upright(value)))
    array = np.asarray(value)
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise BadData(f"{name}: an array of shape {tuple(np.asarray(value).shape)} is no picture; give [H, W, 3] or [3, H, W].")
    if array.dtype == bool:
        array = array * np.uint8(255)
    elif np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise BadData(f"{name}: floats must be in [0, 1], got {array.min():g} to {array.max():g}; divide by 255 or give uint8.")
        array = (array * 255 + 0.5).astype(np.uint8)
    elif array.dtype != np.uint8:
        if not np.issubdtype(array.dtype, np.integer) or array.min() < 0 or array.max() > 255:
            raise BadData(f"{name}: values of type {array.dtype} must be whole numbers from 0 to 255; give uint8.")
        array = array.astype(np.uint8)
    return working(to_rgb(Image.fromarray(np.ascontiguousarray(array))))
