"""Transforms: equal to torchvision's, a function of (view, row) alone."""

from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.data import transforms
from promptlab.data.augmix import OPERATIONS, augmix, translate_x
from promptlab.data.batch import Batch, PixelSpec, View
from promptlab.data.gallery import Arrays
from tests.data.make import SPEC, picture

torchvision = pytest.importorskip("torchvision.transforms")
BICUBIC = torchvision.InterpolationMode.BICUBIC


def reference(size, fit="crop"):
    """The test transform as torchvision spells it."""
    shape = [torchvision.Resize(size, interpolation=BICUBIC), torchvision.CenterCrop(size)] if fit == "crop" else [
        torchvision.Resize((size, size), interpolation=BICUBIC)]
    return torchvision.Compose([*shape, torchvision.ToTensor(), torchvision.Normalize(SPEC.mean, SPEC.std)])


@pytest.mark.parametrize("shape", [(48, 40), (40, 48), (32, 32), (500, 375), (33, 200), (20, 11), (1, 1), (1, 90)])
@pytest.mark.parametrize("fit", ["crop", "squash"])
def test_the_plain_view_is_torchvisions(shape, fit):
    image = picture(1, shape)
    spec = PixelSpec(32, SPEC.mean, SPEC.std, fit)
    ours = Arrays([image]).pixels([0], spec)
    assert ours.shape == (1, 3, 32, 32) and ours.dtype == torch.float32
    assert torch.allclose(ours[0], reference(32, fit)(image), atol=1e-6)


def test_open_clips_own_transform_is_the_plain_view():
    open_clip = pytest.importorskip("open_clip")
    image = picture(2, (300, 224))
    theirs = open_clip.image_transform(64, is_train=False, mean=SPEC.mean, std=SPEC.std)(image)
    assert torch.allclose(Arrays([image]).pixels([0], PixelSpec(64, SPEC.mean, SPEC.std))[0], theirs, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.floats(0.01, 1.0), st.integers(0, 10**6))
def test_crop_boxes_lie_inside_and_have_the_area(width, height, scale, seed):
    left, top, right, bottom = transforms.crop_box(width, height, scale, Random(seed))
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    if min(width, height) >= 50 and 3 / 4 <= width / height <= 4 / 3:
        assert (right - left) * (bottom - top) >= 0.9 * scale * width * height


def test_crop_boxes_are_distributed_as_torchvisions():
    image = picture(size=(160, 120))
    torch.manual_seed(0)
    theirs = torch.tensor([torchvision.RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(4000)]).float()
    rng = Random(0)
    boxes = torch.tensor([transforms.crop_box(160, 120, 0.08, rng) for _ in range(4000)]).float()
    ours = torch.stack([boxes[:, 1], boxes[:, 0], boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]], 1)
    assert (ours.mean(0) - theirs.mean(0)).abs().max() < 2.5 and (ours.std(0) - theirs.std(0)).abs().max() < 2


def test_a_crop_is_torchvisions_of_the_same_box():
    image, view = picture(3, (90, 70)), View(5, 0.2, seed=9)
    rng = transforms.generator(view, 4)
    left, top, right, bottom = transforms.crop_box(90, 70, 0.2, rng)
    want = torchvision.functional.resized_crop(image, top, left, bottom - top, right - left, [32, 32], BICUBIC)
    want = torchvision.functional.hflip(want) if rng.random() < 0.5 else want
    assert (transforms.render(image, SPEC, view, 4) == np.asarray(want)).all()


