"""The pointing game: peaks and boxes by hand; evidence on the shipped backbone against its controls."""

import pytest
import torch

from promptlab.backbones.load import load
from promptlab.bench.insight import inside, pointing, timing


def test_peak_in_a_box():
    heat = torch.zeros(16)
    heat[6] = 1  # row 1, column 2 of 4 x 4: centre (20, 12) of 32
    assert inside(heat, (4, 4), 32, torch.tensor([18, 10, 22, 14]))
    assert not inside(heat, (4, 4), 32, torch.tensor([0, 10, 19, 14]))
    assert not inside(heat, (4, 4), 32, torch.tensor([18, 13, 22, 14]))


@pytest.fixture(scope="module")
def clip():
    return load("pocket", device="cpu")


def test_evidence_points_at_the_thing(clip):
    one, several = (pointing(clip, which, 40) for which in ("one", "several"))
    assert one["evidence"] >= 0.8
    assert several["evidence"] >= max(several["random prompt"], several["raw attention"]) + 0.2


def test_exhibits_are_quick(clip):
    for row in timing(clip, ("coop", "plot", "tip_adapter")):
        assert row["slowest s"] < 3, row
