"""What the screens do, without gradio: every verb on a tiny backbone, every sentence of an empty state and of an error."""

import json
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from promptlab import registry
from promptlab.card import SUPERVISION, Train, knobs
from promptlab.errors import BackboneLacks, BadData, BadHyper
from promptlab.ui import controls, core, estimate, says
from promptlab.ui.handlers import acts, atlas, checks, compare, frame, inspect, learn, machine, replay, rows, share, shots, train, zero
from promptlab.ui.out import classifier, code
from tests.faults import memory_ends
from tests.ui.conftest import FAST, picture


def finish(session, seconds=60):
    """Wait until the lane has nothing left for this session."""
    for ticket in session.open:
        assert session.jobs.wait(ticket.id, seconds).done.is_set()
    session.collect()
    return session


def fitted(session, *methods):
    for method in methods:
        session.knobs[method] = dict(FAST)
    train.start(session, methods=methods)
    return finish(session)


def text(html):
    return " ".join(re.sub("<[^>]+>", " ", html).split())


def test_every_screen_has_an_empty_state(session):
    found = {
        "zero": zero.show(session)["zero_said"],
        "train": train.show(session)["methods"],
        "compare": compare.show(session)["compare_table"],
        "inspect": inspect.show(session)["inspect_said"],
        "share": share.show(session)["try_said"],
        "shots": shots.show(session)["board"],
    }
    assert says.NO_SHOTS in found["shots"] and "data-act" in found["shots"]
    for html in found.values():
        assert html.count("<button") == 1 and ("No pictures yet" in html or says.GATE in html)
    assert train.show(session)["go_train"]["interactive"] is False and frame.words(session) == says.IDLE


def test_all_methods_come_from_their_cards():
    found = [c for _, cards in controls.groups() for c in cards]
    assert {c.id for c in found} == {k for k in registry.ids() if k != "zero_shot"}
    families, supervision = controls.filters()
    assert [f for f, _ in controls.groups()] == families and set(supervision) <= set(SUPERVISION)
    for s in supervision:
        assert all(c.supervision == s for _, cards in controls.groups([], [s]) for c in cards)
    assert [c.id for _, cards in controls.groups(search="tip-adapter") for c in cards][:1] == ["tip_adapter"]
    for c in found:
        known = knobs(registry.get(c.id).Hyper)
        own = controls.controls(c.id)
        assert {x.name for x in own} == set(known) - {"seed"} and all(x.training == (x.name in knobs(Train)) for x in own)
        core.cleaned(c.id, {x.name: x.value for x in own})


def test_a_method_that_does_not_fit_says_why(ready):
    html = train.cards(ready)
    assert "DualCoOp is for multi tasks" in html
    tower = re.search(r'data-method="dualcoop"[^>]*', html).group(0)
    assert "disabled" in tower
    card = registry.card("maple")
    weak = type("Weak", (), {"offers": frozenset({"text"}), "name": "RN50"})()
    assert "which the backbone RN50 does not offer" in controls.lacks(card, weak, "single", 4)
    assert "learns from labelled shots and there are none" in controls.lacks(registry.card("coop"), ready.zero.method.backbone, "single", 0)


def test_sample_to_trained_methods(ready):
    assert ready.chosen == ["coop", "tip_adapter"]
    fitted(ready, "coop", "taskres")
    assert [r.key for r in ready.runs] == ["coop", "taskres"] and not ready.open
    view = train.live(ready)
    assert "vs zero-shot" in view["train_done"] and "Run 3 seeds" in view["train_done"]
    assert [t["name"] for t in view["curves"]["data"] if t.get("showlegend", True)] == ["CoOp", "TaskRes"]
    assert ready.tickets[0].given["live"].steps == [1, 2, 3, 4]
    assert "CoOp" in frame.runs(ready) and "TaskRes" in rows.overview(ready)


def test_an_equal_request_is_not_fitted_twice(ready):
    fitted(ready, "taskres")
    fitted(ready, "taskres")
    assert len(ready.tickets) == 1


@pytest.mark.parametrize(
    ("key", "values", "words"),
    [("coop", {"n_ctx": 0}, "n_ctx of coop must be an int in [1, 64]"), ("tip_adapter", {"alpha": "much"}, "alpha must be a number")],
)
def test_a_bad_value_is_one_sentence(ready, key, values, words):
    ready.knobs[key] = values
    with pytest.raises(BadHyper, match=re.escape(words)):
        train.start(ready, methods=[key])
    view = train.knob(ready, key, *next(iter(values.items())))
    assert words in view["train_done"] and view["go_train"]["interactive"] is False and not ready.tickets


