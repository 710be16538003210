"""RandAugment: sixteen distortions of one strength, a function of the generator alone."""

from random import Random

import numpy as np
import pytest
from PIL import Image

from promptlab.data import randaugment as module
from promptlab.data.batch import PixelSpec, View
from promptlab.data.randaugment import OPERATIONS, randaugment
from promptlab.data.transforms import render

PICTURE = Image.fromarray(np.random.RandomState(0).randint(0, 256, (48, 64, 3), dtype=np.uint8))
SPEC = PixelSpec(32, (0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_keep_size_and_mode_and_change_something(operation):
    out = operation(PICTURE, Random(3))
    assert out.size == PICTURE.size and out.mode == "RGB" and len(OPERATIONS) == 16
    plain = Image.fromarray((np.asarray(PICTURE) // 2 + 40).astype(np.uint8))  # no operation leaves a flat range alone
    assert not np.array_equal(np.asarray(operation(plain, Random(3))), np.asarray(plain))


def test_two_operations_with_replacement(monkeypatch):
    monkeypatch.setattr(module, "OPERATIONS", (lambda image, rng: image.rotate(90),))
    assert np.array_equal(np.asarray(randaugment(PICTURE, Random(0))), np.asarray(PICTURE.rotate(90).rotate(90)))


def test_a_view_is_squashed_and_repeatable():
    first, again, other = (render(PICTURE, SPEC, View(i, randaugment=True), 5) for i in (1, 1, 2))
    assert first.shape == (32, 32, 3) and first.dtype == np.uint8 and np.array_equal(first, again)
    assert not np.array_equal(first, other) and View(1, randaugment=True).key != View(1).key
