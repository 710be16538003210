"""bench speed: the plain and the fast step are the same step, and the table says what was measured."""

import numpy as np
import open_clip
import pytest
import torch

from promptlab.backbones.checkpoint import Found
from promptlab.bench import cell, speed
from tests.backbones.models import vit


@pytest.fixture
def small(monkeypatch):
    model = vit(text={"context_length": 77})
    monkeypatch.setattr(cell, "find", lambda name, pretrained: Found(model, open_clip.SimpleTokenizer(), {}))


@pytest.mark.parametrize("method", ["coop", "cocoop"])
def test_plain_and_fast_are_the_same_step(small, method):
    steps = {how: cell.Bench(method, 5, "cpu", "float32").step(how, 2) for how in ("plain", "encoded", "cached")}
    loss, gradient = steps["plain"]
    assert float(gradient.abs().max()) > 0
    for how in ("encoded", "cached"):
        assert steps[how][0] == pytest.approx(loss, rel=1e-5)
        assert float((steps[how][1] - gradient).abs().max()) <= 1e-4 * float(gradient.abs().max())


@pytest.mark.parametrize("method", ["coop", "cocoop"])
def test_needed_multiply_adds_are_what_torch_counts(small, method):
    """The counter of torch sees the matrix products of a step (not the CPU's fused attention); ours counts real tokens only."""
    from torch.utils.flop_counter import FlopCounterMode

    b = cell.Bench(method, 40, "cpu", "float32")
    b.step("cached", b.batch)
    with FlopCounterMode(display=False) as counter:
        b.step("cached", b.batch)
    assert 0.85 < cell.needed_macs(b, attention=False) / (counter.get_total_flops() / 2) <= 1.01


def test_rows(monkeypatch):
    def run(spec, threads):
        np.savez(spec["out"], loss=2.0, gradient=np.ones(3), text=np.ones((2, 2)))
        batch = {"coop": 32, "cocoop": 4}[spec["method"]]
        return {"dtype": "float32", **spec, "images": spec.get("images", batch), "batch": batch, "cpu_seconds": 1.0,
                "gemm_macs": 1e9,
                "gemm_cpu_macs": 1e9, "seconds": 8.0 if spec["how"] == "plain" else 1.0, "needed_macs": 5e8, "peak_bytes": 1e9}

    monkeypatch.setattr(speed, "run", run)
    rows = list(speed.speed("cpu", (10, 1000)))
    assert [r["how"] for r in rows if r["method"] == "coop" and r["k"] == 10] == ["plain", "encoded", "cached", "cached"]
    assert not any(r["how"] == "plain" and r["k"] == 1000 for r in rows)
    last = [r for r in rows if r["method"] == "cocoop" and r["k"] == 10][-1]
    assert last["ratio"] == 32 and last["share"] == 0.5 and last["gradient_diff"] == 0
    assert all(len(speed.cells_of(r)) == len(speed.COLUMNS) for r in rows)
    assert torch.is_grad_enabled()