def test_stop_keeps_what_was_learned(ready):
    ready.knobs["coop"] = {"steps": 100_000, "batch": 8}
    train.start(ready, methods=["coop"])
    job = ready.jobs.job(ready.open[0].id)
    while not job.live.steps:
        job.done.wait(0.05)
    train.stop(ready)
    assert "stopping after this step" in train.progress(ready) or job.done.is_set()
    finish(ready)
    assert ready.runs[0].status == "stopped" and "what was learned so far is kept" in train.done(ready)
    assert ready.runs[0].predict(share.surprise(ready))


def test_out_of_memory_and_bugs_are_sentences(ready, monkeypatch):
    from promptlab.methods.taskres import TaskRes

    def fail(self, out, batch):
        raise RuntimeError("CUDA out of memory. Tried to allocate")

    monkeypatch.setattr(TaskRes, "loss", fail)
    fitted(ready, "taskres")
    assert "ran out of memory; try a smaller batch" in train.done(ready) and "ran out of memory" in frame.status(ready)
    acts.press(ready, {"act": "dismiss"})
    assert "ran out of memory" not in frame.status(ready)


def test_memory_that_ends_during_a_fit_leaves_a_run(ready, monkeypatch):
    from promptlab.methods.taskres import TaskRes

    memory_ends(monkeypatch, TaskRes, 3)
    fitted(ready, "taskres")
    assert "memory ended; what was learned so far is kept" in train.done(ready) and "(memory ended)" in frame.runs(ready)


def test_what_happens_when_two_sessions_train(sessions, ready):
    other = sessions.get(sessions.new())
    shots.sample(other, "Vehicles, blurry", 1)
    for s in (ready, other):
        s.knobs["coop"] = {"steps": 100_000, "batch": 8}
        train.start(s, methods=["coop"])
    assert ready.jobs.job(ready.open[0].id).status in ("waiting", "running")
    assert "1 person before you" in frame.words(other) and "Stop works while you wait" in train.progress(other)
    train.stop(other)
    finish(other)
    assert other.tickets[0].error == says.STOPPED_EARLY and not other.runs and other.failed == ""
    train.stop(ready)
    finish(ready)
    assert len(ready.runs) == 1 and ready.open == []


def test_three_seeds_and_the_badge(ready):
    fitted(ready, "taskres")
    found = rows.groups(ready)
    assert rows.tells(found[1], found[0]) in ("", "one seed, within chance")
    train.three(ready)
    finish(ready)
    by = {r["key"]: r for r in rows.groups(ready)}
    assert len(by["taskres"]["mine"]) == 3 and len(by["zero_shot"]["mine"]) == 3
    flat = {"accuracy": 0.5, "spread": 0.1, "mine": [1, 2, 3]}
    assert rows.tells({**flat, "accuracy": 0.55}, flat) == "within seed noise" and rows.tells({**flat, "accuracy": 0.9}, flat) == ""


def test_compare_sorts_pins_and_shows_only_what_differs(ready):
    fitted(ready, "coop", "taskres")
    assert says.ONE_RUN not in compare.show(ready)["compare_next"]
    acts.press(ready, {"act": "pin", "run": ready.runs[1].id})
    assert text(rows.overview(ready)).split("seeds")[1].strip().startswith("TaskRes")
    acts.press(ready, {"act": "sort", "by": "trainable"})
    assert "trainable ↓" in rows.overview(ready)
    assert "seeds" not in text(rows.diff_only(ready, True)["compare_table"]).split("method")[1].split("CoOp")[0]
    acts.press(ready, {"act": "forget", "run": ready.runs[0].id})
    assert len(ready.runs) == 1 and says.ONE_RUN in compare.show(ready)["compare_next"]


def test_a_cell_of_the_matrix_shows_its_pictures(ready):
    fitted(ready, "taskres")
    compare.show(ready)
    _, answer, target = core.answers_of(ready.runs[0])
    view = compare.cell(ready, "a", int(target[0]), int(answer[0]))
    assert view["cell"].count("data-index") == int(((target == target[0]) & (answer == answer[0])).sum())
    names = ready.data.names
    twin = compare.cell_by_name(ready, "a", names[int(target[0])], names[int(answer[0])])
    assert twin == view
    with pytest.raises(BadData, match="not in the matrix"):
        compare.cell(ready, "a", 10_000, 0)


def test_disagreement_needs_the_same_pictures(ready):
    fitted(ready, "taskres")
    html = compare.pair(ready, ready.runs[0].id, "zero")["disagree"]
    assert "TaskRes right, Zero-shot CLIP wrong" in html
    assert "two different runs" in compare.pair(ready, "zero", "zero")["disagree"]


