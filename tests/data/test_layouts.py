"""Published layouts: CoOp's split files, aircraft lists, ImageNet and its variants."""

import json
import shutil

import pytest
import torch

from promptlab.data import catalogue, protocols
from promptlab.data.batch import View
from promptlab.data.sources import open_data
from promptlab.errors import BadData
from tests.data.make import REAL, SPEC, coop_layout, encoded, hash_of, picture, write

CALTECH = ("caltech-101", "split_zhou_Caltech101.json", "101_ObjectCategories")


def caltech(root, **options):
    return coop_layout(root, *CALTECH, {"Faces": "face", "Leopards": "leopard", "accordion": "accordion"}, **options)


def test_a_split_file_decides(tmp_path):
    path = caltech(tmp_path)
    data = open_data(path)
    assert data.name == "caltech101" and data.classes.names == ("face", "leopard", "accordion")
    assert data.counts == {"train": 15, "val": 9, "test": 6} and data.classes.templates == ("a photo of a {}.",)
    listing = json.loads((path / CALTECH[1]).read_text())
    for part in ("train", "val", "test"):
        split = getattr(data, part)
        assert [data.train.source.names[r] for r in split.rows] == [where for where, _, _ in listing[part]]
        assert split.targets.tolist() == [label for _, label, _ in listing[part]]


def test_a_root_with_one_data_set_opens_it_and_with_several_asks(tmp_path):
    caltech(tmp_path)
    assert open_data(tmp_path).name == "caltech101"
    coop_layout(tmp_path, "dtd", "split_zhou_DescribableTextures.json", "images", {"banded": "banded", "woven": "woven"})
    with pytest.raises(BadData, match=r"holds 2 data sets \(caltech-101, dtd\); name one of them"):
        open_data(tmp_path)


@pytest.mark.parametrize("key", [e.key for e in catalogue.ENTRIES if e.split])
def test_every_catalogued_layout_opens_with_its_template(tmp_path, key):
    entry = catalogue.by_name(key)
    data = open_data(coop_layout(tmp_path, entry.folder, entry.split, entry.images, {"a": "first_thing", "b": "other"}, sizes=(1, 1, 1)))
    assert data.name == key and data.classes.templates[0] == entry.template and len(data.train) == 2


def test_the_catalogue_is_the_published_one():
    folders = {e.key: (e.folder, e.images, e.classes) for e in catalogue.ENTRIES}
    assert folders == {
        "imagenet": ("imagenet", "images", 1000), "caltech101": ("caltech-101", "101_ObjectCategories", 100),
        "oxford_pets": ("oxford_pets", "images", 37), "stanford_cars": ("stanford_cars", "", 196),
        "oxford_flowers": ("oxford_flowers", "jpg", 102), "food101": ("food-101", "images", 101),
        "fgvc_aircraft": ("fgvc_aircraft", "images", 100), "sun397": ("sun397", "SUN397", 397), "dtd": ("dtd", "images", 47),
        "eurosat": ("eurosat", "2750", 10), "ucf101": ("ucf101", "UCF-101-midframes", 101)}
    assert catalogue.by_name("OxfordPets").template == "a photo of a {}, a type of pet."
    assert catalogue.by_name("food101").template == "a photo of {}, a type of food."
    assert catalogue.by_name("ucf-101") is catalogue.by_name("UCF101") and catalogue.by_name("my shots") is None


@pytest.mark.parametrize("key, raw, tidy", [
    ("caltech101", "airplanes", "airplane"), ("caltech101", "Faces", "face"), ("caltech101", "anchor", "anchor"),
    ("eurosat", "Highway", "Highway or Road"), ("eurosat", "Sea or Lake", "Sea or Lake"),
    ("stanford_cars", "Audi TT Hatchback 2011", "2011 Audi TT Hatchback"), ("stanford_cars", "2011 Audi TT", "2011 Audi TT"),
    ("sun397", "c/church/indoor", "indoor church"), ("sun397", "indoor church", "indoor church"), ("sun397", "a/abbey", "abbey"),
    ("ucf101", "ApplyEyeMakeup", "Apply_Eye_Makeup"), ("ucf101", "Apply_Eye_Makeup", "Apply_Eye_Makeup"), ("ucf101", "YoYo", "Yo_Yo"),
    ("oxford_pets", "Great_Pyrenees", "great_pyrenees"),
])
def test_class_names_are_tidied_once(key, raw, tidy):
    entry = catalogue.by_name(key)
    assert entry.tidy(raw) == tidy and entry.tidy(tidy) == tidy


