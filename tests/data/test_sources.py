"""Opening data: folders, zips, arrays; problem files are named and the rest is used."""

import gc
import os
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from promptlab.data import gallery, sources
from promptlab.data.batch import Pixels, View
from promptlab.data.sources import open_data
from promptlab.errors import BadData
from tests.data.make import SPEC, class_folders, encoded, picture, write, zipped


def test_a_folder_of_folders(tmp_path):
    data = open_data(class_folders(tmp_path / "shots"))
    assert data.name == "shots" and data.kind == "single" and data.classes.names == ("cat", "dog", "red_panda")
    assert data.classes.clean[2] == "red panda" and data.counts == {"train": 12} and data.test is None
    assert data.train.targets.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert data.report.problems == data.report.notes == []
    want = torch.cat([sources.loose([tmp_path / "shots" / "dog" / "1.jpg"]).pixels([0], SPEC)])
    assert torch.equal(data.train.source.pixels([5], SPEC), want)


def test_problem_files_are_named_once_and_the_rest_is_used(tmp_path):
    root = class_folders(tmp_path)
    write(root / "cat" / "empty.jpg", b"")
    write(root / "cat" / "words.jpg", b"no pixels here")
    write(root / "dog" / "cut.png", encoded(picture(size=(99, 99)), "PNG")[:-500])
    write(root / "dog" / "IMG_3.heic", b"\0\0\0\x18ftypheic")
    write(root / "dog" / "lying.jpg", encoded(picture(77), "PNG"))
    frames = [Image.new("RGB", (9, 9), c) for c in ("red", "blue")]
    write(root / "dog" / "moving.gif", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    write(root / "loose.jpg", encoded(picture()))
    data = open_data(root)
    problems = {p.split(":")[0]: p for p in data.report.problems}
    bad = ["cat/empty.jpg", "cat/words.jpg", "dog/IMG_3.heic", "dog/cut.png", "loose.jpg"]
    assert sorted(problems) == sorted([*bad, "dog/lying.jpg", "dog/moving.gif"]) and len(data.report.problems) == 7
    assert sorted(data.report.left_out) == bad
    assert data.counts == {"train": 14}  # the lying and the moving one are used


def test_system_files_are_passed_over_in_silence(tmp_path):
    root = class_folders(tmp_path)
    for name in (".DS_Store", "cat/.DS_Store", "cat/Thumbs.db", "cat/._0.jpg", "__MACOSX/cat/._0.jpg", ".git/config", "dog/desktop.ini"):
        write(root / name, b"junk")
    data = open_data(root)
    assert data.report.problems == [] and data.counts == {"train": 12} and len(data.classes) == 3


def test_a_class_without_a_picture_is_an_error_that_names_it(tmp_path):
    root = class_folders(tmp_path)
    write(root / "zebra" / "a.jpg", b"")
    with pytest.raises(BadData, match=r"class 'zebra' of .* has no usable picture \(zebra/a\.jpg: the file is empty"):
        open_data(root)
    write(root / "cat" / "bad.jpg", b"")
    (root / "zebra" / "a.jpg").unlink()
    with pytest.raises(BadData, match="class 'zebra' of .* has no usable picture; add one or remove it"):
        open_data(root)
    (root / "yak").mkdir()
    with pytest.raises(BadData, match="classes 'yak', 'zebra' of .* have no usable picture; add one or remove them"):
        open_data(root)


def test_ready_splits_are_kept(tmp_path):
    for part, count in (("train", 3), ("valid", 1), ("test", 2)):
        class_folders(tmp_path / part, ("cat", "dog"), count)
    data = open_data(tmp_path)
    assert data.counts == {"train": 6, "val": 2, "test": 4} and data.classes.names == ("cat", "dog")


def test_a_wrapping_folder_is_looked_through(tmp_path):
    class_folders(tmp_path / "a" / "b")
    assert open_data(tmp_path).classes.names == ("cat", "dog", "red_panda")


def test_deeper_folders_belong_to_their_class(tmp_path):
    root = class_folders(tmp_path, ("cat", "dog"))
    write(root / "cat" / "album" / "more.jpg", encoded(picture(55)))
    data = open_data(root)
    assert data.train.targets.tolist().count(0) == 5 and "cat/album/more.jpg" in data.train.source.names


def test_the_same_picture_in_two_classes_is_noted(tmp_path):
    root = class_folders(tmp_path, ("cat", "dog"))
    write(root / "dog" / "copy.jpg", (root / "cat" / "0.jpg").read_bytes())
    notes = open_data(root).report.notes
    assert notes == ["cat/0.jpg and dog/copy.jpg are the same picture in two classes; move or remove one of them."]


@pytest.mark.parametrize("make, words", [
    (lambda p: p / "nowhere", "does not exist; give a folder"),
    (lambda p: p, "holds no class folders"),
    (lambda p: write(p / "a.txt", b"x"), "is no zip file"),
])
def test_what_cannot_be_opened_says_what_can(tmp_path, make, words):
    with pytest.raises(BadData, match=words):
        open_data(make(tmp_path))


def test_names_that_read_alike_are_refused(tmp_path):
    with pytest.raises(BadData, match="'ice cream' and 'ice_cream' read as the same name"):
        open_data(class_folders(tmp_path, ("ice_cream", "ice cream")))


def test_accents_are_composed(tmp_path):
    assert open_data(class_folders(tmp_path, ("cafe\u0301", "tea"))).classes.names == ("caf\u00e9", "tea")


def test_a_folder_called_like_a_known_set_gets_its_templates_and_names(tmp_path):
    data = open_data(class_folders(tmp_path / "eurosat", ("AnnualCrop", "SeaLake")))
    assert data.classes.names == ("Annual Crop Land", "Sea or Lake") and data.classes.templates == ("a centered satellite photo of {}.",)


def test_an_unreadable_file_is_a_problem_not_a_crash(tmp_path):
    root = class_folders(tmp_path)
    (root / "cat" / "gone.jpg").symlink_to(root / "nowhere.jpg")
    report = open_data(root).report
    assert len(report.problems) == 1 and report.problems[0].startswith("cat/gone.jpg: cannot be read")


def test_keys_are_of_contents(tmp_path):
    a, b = open_data(class_folders(tmp_path / "a")), open_data(class_folders(tmp_path / "b"))
    assert a.train.source.key == b.train.source.key
    write(tmp_path / "b" / "cat" / "0.jpg", encoded(picture(999)))
    assert open_data(tmp_path / "b").train.source.key != a.train.source.key


def test_large_folders_are_checked_when_used(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "FULL_CHECK", 5)
    root = class_folders(tmp_path)
    write(root / "cat" / "empty.jpg", b"")
    write(root / "cat" / "words.jpg", b"no pixels here")
    data = open_data(root)
    assert data.report.left_out == ["cat/empty.jpg"] and data.counts == {"train": 13}
    with pytest.raises(BadData, match=r"^cat/words\.jpg: not a picture"):
        data.train.source.pixels(data.train.rows, SPEC)
    again = open_data(root)
    assert again.train.source.key == data.train.source.key
    os.utime(root / "dog" / "0.jpg", ns=(1, 1))
    assert open_data(root).train.source.key != data.train.source.key


def test_memory_for_decoded_pictures_is_bounded():
    seen = gallery.Remembered(3 * 48 * 40 * 3)
    for row in range(10):
        seen.put(row, picture(row))
    assert seen.get(9) is not None and seen.get(7) is not None and seen.get(6) is None
    seen.put(99, picture(size=(500, 500)))  # larger than all the memory there is: not kept, and nothing thrown out for it
    assert seen.get(99) is None and seen.get(9) is not None


def test_a_remembered_picture_is_the_decoded_one(tmp_path):
    data = open_data(class_folders(tmp_path))
    source = data.train.source
    warm = source.pixels([0, 3, 7], SPEC, View(2))
    cold = gallery.Files(source.paths, source.names).pixels([0, 3, 7], SPEC, View(2))
    assert torch.equal(warm, cold)


def members(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_a_zip_is_its_folder(tmp_path):
    root = class_folders(tmp_path / "shots")
    inside = members(root)
    archive = zipped(tmp_path / "my shots.zip", {**inside, "__MACOSX/cat/._0.jpg": b"x", ".DS_Store": b"x"})
    wrapped = zipped(tmp_path / "wrapped.zip", {f"shots/{n}": d for n, d in inside.items()})
    for path in (archive, wrapped):
        data = open_data(path)
        assert data.name == path.stem and data.report.problems == []
        assert data.train.source.key == open_data(root).train.source.key
        assert data.train.targets.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_the_temporary_folder_lives_as_long_as_the_pictures(tmp_path):
    data = open_data(zipped(tmp_path / "a.zip", members(class_folders(tmp_path / "shots"))))
    place, split = data.train.source.paths[0].parent, data.train
    del data
    gc.collect()
    assert place.is_dir() and split.source.load(0).size == (48, 40)
    del split
    gc.collect()
    assert not place.exists()


@pytest.mark.parametrize("name", ["../../evil.jpg", "/etc/evil.jpg", "cat/../../evil.jpg", "..\\evil.jpg", "C:\\evil.jpg"])
def test_a_zip_path_that_leads_out_is_refused(tmp_path, name):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    archive = zipped(tmp_path / "deep" / "er" / "a.zip", {"cat/a.jpg": encoded(picture()), name: b"evil"})
    with pytest.raises(BadData, match="a path that leads out of the folder"):
        open_data(archive)
    assert not list(tmp_path.rglob("evil.jpg"))


def test_a_link_in_a_zip_is_refused(tmp_path):
    link = zipfile.ZipInfo("cat/a.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(BadData, match="a link instead of a file"):
        open_data(tmp_path / "a.zip")


def test_zip_bombs_are_refused(tmp_path, monkeypatch):
    with pytest.raises(BadData, match="times its size, as no pictures do"):
        open_data(zipped(tmp_path / "ratio.zip", {"cat/a.jpg": b"\0" * 20_000_000}))
    monkeypatch.setattr("promptlab.data.archive.MAX_FILES", 3)
    with pytest.raises(BadData, match="holds 4 files, more than 3"):
        open_data(zipped(tmp_path / "count.zip", {f"cat/{i}.jpg": b"x" for i in range(4)}))
    monkeypatch.setattr("promptlab.data.archive.MAX_BYTES", 1000)
    with pytest.raises(BadData, match="unpacks to 0.0 GB, more than 0.0"):
        open_data(zipped(tmp_path / "size.zip", {"cat/a.jpg": bytes(np.random.default_rng(0).integers(0, 256, 2000, np.uint8))}))


def test_a_zip_that_lies_about_a_size_is_refused(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"cat/a.jpg": b"\0" * 5000})
    raw = archive.read_bytes().replace((5000).to_bytes(4, "little"), (50).to_bytes(4, "little"))
    archive.write_bytes(raw)
    with pytest.raises(BadData, match="a.zip"):
        open_data(archive)


@pytest.mark.parametrize("damage", [
    lambda b: b[: len(b) // 2], lambda b: b[:40] + b"\xff" * 60 + b[100:], lambda b: b"PK\x03\x04" + b[:50],
])
def test_a_damaged_zip_is_one_sentence(tmp_path, damage):
    archive = zipped(tmp_path / "a.zip", {f"{c}/{i}.jpg": encoded(picture(i)) for c in "ab" for i in range(3)})
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(BadData) as caught:
        open_data(archive)
    assert "a.zip" in str(caught.value) and str(caught.value).count(".zip") == 1


def test_arrays_of_every_kind():
    images = np.stack([np.asarray(picture(i)) for i in range(6)])
    single = sources.arrays(images, [0, 1, 2, 0, 1, 2], ["a", "b", "c"])
    multi = sources.arrays(list(images), [[1, 0], [0, 1], [1, -1], [1, 1], [0, 0], [0, 1]], ["a", "b"])
    dense = sources.arrays(torch.from_numpy(images), np.zeros((6, 40, 48), int) - 1, ["a", "b"])
    assert (single.kind, multi.kind, dense.kind) == ("single", "multi", "dense")
    assert single.train.source.pixels([2, 4], SPEC).shape == (2, 3, 32, 32)
    assert single.train.source.key == dense.train.source.key != ""


@pytest.mark.parametrize("labels, names, words", [
    ([0, 1], ["a", "b"], "do not fit 3 pictures"),
    ([0, 1, 2], ["a", "b"], r"must be in \[0, 1\]"),
    ([0, -1, 1], ["a", "b"], r"must be in \[0, 1\]"),
    ([[1, 0, 0]] * 3, ["a", "b"], "3 columns for 2 class names"),
    ([[2, 0]] * 3, ["a", "b"], r"must be in \[-1, 1\]"),
    ([0, 0, 0], ["a", "b"], "class 'b' of arrays has no picture"),
    ([0, 0, 0], ["a", "a"], "must differ"),
    ([0, 0, 0], [], "at least one class"),
])
def test_arrays_that_do_not_fit(labels, names, words):
    with pytest.raises(BadData, match=words):
        sources.arrays([picture(i) for i in range(3)], labels, names)


def test_loose_pictures_of_every_form(tmp_path):
    path = write(tmp_path / "a.png", encoded(picture(4), "PNG"))
    source = sources.loose([path, str(path), path.read_bytes(), picture(4), np.asarray(picture(4)),
                            torch.from_numpy(np.array(picture(4))).permute(2, 0, 1)])
    got = source.pixels(range(6), SPEC)
    assert all(torch.equal(got[0], g) for g in got)
    normalised = torch.randn(2, 3, 32, 32)
    direct = sources.loose(list(normalised))
    assert isinstance(direct, Pixels) and torch.equal(direct.pixels(range(2), SPEC), normalised)
    with pytest.raises(BadData, match="cannot be read"):
        sources.loose([tmp_path / "nowhere.jpg"])
    with pytest.raises(BadData, match="one size"):
        sources.loose([torch.zeros(3, 4, 4), torch.zeros(3, 5, 5)])