def test_checks_on_request(ready):
    fitted(ready, "coop")
    checks.novel(ready, "coop")
    checks.shots_curve(ready, "coop")
    finish(ready)
    assert "CoOp" in checks._novel(ready) and len(checks._shots(ready)["data"]) == 2
    assert len(ready.runs) == 1  # the checks stay out of the table
    with pytest.raises(BadData, match="choose a method"):
        checks.novel(ready, None)


def test_inspect_lenses(ready):
    fitted(ready, "coop", "taskres")
    inspect.run(ready, ready.runs[0].id)
    seen = {name: inspect.lens(ready, name) for name in inspect.LENSES}
    assert "map leaves" in seen["evidence"]["evidence"] and "data-split" in seen["evidence"]["evidence"]
    assert "null band" in seen["prompt"]["words_said"] and seen["prompt"]["words"]["data"]
    assert any(t.get("customdata") for t in seen["map"]["map"]["data"])
    assert seen["replay"]["replay_at"]["maximum"] >= 2 and "After epoch" in seen["replay"]["replay_said"]
    assert replay.drift(ready.runs[0])["data"]
    assert seen["more"]["exhibit"]["choices"]
    inspect.run(ready, ready.runs[1].id)
    assert says.NO_WORDS.format("TaskRes") in inspect.lens(ready, "prompt")["words_said"]


def test_lasso_selects_and_steps_go_through_the_selection(ready):
    fitted(ready, "taskres")
    rows = list(ready.data.test.rows[3:6])
    view = inspect.lasso(ready, [*rows, 10**9, "x"])
    assert ready.view["lasso"] == rows and "3 pictures selected" in view["map_picked"]
    inspect.lens(ready, "more")
    inspect.pick(ready, rows[0])
    inspect.step(ready, 1)
    assert ready.view["row"] == rows[1]
    name = ready.data.names[0]
    inspect.lasso_class(ready, name)
    assert {int(c) for r, c in zip(ready.data.test.rows, ready.data.test.targets.tolist()) if r in ready.view["lasso"]} == {0}


def test_a_map_of_few_points_is_a_list(ready):
    import dataclasses

    test = ready.data.tests[0]
    ready.data.tests = (dataclasses.replace(test, split=test.split.take(range(3))),)
    view = atlas.show(ready, ready.zero)
    assert view["map"] is None and says.FEW_POINTS.format(3) in view["map_said"]


def test_playground_answers_any_names(ready):
    view = zero.play(ready, "cat, dog, <b>x</b>", "a drawing of a {}.")
    assert "ms" in view["zero_picture"] and "<b>x" not in json.dumps(view["zero_bars"])
    with pytest.raises(BadData, match="two names"):
        zero.play(ready, "cat", "")
    with pytest.raises(BadData, match="exactly once"):
        zero.sentences(ready, "", "no place")
    zero.sentences(ready, "7 sentences", "")
    assert ready.zero.meta["hyper"]["templates"] == "ensemble7"


def test_try_add_and_train_again(ready, tmp_path):
    fitted(ready, "taskres")
    path = str(picture(tmp_path / "new.png", 5))
    view = share.predict(ready, path)
    assert [t["name"] for t in view["try_bars"]["data"]] == ["zero-shot", "TaskRes"] and "ms" in view["try_table"]
    closed = share.predict(ready, path, "apple, pear")["try_table"]
    assert "cannot answer for others" in closed
    before = len(ready.data.episode.support)
    share.add(ready, path, ready.data.names[2])
    assert len(ready.data.episode.support) == before + 1 and not ready.runs
    fitted(ready, "taskres")
    assert ready.runs[0].report is not None


def test_copy_as_python_gives_the_same_numbers(ready, tmp_path, monkeypatch, tiny):
    fitted(ready, "coop")
    script = code.script(ready)
    import promptlab as pl

    monkeypatch.setattr(pl, "load", lambda *a, **k: tiny)
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(compile(script, "copied.py", "exec"), found)  # noqa: S102 - the script that the page shows is what is tested
    assert [r.report.headline for r in found["runs"]] == [ready.zero.report.headline, ready.runs[0].report.headline]
    assert np.array_equal(found["runs"][1].report.predictions["pred"], ready.runs[0].report.predictions["pred"])


def test_classifier_export_gives_the_same_scores(ready, tmp_path, tiny):
    fitted(ready, "coop", "tip_adapter")
    with zipfile.ZipFile(share.export(ready, ready.runs[0].id)) as archive:
        archive.extractall(tmp_path)
    z = np.load(tmp_path / "classifier.npz", allow_pickle=False)
    image = tiny.cached_image(core.one(ready, 0)).pooled.numpy()[0]
    logits = float(z["scale"]) * (z["text"] @ (image / np.linalg.norm(image))) + float(z["bias"])
    ours = ready.runs[0].report.predictions["pred"][0]
    assert np.abs(np.exp(logits) / np.exp(logits).sum() - np.exp(ours) / np.exp(ours).sum()).max() < classifier.CLOSE
    assert (tmp_path / "classify.py").read_text().count("\n") <= 18
    with pytest.raises(BadData, match="changes more than the class texts"):
        share.export(ready, ready.runs[1].id)


