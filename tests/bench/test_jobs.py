"""Jobs, steps and the base/new table: what the rows hold and how they are printed."""

import json

import pytest

from promptlab.backbones.load import load
from promptlab.bench import jobs, tables
from promptlab.card import Job
from promptlab.errors import BadData
from promptlab.runs import RunStore


@pytest.fixture(scope="module")
def pocket():
    return load("pocket", device="cpu")


@pytest.fixture(scope="module")
def row(pocket, tmp_path_factory):
    return jobs.job_row("tip_adapter", pocket, (1, 2), RunStore(tmp_path_factory.mktemp("runs")))


@pytest.mark.slow
def test_a_job_compares_on_the_same_draws(row):
    assert row["against"] == "zero_shot" and len(row["ours_values"]) == len(row["baseline_values"]) == 2
    assert row["gain"] == pytest.approx(row["ours"] - row["baseline"])
    assert row["clear"] == (row["gain"] > max(row["ours_spread"], row["baseline_spread"]))
    assert row["baseline_spread"] == 0.0  # zero-shot does not depend on the draw


@pytest.mark.slow
def test_cells_have_the_columns(row):
    assert len(jobs.job_cells(row)) == len(jobs.JOB_COLUMNS)
    assert jobs.job_cells(row)[0].startswith("tip_adapter")


@pytest.mark.slow
def test_a_score_that_the_protocol_lacks_is_one_sentence(row):
    class Run:
        key, reports, summary = "coop", {}, {"scores": {"base": 0.5}}

    with pytest.raises(BadData, match="judged by 'new'"):
        jobs._score(Job(test="new"), Run())


def test_keep_replaces_the_row_of_the_same_method(tmp_path):
    path = tmp_path / "measured.json"
    for gain in (0.1, 0.2):
        jobs.keep(path, "jobs", {"method": "coop", "gain": gain})
    jobs.keep(path, "jobs", {"method": "a", "gain": 0.0})
    assert json.loads(path.read_text())["jobs"] == [{"method": "a", "gain": 0.0}, {"method": "coop", "gain": 0.2}]


@pytest.mark.slow
def test_step_is_timed_and_plain_costs_more():
    fast = jobs.step_cell("kgcoop", "fast")
    assert fast["what"] == "step" and fast["seconds"] > 0 and fast["trainable"] == 2048
    answer = jobs.step_cell("zero_shot", "fast")
    assert answer["what"] == "answer" and answer["peak_gb"] > 0.5
    text = jobs.step_cells({"method": "kgcoop", "what": "step", "fast": fast, "plain": {**fast, "seconds": 3 * fast["seconds"]}})
    assert text[4] == "3.0x" and len(text) == len(jobs.STEP_COLUMNS)


@pytest.mark.slow
def test_a_failed_step_says_why():
    found = jobs.step_cell("no_such_method", "fast")
    assert found["seconds"] is None and "no_such_method" in found["why"]


def test_base_new_table_means_over_tasks():
    rows = [{"task": t, "method": m, "values": {"base": [b, b + 0.02], "new": [0.5, 0.5], "H": [0, 0]}}
            for t, b in (("world:a@x", 0.6), ("world:b@x", 0.8)) for m in ("coop", "kgcoop")]
    lines = tables.base_new_table(rows[:-1]).splitlines()
    assert lines[0] == "| method | a@x | b@x | mean base | mean new | H |"
    assert "| coop | 61.0 / 50.0 | 81.0 / 50.0 | 71.0 ± 1.0 | 50.0 ± 0.0 | 58.7 |" in lines
    assert any(line.startswith("| kgcoop | 61.0 / 50.0 | - | - |") for line in lines)


@pytest.mark.slow
def test_render_fills_all_three(row):
    page = "\n".join(f"<!-- {n}:begin -->\n<!-- {n}:end -->" for n in ("jobs", "steps", "base-new"))
    text = tables.render(page, {"jobs": [row]})
    assert "tip_adapter" in text and text.count(":begin") == 3