def test_views_depend_on_seed_row_and_index_only():
    source, alone = Arrays([picture(0), picture(1), picture(0)]), Arrays([picture(0)])
    view = View(3, seed=1)
    a, b = source.pixels([0, 1, 2], SPEC, view), source.pixels([2, 0], SPEC, view)
    assert torch.equal(a[0], b[1]) and torch.equal(a[2], b[0])
    assert torch.equal(a[0], alone.pixels([0], SPEC, view)[0])
    assert not torch.equal(a[0], a[2])  # equal pictures in other rows get their own crops
    others = [View(4, seed=1), View(3, seed=2), View(3, crop_scale=0.9, seed=1)]
    assert all(not torch.equal(a[0], alone.pixels([0], SPEC, v)[0]) for v in others)
    flips = [torch.equal(alone.pixels([0], SPEC, View(i)), alone.pixels([0], SPEC, View(i, flip=False))) for i in range(1, 40)]
    assert 8 < sum(flips) < 32


def test_many_rows_at_once_equal_one_by_one():
    source = Arrays([picture(i) for i in range(13)])
    for view in (View(), View(2), View(2, augmix=True)):
        together = source.pixels(range(13), SPEC, view)
        assert torch.equal(together, torch.cat([source.pixels([i], SPEC, view) for i in range(13)]))


def test_augmix_weights_sum_to_one(monkeypatch):
    monkeypatch.setattr("promptlab.data.augmix.OPERATIONS", (lambda image, rng: image,))
    image = picture(1, (32, 32))
    assert np.allclose(augmix(image, Random(0)), np.asarray(image), atol=1e-3)


def test_augmix_distorts_repeatably():
    images = [augmix(picture(1, (32, 32)), Random(i)) for i in range(20)]
    assert all(i.dtype == np.float32 and i.shape == (32, 32, 3) and i.min() >= 0 and i.max() <= 255.001 for i in images)
    plain = np.asarray(picture(1, (32, 32)), dtype=np.float32)
    assert np.mean([np.abs(i - plain).mean() for i in images]) > 1
    assert (augmix(picture(1, (32, 32)), Random(4)) == images[4]).all()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.__name__)
def test_every_distortion_keeps_size_and_mode(operation):
    for seed in range(5):
        out = operation(picture(2, (40, 24)), Random(seed))
        assert out.size == (40, 24) and out.mode == "RGB"


def test_translations_stay_within_a_thirtieth_of_the_side():
    image = picture(0, (300, 30)).point(lambda v: 255)
    gaps = [int((np.asarray(translate_x(image, Random(i)))[15, :, 0] < 128).sum()) for i in range(50)]
    assert max(gaps) <= 10 and len(set(gaps)) > 3


@pytest.mark.parametrize("distort", [False, True])
def test_views_of_one_picture(distort):
    batch = Batch(Arrays([picture(0), picture(1, (80, 60))]), (1,))
    got = transforms.views(batch, 6, SPEC, seed=3, augmix=distort)
    assert got.shape == (6, 3, 32, 32)
    assert torch.equal(got[:1], batch.pixels(SPEC))
    assert torch.equal(got[4:5], batch.with_view(View(4, seed=3, augmix=distort)).pixels(SPEC))
    assert torch.equal(got, transforms.views(batch, 6, SPEC, seed=3, augmix=distort))
    assert transforms.views(batch, 1, SPEC).shape == (1, 3, 32, 32)


def test_views_of_normalised_pixels_are_cropped_from_them():
    pixels = Arrays([picture(0)]).pixels([0], SPEC)
    got = transforms.views(Batch.of(pixels), 5, SPEC)
    assert torch.equal(got[:1], pixels) and got.shape == (5, 3, 32, 32)
    assert all(not torch.equal(got[0], v) for v in got[1:])
    back = torch.from_numpy(transforms.to_bytes(pixels[0], SPEC)).float()
    assert (back - torch.from_numpy(np.array(transforms.test_view(picture(0), SPEC))).float()).abs().max() <= 1


def test_caching_keys_tell_all_views_apart():
    views = [View(), View(1), View(2), View(1, 0.5), View(1, flip=False), View(1, seed=1), View(1, augmix=True)]
    assert len({v.key for v in views}) == len(views)
    assert View(0, 0.5, False, 3, True).key == View().key  # the plain view has no parameters
