"""`promptlab inspect`: what is there, pictures by file ending, errors in one sentence."""

import json
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from promptlab import api, registry
from promptlab.backbones.load import load
from promptlab.cli import build
from promptlab.inspect import COMPARISONS, EXHIBITS, Exhibit
from promptlab.runs import RunStore


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(store):
    return api.fit("coop", load("pocket", device="cpu"), "world:animals@pixel-art", shots=1, preset="demo", store=store, steps=2, batch=4,
                   progress=False)


@pytest.fixture(scope="module")
def ask(store, run):
    app, runner = build(), CliRunner()
    return lambda *args: runner.invoke(app, ["inspect", str(store / run.id), "--store", str(store), *map(str, args)])


@pytest.fixture
def picture(tmp_path):
    Image.fromarray(np.full((64, 64, 3), 120, np.uint8)).save(tmp_path / "x.png")
    return tmp_path / "x.png"


def test_list(ask):
    rows = json.loads(ask("--json").stdout)
    assert {r["what"] for r in rows} == {*EXHIBITS, *COMPARISONS, "replay"}
    there = {r["what"] for r in rows if r["available"]}
    assert {"shift", "evidence", "words", "curves", "attention"} <= there and "transport" not in there


@pytest.mark.parametrize("what", ["evidence", "shift", "words"])
def test_files(ask, picture, what):
    for ending in ("html", "png", "json"):
        out = picture.with_name(f"{what}.{ending}")
        assert ask("--what", what, "--image", picture, "--out", out).exit_code == 0
        assert out.stat().st_size > 1000
    assert Exhibit.from_json(out.read_text(encoding="utf-8")).title
    assert "<script src" not in out.with_suffix(".html").read_text(encoding="utf-8")


def test_errors(ask, picture):
    for args, said in (
        (("--what", "nothing"), "there is no exhibit 'nothing'"),
        (("--what", "transport", "--image", picture), "one prompt per class"),
        (("--what", "evidence", "--image", picture, "--class", "dragonfruit"), "no class 'dragonfruit'"),
        (("--what", "words", "--class", "fox"), "--class goes with"),
        (("--what", "words", "--out", "x.gif"), "x.gif"),
        (("--what", "words", "--epochs", "0,1"), "--epochs goes with"),
        (("--what", "disagreement"), "two or more"),
        (("--what", "live", "--split", "support"), "its live knobs are none"),
        (("--what", "replay", "--of", "words", "--epochs", "0,7"), "after epoch 7; it kept 0, 1"),
        (("--what", "words", "--split", "nowhere"), "--split takes"),
        (("--what", "words", "--split", "test", "--data", "world:food@photo"), "other classes"),
    ):
        got = ask(*args)
        assert got.exit_code == 2 and said in got.stderr and got.stderr.count("\n") == 1, (args, got.stderr)


def test_whoever_names_no_picture_sees_held_out_ones(ask, store):
    own = json.loads(ask("--what", "evidence", "--json").stdout)
    assert own["sanity"] == json.loads(ask("--what", "evidence", "--split", "val", "--json").stdout)["sanity"]
    options = {"shots": 1, "preset": "demo", "store": store, "steps": 1, "progress": False}
    half = api.fit("taskres", load("pocket", device="cpu"), "world:food@sketch", protocol="base_to_new", **options)
    got = CliRunner().invoke(build(), ["inspect", half.id, "--store", str(store), "--what", "shift", "--json"])
    assert got.exit_code == 0 and len(Exhibit.from_json(got.stdout).arrays["image_shift"]) > 1, got.output


def test_pictures_that_cannot_be_found_again_are_asked_for(store, tmp_path):
    for name in ("red", "blue"):
        (tmp_path / "shots" / name).mkdir(parents=True)
        for i in range(2):
            Image.fromarray(np.full((64, 64, 3), (i, 90, 200), np.uint8)).save(tmp_path / "shots" / name / f"{i}.png")
    options = {"shots": 1, "preset": "demo", "store": store, "steps": 1, "progress": False}
    lone = api.fit("taskres", load("pocket", device="cpu"), tmp_path / "shots", **options)
    got = CliRunner().invoke(build(), ["inspect", lone.id, "--store", str(store), "--what", "evidence"])
    assert got.exit_code == 2 and "--data, or pictures with --image" in got.stderr and got.stderr.count("\n") == 1


def test_words_in_place_of_the_vectors(ask):
    checks = {s[0]: s for s in json.loads(ask("--what", "words", "--split", "support", "--json").stdout)["sanity"]}
    name, replaced, kept = checks["accuracy with the nearest words in place of the vectors"]
    assert 0 <= replaced <= 1 and 0 < kept <= 1


def test_epochs(ask, picture, run):
    assert run.epochs == [0, 1]
    drift = Exhibit.from_json(ask("--what", "drift", "--json").stdout)
    start, end = drift.arrays["distance"]
    assert len(start) == 16 and (start == 0).all() and (end > 0).all()
    assert "id" in drift.arrays and np.allclose(drift.arrays["cosine"][0], 1, atol=1e-6)
    for of, more in (("words", ()), ("evidence", ("--image", picture)), ("shift", ("--split", "support"))):
        out = picture.with_name(f"{of}.html")
        got = ask("--what", "replay", "--of", of, *more, "--out", out)
        assert got.exit_code == 0, got.stderr
        assert "animate" in out.read_text(encoding="utf-8")
    frames = Exhibit.from_json(ask("--what", "replay", "--of", "shift", "--split", "support", "--json").stdout).frames()
    assert frames[0].settings["axes"] == frames[1].settings["axes"]  # one projection
    assert frames[0].settings["text_shift"] != frames[1].settings["text_shift"]


@pytest.mark.slow
def test_runs_beside_each_other(ask, store, run, tmp_path):
    gain = Exhibit.from_json(ask("--what", "gain", "--json").stdout)  # zero-shot on the same pictures is fitted, then found
    (plain,) = RunStore(store).find(method="zero_shot")
    mine, theirs = run.report.metrics["per_class"], plain.report.metrics["per_class"]
    assert np.allclose(gain.arrays["gain"], [mine[n] - theirs[n] for n in gain.labels["class"]], atol=1e-6)
    for what in COMPARISONS:
        got = ask(store / plain.id, "--what", what, "--out", tmp_path / f"{what}.png")
        assert got.exit_code == 0, got.stderr
    both = Exhibit.from_json(ask(store / plain.id, "--what", "reliability", "--json").stdout)
    assert np.allclose(both.arrays["ece"], [run.report.metrics["ece"], plain.report.metrics["ece"]], atol=1e-4)
    counts = Exhibit.from_json(ask("--what", "confusion", "--json").stdout).arrays["counts"]
    assert counts.trace() / counts.sum() == pytest.approx(run.report.headline, abs=1e-6)
    before = ask("--what", "shift", "--split", "support", "--against", store / plain.id, "--json")
    assert Exhibit.from_json(before.stdout).settings["before"] == registry.card("zero_shot").name


def test_umap_is_asked_for_in_one_sentence(ask, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    got = ask("--what", "shift", "--split", "support", "--space", "umap")
    assert got.exit_code == 2 and "umap-learn, which is not installed" in got.stderr and got.stderr.count("\n") == 1
