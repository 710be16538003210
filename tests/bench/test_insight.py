"""The pointing game: peaks and boxes by hand; evidence on the shipped backbone against its controls."""

import pytest
import torch

from promptlab.backbones.load import load
from promptlab.bench.insight import inside, pointing, timing, yield_cells, yields
from promptlab.bench.sights import SETS, sights
from promptlab.world import task_spec


def test_peak_in_a_box():
    heat = torch.zeros(16)
    heat[6] = 1  # row 1, column 2 of 4 x 4: centre (20, 12) of 32
    assert inside(heat, (4, 4), 32, torch.tensor([18, 10, 22, 14]))
    assert not inside(heat, (4, 4), 32, torch.tensor([0, 10, 19, 14]))
    assert not inside(heat, (4, 4), 32, torch.tensor([18, 13, 22, 14]))


@pytest.fixture(scope="module")
def clip():
    return load("pocket", device="cpu")


@pytest.mark.slow
def test_evidence_points_at_the_thing(clip):
    one, small, several = (pointing(clip, which, 40) for which in ("one", "small", "several"))
    assert one["evidence"] >= 0.8 and small["evidence"] >= 0.8 and small["chance"] < 0.12
    assert all(row["deletion"] < row["deletion, random"] for row in (small, several))
    assert several["evidence"] >= max(several["random prompt"], several["raw attention"]) + 0.2


@pytest.mark.slow
def test_evidence_tells_the_thing_from_decoys(clip):
    row = pointing(clip, "decoys", 150)
    assert row["maps"] >= 10 and row["evidence"] >= 0.8
    assert row["evidence"] >= max(row["random prompt"], row["raw attention"]) + 0.1


def test_decoys_leave_one_thing():
    seen, spec = sights("decoys", "test", 12, 64), task_spec(SETS["decoys"])
    whole = spec.render("test", range(12), 64)
    assert seen.asked and all(len(whole.names[b]) > 1 and whole.names[b][0] == spec.classes[c] for b, c, _ in seen.asked)
    for b, _, box in seen.asked:
        left, top, right, bottom = box.int().tolist()
        mask = whole.mask[b, 0, top:bottom, left:right]
        same = (seen.pixels[b] == whole.pixels[b]).all(0)[top:bottom, left:right]
        assert float(same[mask].float().mean()) > 0.9 and not torch.equal(seen.pixels[b], whole.pixels[b])


def test_exhibits_are_quick_and_complete(clip):
    rows = yields(clip, ("coop", "plot", "tip_adapter"))
    for row in timing(clip, rows=rows):
        assert row["slowest s"] < 3, row
    assert all(not r["missing"] and r["exposes"] for r in rows)
    assert yield_cells(rows[0])[:2] == ("coop", "words")
