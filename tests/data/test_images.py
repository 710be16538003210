"""Decoding: every odd file is either a picture or one sentence."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from promptlab.data.images import MAX_PIXELS, WORKING_SIDE, decode, to_image
from promptlab.errors import BadData
from tests.data.make import encoded, picture


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("kind, name", [("JPEG", "a.jpg"), ("PNG", "a.PNG"), ("GIF", "a.gif"), ("BMP", "a.bmp"), ("WEBP", "a.webp"),
                                        ("TIFF", "a.tif"), ("PPM", "a.ppm"), ("JPEG", "a.JPEG"), ("PNG", "without_suffix")])
def test_ordinary_formats_are_read_without_remark(kind, name):
    found = decode(encoded(picture(), kind), name)
    assert found.image.mode == "RGB" and found.image.size == (48, 40) and found.remark == ""


@pytest.mark.parametrize("data, name, words", [
    (b"", "cat/a.jpg", "empty (0 bytes)"),
    (b"these are words, not pixels", "cat/a.jpg", "not a picture although its name ends in .jpg"),
    (b"\0\0\0\x18ftypheic", "IMG_3.heic", "format not read; save it as JPG or PNG"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a.eps", "format not read"),
    (b"<svg xmlns='x'/>", "a.svg", "format not read"),
    (b"\x89PNG\r\n\x1a\nrubbish", "a.png", "damaged or cut off"),
])
def test_a_file_that_is_no_picture_is_named_in_one_sentence(data, name, words):
    with pytest.raises(BadData) as caught:
        decode(data, name)
    sentence = str(caught.value)
    assert sentence.startswith(f"{name}: ") and words in sentence and sentence.endswith(".") and "\n" not in sentence


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
def test_a_truncated_file_is_refused(kind):
    data = encoded(picture(size=(200, 200)), kind)
    with pytest.raises(BadData, match=r"^cut\.x: .*again\.$"):
        decode(data[: len(data) // 2], "cut.x")


def test_truncation_is_called_by_its_name():
    with pytest.raises(BadData, match="the file ends before the picture does"):
        decode(encoded(picture(size=(200, 200)))[:-400], "a.jpg")


def test_a_png_called_jpg_is_used_and_named():
    found = decode(encoded(picture(), "PNG"), "dog/x.jpg")
    assert found.remark == "dog/x.jpg: a PNG file although its name ends in .jpg; it is used."
    assert (array(found.image) == array(picture())).all()


@pytest.mark.parametrize("kind, name", [("GIF", "a.gif"), ("PNG", "a.png"), ("WEBP", "a.webp")])
def test_the_first_frame_of_an_animation_is_used_and_named(kind, name):
    frames = [Image.new("RGB", (20, 20), c) for c in ("red", "blue", "green")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **({"lossless": True} if kind == "WEBP" else {}))
    found = decode(data, name)
    assert found.remark == f"{name}: animated; its first frame is used."
    assert np.abs(array(found.image) - [255, 0, 0]).max() <= 3


def test_exif_rotation_is_undone():
    upright = Image.new("RGB", (30, 20), "black")
    upright.paste("white", (0, 0, 30, 5))  # a bright top edge
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn right by 90 degrees to view"
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    found = decode(encoded(stored, "JPEG", exif=exif, quality=95), "a.jpg").image
    assert found.size == (30, 20) and array(found)[:4].mean() > 200 > 50 > array(found)[10:].mean()


def test_broken_exif_does_not_lose_the_picture():
    data = encoded(picture(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 30)
    assert decode(data, "a.jpg").image.size == (48, 40)


def test_cmyk_keeps_its_colours():
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # red
    for data, name in ((encoded(cmyk, "JPEG", quality=95), "a.jpg"), (encoded(cmyk, "TIFF"), "a.tif")):
        red, green, blue = array(decode(data, name).image).reshape(-1, 3).mean(0)
        assert red > 200 and green < 60 and blue < 60


def test_sixteen_bits_are_scaled_not_clipped():
    ramp = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    found = array(decode(encoded(Image.fromarray(ramp), "PNG"), "a.png").image)
    assert (found[..., 0] == np.arange(256).reshape(16, 16)).all()
    assert (found[..., 0] == found[..., 1]).all()


def test_float_and_bilevel_pictures():
    floats = Image.fromarray(np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16))
    found = array(decode(encoded(floats, "TIFF"), "a.tif").image)[..., 0].ravel()
    assert found[0] == 0 and found[-1] == 255 and (np.diff(found) >= 0).all()
    assert set(array(decode(encoded(picture(mode="1"), "PNG"), "b.png").image).ravel().tolist()) <= {0, 255}


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(mode):
    clear = Image.new(mode, (8, 8), (0,) * len(mode))
    assert (array(decode(encoded(clear, "PNG"), "a.png").image) == 255).all()


def test_palette_with_a_transparent_colour():
    image = Image.new("P", (8, 8), 1)
    image.putpalette([10, 20, 30, 200, 0, 0] + [0] * 762)
    assert (array(decode(encoded(image, "PNG"), "a.png").image) == [200, 0, 0]).all()
    assert (array(decode(encoded(image, "PNG", transparency=1), "a.png").image) == 255).all()


def png_that_says(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises a huge picture."""
    def chunk(tag: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_100, 20_000])