def test_onnx_gives_the_same_probabilities(ready, tmp_path, tiny):
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install 'promptlab-vlm[onnx]'")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    fitted(ready, "coop")
    with zipfile.ZipFile(share.export(ready, ready.runs[0].id)) as archive:
        archive.extractall(tmp_path)
    pixels = core.one(ready, 3).pixels(tiny.spec).numpy()
    p = runtime.InferenceSession(str(tmp_path / "classifier.onnx")).run(None, {"pixels": pixels})[0]
    assert np.abs(p[0] - core.answers_of(ready.runs[0])[0][3]).max() < classifier.CLOSE


@pytest.mark.slow
def test_the_exported_script_runs_by_itself(sessions, tmp_path):
    own = sessions.get(sessions.new())
    shots.sample(own, "Vehicles, blurry", 1)
    with zipfile.ZipFile(share.export(own, "zero")) as archive:
        archive.extractall(tmp_path)
    path = share.surprise(own)
    out = subprocess.run([sys.executable, "classify.py", path], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    best, name = out.splitlines()[0].split(" ", 1)
    scores = own.zero.predict(path)
    assert abs(scores[name] - float(best)) < 1e-4 and name == next(iter(scores))


def test_report_stands_alone(ready):
    fitted(ready, "coop")
    html = open(share.html_report(ready), encoding="utf-8").read()
    assert "CoOp" in html and "data:image/png" in html and "http://" not in html and "<script" not in html


def test_project_reopens_elsewhere(ready, sessions):
    fitted(ready, "coop")
    ready.settings["name"] = "Zoo"
    path = share.save(ready)
    with zipfile.ZipFile(path) as archive:
        assert not [n for n in archive.namelist() if n.endswith((".pkl", ".pt", ".bin"))]
    other = sessions.get(sessions.new())
    share.open_project(other, path, "zoo.zip")
    assert other.settings["name"] == "Zoo" and [r.id for r in other.runs] == [r.id for r in ready.runs] and not other.failed
    assert np.array_equal(other.runs[0].report.predictions["pred"], ready.runs[0].report.predictions["pred"])
    assert "CoOp" in rows.overview(other) and inspect.lens(other, "evidence")["evidence"]
    assert other.runs[0].epochs == ready.runs[0].epochs and len(other.runs[0].epochs) > 1  # the replay travels too


def test_offline_backbone_leaves_the_demo_in_place(ready, monkeypatch):
    def gone(name, device):
        raise BackboneLacks("could not download x (about 605 MB in float32) for ViT-B-32 'openai': no network; offline, 'pocket' works.")

    monkeypatch.setattr(core, "load_backbone", gone)
    with pytest.raises(BackboneLacks, match="ViT-B-32 needs about 605 MB and internet; the demo CLIP works now"):
        machine.backbone(ready, "ViT-B-32:openai")
    assert ready.settings["backbone"] == "pocket" and ready.data is not None
    with pytest.raises(BadData, match="is no tag"):
        machine.backbone(ready, "ViT-B-32:../../secret.pt")


def test_learn_drawer_reads_the_cards(ready):
    for c in controls.cards():
        html = learn.card(ready, c.id)
        assert c.difference.split("<")[0][:20] in text(html) or c.name in text(html)
    assert learn.show(ready, "coop")["drawer"]["open"] and learn.show(ready, "nothing") == {}
    assert all(len(p) > 80 for p in learn.PAGES.values())


def test_presses_that_nobody_made_are_refused(ready):
    for event in ({"act": "format"}, {"act": "go", "to": "../x"}, {"act": "picture", "index": "1; drop"}):
        with pytest.raises(BadData):
            acts.press(ready, event)


def test_estimates_learn_from_fits(ready):
    card = registry.card("coop")
    asked = core.request(ready, "coop", 1)
    before = estimate.seconds(card, asked.hyper, asked.clip, 10, 20, 20)
    estimate.learn(card, asked.hyper, asked.clip, 10, 20, 20, 3 * before + 0.1, 77.0)
    assert estimate.seconds(card, asked.hyper, asked.clip, 10, 20, 20) > before and "77 MB" in estimate.words(
        card, asked.hyper, asked.clip, 10, 20, 20
    )
    estimate._SEEN.clear()
