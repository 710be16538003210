import json

import pytest

import promptlab as pl
from promptlab.compare import Comparison, collapsed, spec
from promptlab.errors import BadData, BadHyper
from promptlab.runs import Run
from tests.test_runs import CLIP, task

ARRAYS = task()


def made(scores, key="coop", seed=1, status="done", classes=4, pictures=100):
    """A run with given headline numbers."""
    protocol = {"headline": "accuracy", "kind": "single", "classes": classes, "pictures": pictures}
    reports = {n: {"metrics": {"accuracy": v, "ece": 0.1}, "seconds": 1.0, "protocol": protocol} for n, v in scores.items()}
    return Run({"id": f"{key}{seed}", "method": key, "seed": seed, "status": status, "hyper": {"seed": seed}, "reports": reports,
                "trainable": 10, "seconds": 2.0, "peak_mb": 3.0, "task": {"name": "t"}, "protocol": "base_to_new",
                "backbone": {"name": "b"}})


def test_methods_are_fitted_once_a_seed(tmp_path):
    found = pl.compare(["zero_shot", "coop:n_ctx=2,steps=4,augment=none", ("taskres", {"steps": 3})], ARRAYS, seeds=(1, 2), clip=CLIP,
                       store=tmp_path, progress=False)
    assert [r["method"] for r in found.rows] == ["zero_shot", "coop:n_ctx=2,steps=4,augment=none", "taskres:steps=3"]
    assert all(r["seeds"] == 2 and 0 <= r["accuracy"] <= 1 and r["accuracy_spread"] >= 0 and r["ece"] is not None for r in found.rows)
    assert found.columns == ("accuracy",) and [r["trainable"] for r in found.rows] == [0, 64, 96]
    assert found.rows[0]["gain"] == 0 and not found.rows[0]["clear"] and found.rows[0]["accuracy_spread"] == 0
    json.dumps(found.to_json(), allow_nan=False)
    html = found._repr_html_()
    assert "taskres" in html and len(found.to_frame()) == 3 and found.table().row_count == 3
    again = pl.compare(["zero_shot"], ARRAYS, seeds=(1, 2), clip=CLIP, store=tmp_path, progress=False)
    assert again.rows[0]["runs"] == found.rows[0]["runs"]


def test_many_seeds_in_one_fit(tmp_path):
    found = pl.fit("coop", CLIP, ARRAYS, seeds=(1, 2, 3), store=tmp_path, progress=False, n_ctx=2, steps=3, augment="none")
    assert isinstance(found, Comparison) and found.rows[0]["seeds"] == 3 and len(found.runs) == 3


def test_a_method_that_cannot_is_named(tmp_path):
    found = pl.compare(["dualcoop", "zero_shot"], ARRAYS, clip=CLIP, store=tmp_path, progress=False)
    assert "dualcoop" in found.errors and len(found.rows) == 1 and "dualcoop was left out" in found.legend


def test_marks_say_which_differences_mean_something():
    runs = [made({"base": 0.5, "new": 0.6}, "zero_shot", s) for s in (1, 2, 3)]
    runs += [made({"base": v, "new": 0.5}, "coop", s) for s, v in zip((1, 2, 3), (0.7, 0.72, 0.74), strict=True)]
    runs += [made({"base": v, "new": 0.5}, "kgcoop", s) for s, v in zip((1, 2, 3), (0.69, 0.71, 0.73), strict=True)]
    runs += [made({"base": v, "new": 0.5}, "vp", s) for s, v in zip((1, 2, 3), (0.4, 0.5, 0.62), strict=True)]
    rows = {r["method"]: r for r in Comparison(tuple(runs)).rows}
    assert rows["coop"]["clear"] and rows["kgcoop"]["clear"] and not rows["vp"]["clear"] and not rows["zero_shot"]["clear"]
    assert rows["kgcoop"]["ties_best"] and not rows["coop"]["ties_best"] and not rows["zero_shot"]["ties_best"]
    assert rows["coop"]["base"] == pytest.approx(0.72) and rows["coop"]["base_spread"] == pytest.approx(0.01633, abs=1e-4)
    assert rows["zero_shot"]["H"] == pytest.approx(2 * 0.5 * 0.6 / 1.1)


def test_collapsed_seeds_are_flagged():
    good = [made({"test": v}, seed=s) for s, v in ((1, 0.8), (2, 0.81), (3, 0.79))]
    assert collapsed(good) == []
    assert collapsed([*good, made({"test": 0.4}, seed=4)]) == [4]
    assert collapsed([*good, made({"test": 0.8}, seed=5, status="collapsed")]) == [5]
    assert collapsed([made({"test": 0.05}, seed=6)]) == [6]  # below chance of 4 classes


def test_closed_methods_have_no_new_column():
    runs = (made({"base": 0.5, "new": 0.6}, "zero_shot"), made({"base": 0.7}, "taskres"))
    found = Comparison(runs)
    assert found.columns == ("base", "new", "H") and found.rows[1]["new"] is None and found.cells()[1][1][2] == "-"


def test_specs_are_read_and_refused():
    cls, label, own = spec("coop:n-ctx=2,ctx_init=none,class_specific=true")
    assert own == {"n_ctx": 2, "ctx_init": None, "class_specific": True} and cls.card.id == "coop" and label.startswith("coop:")
    with pytest.raises(BadHyper, match="no hyper-parameter"):
        spec("coop:nope=2")
    with pytest.raises(BadData, match="clip="):
        pl.compare(["coop"], ARRAYS)
