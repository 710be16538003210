"""Folders with a list of labels, or with masks, beside the pictures; class trees and captions that lie there too."""

import numpy as np
import pytest
import torch
from PIL import Image

from promptlab.data import protocols
from promptlab.data.captions import caption_only
from promptlab.data.listed import MASK_SIDE, square
from promptlab.data.sources import open_data
from promptlab.errors import BadData
from tests.data.make import SPEC, class_folders, encoded, picture, write, zipped

CSV = "image,split,cat,red_panda\na.jpg,train,1,0\nb.jpg,train,1,1\nc.jpg,test,0,\nd.jpg,val,-1,1\n"


def labelled(root, text=CSV, names="abcd"):
    for i, n in enumerate(names):
        write(root / "images" / f"{n}.jpg", encoded(picture(i)))
    write(root / "labels.csv", text.encode())
    return root


def test_labels_csv_with_a_column_a_class(tmp_path):
    write(tmp_path / "captions.txt", b"a cat\nred pandas\n")
    data = open_data(labelled(tmp_path))
    assert data.kind == "multi" and data.classes.names == ("cat", "red_panda") and data.counts == {"train": 2, "val": 1, "test": 1}
    assert data.train.targets.tolist() == [[1, 0], [1, 1]] and data.test.targets.tolist() == [[0, -1]]
    assert data.val.targets.tolist() == [[-1, 1]]
    assert data.train.source.pixels(data.test.rows, SPEC).shape == (1, 3, 32, 32)
    episode, tests = caption_only(data)
    assert episode.support.source.texts == ("a cat", "red pandas") and episode.support.targets.tolist() == [[1, 0], [0, 1]]
    assert episode.pool is None and len(tests[0].split) == 1


def test_labels_csv_with_names(tmp_path):
    data = open_data(labelled(tmp_path, "file,labels\na.jpg,dog; cat\nb.jpg,\nc.jpg,cat\nmissing.jpg,cat\n"))
    assert data.classes.names == ("cat", "dog") and data.train.targets.tolist() == [[1, 1], [0, 0], [1, 0]]
    assert any("missing.jpg" in p for p in data.report.problems)
    write(tmp_path / "classes.txt", b"dog\ncat\n")
    assert open_data(tmp_path).train.targets.tolist() == [[1, 1], [0, 0], [0, 1]]
    assert len(protocols.few_shot(data, 1, 1)[0].support) >= 1


@pytest.mark.parametrize(("text", "why"), [
    ("picture\n", "must begin with"), ("a.jpg,1\n", "must begin with"), ("image,cat\na.jpg,1,2\n", "line 2 .* has 3 cells"),
    ("image,cat\na.jpg,yes\n", "'yes' for 'cat'"), ("image,split,cat\na.jpg,holiday,1\n", "split 'holiday'"),
    ("image,cat,dog\na.jpg,1,0\n", "'dog' .* in no training"), ("image,cat\nz.jpg,1\n", "none of the training"),
    ("image,cat\n../x.jpg,1\n", "outside the folder"),
])
def test_bad_lists_are_one_sentence(tmp_path, text, why):
    write(tmp_path / "x.jpg", encoded(picture()))
    with pytest.raises(BadData, match=why):
        open_data(labelled(tmp_path / "data", text))


def segmented(root, mask=None, size=(48, 40)):
    ids = np.zeros((size[1], size[0]), dtype=np.uint8)
    ids[:, size[0] // 2:] = 1
    ids[0, size[0] // 2] = 255
    for i in range(3):
        write(root / "images" / f"{i}.jpg", encoded(picture(i, size)))
        write(root / "masks" / f"{i}.png", encoded(mask or Image.fromarray(ids), "PNG"))
    write(root / "classes.txt", b"ground\nsky\n")
    return root


def test_masks(tmp_path):
    data = open_data(segmented(tmp_path))
    assert data.kind == "dense" and data.classes.names == ("ground", "sky") and data.train.targets.shape == (3, MASK_SIDE, MASK_SIDE)
    target = data.train.targets[0]
    assert target[64, 10] == 0 and target[64, 100] == 1 and set(target.unique().tolist()) == {-1, 0, 1}
    assert data.train.source.image(0).size == (40, 40) == square(picture(0)).size  # cut as the mask was
    write(tmp_path / "train.txt", b"0\n1.jpg\n")
    write(tmp_path / "test.txt", b"2\n")
    assert open_data(tmp_path).counts == {"train": 2, "test": 1}
    members = {f"seg/{p.relative_to(tmp_path).as_posix()}": p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert open_data(zipped(tmp_path.parent / "seg.zip", members)).kind == "dense"


@pytest.mark.parametrize(("mask", "why"), [
    (picture(3), "has colours"), (Image.new("L", (48, 40), 7), "class index 7"), (Image.new("L", (20, 40)), "one shape"),
])
def test_bad_masks_are_one_sentence(tmp_path, mask, why):
    with pytest.raises(BadData, match=why):
        open_data(segmented(tmp_path, mask))
    (tmp_path / "masks" / "0.png").write_bytes(b"no")
    with pytest.raises(BadData, match="no PNG"):
        open_data(tmp_path)
    for m in (tmp_path / "masks").iterdir():
        m.unlink()
    with pytest.raises(BadData, match="no picture in images/ with a mask"):
        open_data(tmp_path)


def test_a_tree_beside_the_classes(tmp_path):
    class_folders(tmp_path)
    write(tmp_path / "tree.csv", b"class,parent\ncat,pet\ndog,pet\nred panda,wild\n")
    data = open_data(tmp_path)
    assert data.classes.tree == {"cat": ("pet",), "dog": ("pet",), "red_panda": ("wild",)} and data.report.problems == []
    assert torch.equal(data.train.targets, open_data(tmp_path).train.targets)