def test_missing_and_broken_pictures_of_a_split_are_named(tmp_path):
    path = caltech(tmp_path)
    (path / CALTECH[2] / "Faces" / "train_0.jpg").unlink()
    write(path / CALTECH[2] / "Faces" / "test_1.jpg", b"")
    data = open_data(path)
    assert data.counts == {"train": 14, "val": 9, "test": 5}
    assert sorted(data.report.left_out) == ["Faces/test_1.jpg", "Faces/train_0.jpg"] and len(data.report.problems) == 2
    assert any("listed in split_zhou_Caltech101.json but not there" in p for p in data.report.problems)


def test_a_class_without_training_pictures_is_an_error(tmp_path):
    path = caltech(tmp_path)
    for i in range(5):
        write(path / CALTECH[2] / "accordion" / f"train_{i}.jpg", b"")
    with pytest.raises(BadData, match="class 'accordion' of caltech101 has no usable picture"):
        open_data(path)


@pytest.mark.parametrize("text, words", [
    ("{", "is no split file"), ("[]", "is no split file"), ('{"train": []}', "is no split file"),
    ('{"train": [["a.jpg", 0]]}', "is no split file"),
    ('{"train": [["../../a.jpg", 0, "a"]]}', "paths must stay inside"), ('{"train": [["/etc/passwd", 0, "a"]]}', "paths must stay inside"),
    ('{"train": [["a.jpg", -1, "a"]]}', "labels start at 0"),
    ('{"train": [["a.jpg", 0, "a"], ["b.jpg", 0, "b"]]}', "calls label 0 both 'a' and 'b'"),
    ('{"train": [["nowhere.jpg", 0, "a"]]}', "none of the pictures listed"),
])
def test_bad_split_files_are_one_sentence(tmp_path, text, words):
    write(tmp_path / "split_zhou_Caltech101.json", text.encode())
    with pytest.raises(BadData, match=words):
        open_data(tmp_path)


def test_a_split_file_without_pictures_folder_finds_them_elsewhere(tmp_path):
    path = caltech(tmp_path)
    (path / CALTECH[2]).rename(path / "pictures")
    assert open_data(path).counts["train"] == 15


def test_class_folders_without_a_split_file_are_parted_by_the_protocol(tmp_path):
    path = caltech(tmp_path)
    (path / CALTECH[1]).unlink()
    for name in ("BACKGROUND_Google", "Faces_easy"):
        write(path / CALTECH[2] / name / "a.jpg", encoded(picture(5)))
    write(path / "Annotations" / "Faces" / "a.mat", b"x")
    data = open_data(path)
    assert data.classes.names == ("face", "leopard", "accordion") and data.test is None and data.counts == {"train": 30}


def test_labels_that_only_the_split_file_has_are_asked_for(tmp_path):
    write(tmp_path / "oxford_pets" / "images" / "Abyssinian_1.jpg", encoded(picture()))
    write(tmp_path / "oxford_pets" / "annotations" / "list.txt", b"x")
    with pytest.raises(BadData, match="oxford_pets needs its labels from split_zhou_OxfordPets.json"):
        open_data(tmp_path / "oxford_pets")


def test_aircraft_has_its_own_lists(tmp_path):
    names = ["707-320", "A340-300", "Cessna 172"]
    write(tmp_path / "fgvc_aircraft" / "variants.txt", "\n".join(names).encode())
    for part in ("train", "val", "test"):
        numbers = {f"{hash_of(part, label, i) % 10**7:07d}": name for label, name in enumerate(names) for i in range(2)}
        lines = "\n".join(f"{number} {name}" for number, name in numbers.items())
        write(tmp_path / "fgvc_aircraft" / f"images_variant_{part}.txt", lines.encode())
        for number in numbers:
            write(tmp_path / "fgvc_aircraft" / "images" / f"{number}.jpg", encoded(picture(int(number))))
    data = open_data(tmp_path / "fgvc_aircraft")
    assert data.name == "fgvc_aircraft" and data.classes.names == tuple(names) and data.counts == {"train": 6, "val": 6, "test": 6}
    assert data.train.targets.tolist() == [0, 0, 1, 1, 2, 2] and "aircraft" in data.classes.templates[0]


WNIDS = [f"n{10000000 + 7 * i}" for i in range(12)]
NAMES = [f"thing {chr(97 + i)}" for i in range(12)]