def test_a_bomb_is_refused_before_it_is_decoded(side):
    assert side * side > MAX_PIXELS
    with pytest.raises(BadData, match=r"^big\.png: .*megapixels; save it smaller than 89\.$"):
        decode(png_that_says(side, side), "big.png")


def test_a_large_picture_becomes_a_working_copy():
    big = picture(size=(4 * WORKING_SIDE + 8, 2 * WORKING_SIDE + 4))
    for kind, name in (("PNG", "a.png"), ("JPEG", "a.jpg")):
        small = decode(encoded(big, kind), name).image
        assert WORKING_SIDE <= min(small.size) < 2 * WORKING_SIDE
        difference = np.abs(array(small.resize((64, 32), Image.Resampling.BICUBIC)) - array(big.resize((64, 32), Image.Resampling.BICUBIC)))
        assert difference.mean() < 2


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"]), st.data())
def test_mutated_files_decode_or_fail_in_one_sentence(kind, data):
    raw = bytearray(encoded(picture(size=(24, 20)), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw
    try:
        found = decode(bytes(raw), "x.img")
    except BadData as error:
        assert str(error).startswith("x.img: ") and str(error).endswith(".") and "\n" not in str(error)
    else:
        assert found.image.mode == "RGB" and min(found.image.size) > 0


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["a.jpg", "a.png", "a.tif", "a.txt", "a"]))
def test_any_bytes_decode_or_fail_in_one_sentence(raw, name):
    try:
        assert decode(raw, name).image.mode == "RGB"
    except BadData as error:
        assert str(error).startswith(f"{name}: ") and str(error).endswith(".")


def test_arrays_of_every_usual_form_become_the_same_picture():
    want = np.asarray(picture())
    forms = [picture(), want, want.transpose(2, 0, 1), want / 255.0, (want / 255.0).astype(np.float32), want.astype(np.int64)]
    assert all((np.asarray(to_image(f)) == want).all() for f in forms)
    assert to_image(want[..., 0]).mode == to_image(want[..., :1]).mode == to_image(want[..., 0] > 100).mode == "RGB"
    assert (np.asarray(to_image(np.dstack([want, np.full(want.shape[:2], 255, np.uint8)]))) == want).all()


@pytest.mark.parametrize("bad, words", [
    (np.zeros((2, 3, 4, 5)), "is no picture"), (np.zeros((0, 4, 3)), "is no picture"), (np.full((4, 4, 3), 1.5), r"must be in \[0, 1\]"),
    (np.full((4, 4, 3), np.nan), r"must be in \[0, 1\]"), (np.full((4, 4, 3), 300), "0 to 255"), (np.zeros((5, 5, 7)), "is no picture"),
])
def test_arrays_that_are_no_pictures(bad, words):
    with pytest.raises(BadData, match=words):
        to_image(bad)


def test_reading_does_not_touch_pillows_settings():
    before = Image.MAX_IMAGE_PIXELS
    decode(encoded(picture()), "a.jpg")
    assert before == Image.MAX_IMAGE_PIXELS
    assert Image.open(io.BytesIO(encoded(picture()))).size == (48, 40)
