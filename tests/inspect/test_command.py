"""`promptlab inspect`: what is there, pictures by file ending, errors in one sentence."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from promptlab import api
from promptlab.backbones.load import load
from promptlab.cli import build
from promptlab.inspect import COMPARISONS, EXHIBITS, Exhibit


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    store = tmp_path_factory.mktemp("runs")
    run = api.fit("coop", load("pocket", device="cpu"), "world:animals@pixel-art", shots=1, preset="demo", store=store, steps=2, batch=4,
                  progress=False)
    app, runner = build(), CliRunner()
    return lambda *args: runner.invoke(app, ["inspect", str(store / run.id), *map(str, args)])


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
        (("--what", "evidence"), "looks at a picture"),
        (("--what", "nothing"), "there is no exhibit 'nothing'"),
        (("--what", "transport", "--image", picture), "one prompt per class"),
        (("--what", "evidence", "--image", picture, "--class", "dragonfruit"), "no class 'dragonfruit'"),
        (("--what", "words", "--class", "fox"), "--class goes with"),
        (("--what", "words", "--out", "x.gif"), "x.gif"),
    ):
        got = ask(*args)
        assert got.exit_code == 2 and said in got.stderr and got.stderr.count("\n") == 1, (args, got.stderr)
