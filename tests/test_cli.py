"""The command line: help everywhere, JSON, exit codes, one sentence for bad input; real fits on the world with pocket."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from promptlab import registry
from promptlab.card import knobs
from promptlab.cli import build
from promptlab.cli.common import whole_numbers
from promptlab.cli.train import FIXED, final_line
from promptlab.data.sources import open_data
from promptlab.scale import Grid, summarise

COMMANDS = ("app", "methods", "doctor", "world", "fit", "compare", "sweep", "evaluate", "predict", "inspect", "pretrain", "bench")
TINY = ("--data", "world:vehicles@night", "--shots", "1")


def call(*argv: str, code: int = 0):
    """Run a command in this process; its result."""
    found = CliRunner().invoke(build(argv), list(argv), terminal_width=200)
    assert found.exit_code == code, (found.output, found.exception)
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    assert "Usage" in call(command, "--help").output


def test_every_command_is_listed():
    listed = call("--help").output
    assert all(command in listed for command in COMMANDS)


@pytest.mark.parametrize("key", registry.ids())
def test_fit_has_a_flag_for_every_knob(key):
    text = call("fit", key, "--help").output
    cls = registry.get(key)
    assert all(f"--{name.replace('_', '-')}" in text for name in knobs(cls.Hyper))
    assert set(knobs(cls.Hyper)) & set(FIXED) <= {"seed"}


def test_methods_as_json():
    cards = json.loads(call("methods", "--json").output)
    assert {c["id"] for c in cards} == set(registry.ids())
    one = json.loads(call("methods", "coop", "--json").output)
    assert one["knobs"][0]["name"] == "n_ctx"


def test_doctor():
    found = json.loads(call("doctor", "--json").output)
    assert found["healthy"] and any(f["what"] == "used by default" for f in found["findings"])
    assert "what to do" in call("doctor").output


def test_world_lists_and_draws(tmp_path):
    assert "animals" in call("world").output
    out = tmp_path / "sheet.png"
    info = json.loads(call("world", "animals@sketch", "--out", str(out), "--count", "8", "--json").output)
    assert info["style"] == "sketch" and out.stat().st_size > 1000


@pytest.mark.parametrize(("task", "kind"), [("vehicles@night", "single"), ("scenes@photo", "multi"), ("scenes-masks@photo", "dense")])
def test_world_renders_a_task_that_data_reads_again(tmp_path, task, kind):
    folder = tmp_path / "drawn"
    info = json.loads(call("world", task, "--render", str(folder), "--each", "2", "--json").output)
    world, again = open_data(f"world:{task}"), open_data(folder)
    assert again.kind == kind and not again.report.problems
    sizes = [len(s) for s in (again.train, again.val, again.test)]
    assert sum(sizes) == info["written"] and min(sizes) >= 2 * len(world.classes)
    order = [again.classes.names.index(n) for n in world.classes.names]
    assert sorted(order) == list(range(len(order)))
    if kind == "multi":
        assert torch.equal(again.test.targets[:, order], world.test.targets[:sizes[2]])
    if kind == "dense":
        assert torch.equal(again.test.targets[:, ::2, ::2], world.test.targets[:sizes[2]])  # masks of 64 and 128 px
    assert "not an empty folder" in call("world", task, "--render", str(folder), code=2).stderr


@pytest.mark.parametrize(("argv", "words"), [
    (("fit", "coop", "--data", "nowhere"), "does not exist"),
    (("fit", "coop", *TINY, "--n-ctx", "0"), "n_ctx of coop must be an int in [1, 64]; got 0"),
    (("fit", "coop", *TINY, "--preset", "nice"), "no preset 'nice'"),
    (("fit", "coop", "--data", "world:animals@oil"), "oil"),
    (("fit", "coop", *TINY, "--backbone", "ViT-Q-1"), "ViT-Q-1"),
    (("compare", "coop", "--data", "world:animals@night", "--seeds", "one"), "whole numbers"),
    (("compare", "cop", "--data", "world:animals@night"), "did you mean"),
    (("evaluate", "abc", *TINY[:2]), "abc"),
    (("methods", "cop"), "did you mean"),
    (("world", "nothing@night"), "nothing"),
    (("pretrain", "--out", "x"), "--minutes or --steps"),
    (("bench", "speed", "--methods", "vp"), "takes coop and cocoop"),
])
def test_bad_input_is_one_sentence_and_exit_code_2(argv, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = call(*argv, code=2)
    last = found.stderr.strip().splitlines()[-1]
    assert words in last and "Traceback" not in found.output


def test_an_unknown_method_of_fit_is_refused():
    assert "cop" in call("fit", "cop", *TINY, code=2).stderr


def test_fit_evaluate_predict(tmp_path):
    runs, file = tmp_path / "runs", tmp_path / "t.plab"
    fast = ("--steps", "2", "--augment", "none")
    said = json.loads(call("fit", "taskres", *TINY, *fast, "--out", str(runs), "--save", str(file), "--json").stdout)
    assert said["preset"] == "demo" and 0 <= said["scores"]["test"] <= 1 and said["zero_shot"]["test"] > 0
    assert (runs / said["id"] / "state.safetensors").is_file()
    again = json.loads(call("evaluate", str(file), "--data", "world:vehicles@night", "--json").stdout)
    assert again["metrics"]["accuracy"] == pytest.approx(said["scores"]["test"])
    sheet = tmp_path / "a.png"
    call("world", "vehicles@night", "--out", str(sheet), "--count", "1")
    answer = json.loads(call("predict", said["id"], str(sheet), "--out", str(runs), "--top", "3", "--json").stdout)
    assert len(answer[0]["answer"]) == 3


@pytest.mark.slow
def test_compare_puts_zero_shot_beside_the_methods(tmp_path):
    argv = ("compare", "taskres:steps=2,augment=none", *TINY, "--protocol", "few_shot", "--seeds", "1,2", "--out", str(tmp_path), "--json")
    found = json.loads(call(*argv).stdout)
    assert [r["method"].split(":")[0] for r in found["rows"]] == ["zero_shot", "taskres"]
    assert found["rows"][1]["seeds"] == 2 and found["rows"][1]["trainable"] > 0


@pytest.mark.slow
def test_sweep_summarises_over_seeds(tmp_path):
    found = json.loads(call("sweep", "zero_shot", *TINY[:2], "--shots", "1", "--seeds", "1,2", "--out", str(tmp_path), "--json").stdout)
    assert len(found["rows"]) == 2 and found["summary"][0]["seeds"] == 2


@pytest.mark.slow
def test_pretrain_takes_steps(tmp_path):
    lines = call("pretrain", "--out", str(tmp_path), "--steps", "1", "--json").stdout.strip().splitlines()
    assert {json.loads(line)["kind"] for line in lines} >= {"saved", "zero_shot"}


def test_grid_and_summary():
    grid = Grid(("a", "b"), ("x",), (1, 2), (1, 2, 3))
    assert len(grid) == len(list(grid.cells())) == 12
    rows = [{"data": "x", "shots": 1, "method": "a", "scores": {"test": v}, "seconds": 1.0, "error": None} for v in (0.4, 0.6)]
    assert summarise([*rows, {**rows[0], "error": "no"}])[0]["scores"]["test"] == pytest.approx(0.5)


def test_final_line():
    summary = {"method": "coop", "status": "done", "scores": {"base": 0.9, "new": 0.5}, "trainable": 768, "seconds": 3.21, "id": "abc"}
    assert final_line(summary, {"base": 0.8}) == "coop: base 90.0 % (zero-shot 80.0 %), new 50.0 % · 768 trainable · 3.2 s · run abc"


def test_whole_numbers():
    assert whole_numbers("--seeds", "1, 2,3") == (1, 2, 3)


def test_the_installed_command_needs_no_heavy_import_to_help():
    program = ("import sys; from promptlab.cli import build; build(['--help']); "
               "sys.exit(any(m in sys.modules for m in ('torch', 'gradio', 'open_clip')))")
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[1], timeout=60).returncode == 0