def imagenet_names(path):
    write(path / "classnames.txt", "\n".join(f"{w} {n}" for w, n in zip(WNIDS, NAMES, strict=True)).encode())
    return path


def imagenet(root):
    path = imagenet_names(root / "imagenet")
    for k, wnid in enumerate(WNIDS):
        for i in range(3):
            write(path / "images" / "train" / wnid / f"{i}.JPEG", encoded(picture(50 * k + i)))
        write(path / "images" / "val" / wnid / "v.JPEG", encoded(picture(50 * k + 30)))
    return path


def test_imagenet_tests_on_its_validation_pictures_and_validates_on_none(tmp_path):
    data = open_data(imagenet(tmp_path))
    assert data.name == "imagenet" and data.classes.names == tuple(NAMES) and data.val is None
    assert data.counts == {"train": 36, "test": 12} and len(data.classes.templates) == 8
    episode, tests = protocols.few_shot(data, 2, 1)
    assert episode.val is None and len(episode.support) == 24 and len(tests[0].split) == 12


def test_v2_folders_are_labels_not_strings(tmp_path):
    path = imagenet_names(tmp_path / "imagenetv2")
    for label in range(12):
        write(path / "imagenetv2-matched-frequency-format-val" / str(label) / "a.jpeg", encoded(picture(label)))
    data = open_data(path)
    assert data.name == "imagenetv2" and data.train is None and data.classes.names == tuple(NAMES)
    shown = [data.test.source.names[r].split("/")[0] for r in data.test.rows]
    assert shown == [str(i) for i in range(12)] and data.test.targets.tolist() == list(range(12))  # not 0, 1, 10, 11, 2, ...
    shutil.move(path / "imagenetv2-matched-frequency-format-val" / "11", path / "imagenetv2-matched-frequency-format-val" / "12")
    with pytest.raises(BadData, match="has a folder '12'; its folders are called by label, 0 to 11"):
        open_data(path)


@pytest.mark.parametrize("folder, images, key", [
    ("imagenet-adversarial", "imagenet-a", "imagenet_a"), ("imagenet-rendition", "imagenet-r", "imagenet_r"),
    ("imagenet-sketch", "images", "imagenet_sketch"),
])
def test_a_variant_with_fewer_classes_has_its_own_names(tmp_path, folder, images, key):
    path = imagenet_names(tmp_path / folder)
    kept = [WNIDS[i] for i in (2, 5, 9)]
    for wnid in kept:
        write(path / images / wnid / "a.jpg", encoded(picture(int(wnid[1:]))))
    write(path / images / "README.txt", b"about")
    data = open_data(path)
    assert data.name == key and data.classes.names == tuple(NAMES[i] for i in (2, 5, 9)) and data.train is None
    _, tests = protocols.domain_shift(open_data(imagenet(tmp_path / "full")), [data], 1, 1)
    assert [t.name for t in tests] == ["imagenet", key] and tests[1].notes["columns"] == [2, 5, 9]
    assert tests[1].split.targets.tolist() == [0, 1, 2] and tests[1].task.classes.names[0] == NAMES[2]
    with pytest.raises(BadData, match="for testing only"):
        protocols.few_shot(data, 1, 1)
    write(path / images / "n99999999" / "a.jpg", encoded(picture(0)))
    with pytest.raises(BadData, match="'n99999999' that classnames.txt does not name"):
        open_data(path)


def test_bad_classnames_are_one_sentence(tmp_path):
    path = imagenet(tmp_path)
    write(path / "classnames.txt", b"n01440764\n")
    with pytest.raises(BadData, match="should hold a WordNet id and a name a line"):
        open_data(path)


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason="the cut of Caltech-101 does not lie beside the checkout")
def test_the_real_cut_of_caltech():
    data = open_data(REAL)
    assert data.name == "caltech101" and len(data.classes) == 100 and data.counts == {"train": 800, "val": 200, "test": 400}
    assert data.report.problems == [] and {"face", "leopard", "airplane", "motorbike"} <= set(data.classes.names)
    episode, tests = protocols.base_to_new(data, 4, 1)
    assert len(episode.support) == 200 and len(episode.val) == 100 and [len(t.split) for t in tests] == [200, 200]
    batch = next(episode.support.batches(32, view=View(1)))
    pixels = batch.pixels(SPEC)
    assert pixels.shape == (32, 3, 32, 32) and torch.isfinite(pixels).all() and 0.5 < pixels.std() < 2
