"""The screen: its handlers without gradio, its sessions, and the served page once."""

import time
import urllib.request
import zipfile

import numpy as np
import pytest
from PIL import Image

from promptlab import registry
from promptlab.backbones.tiny import tiny_backbone
from promptlab.card import Train, knobs
from promptlab.errors import BadData
from promptlab.plots.curves import MAX_POINTS, Curve, bars, curves, thin
from promptlab.ui import controls, core, handlers
from promptlab.ui.job import Job
from promptlab.ui.session import TTL, Sessions

FAST = {"steps": 2, "batch": 8, "seed": 1}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """A tiny backbone in place of pocket, and few test pictures."""
    clip = tiny_backbone()
    monkeypatch.setattr(core, "backbone", lambda: clip)
    monkeypatch.setattr(core, "MOST_TESTS", 24)


@pytest.fixture
def sessions(tmp_path):
    return Sessions(tmp_path)


@pytest.fixture
def ready(sessions):
    """A session with a sample pack."""
    session = sessions.get("a")
    assert handlers.take_sample(session, "Vehicles, blurry", 1).status == handlers.READY
    return session


def picture(path, value):
    rng = np.random.default_rng(value)
    Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(path)
    return str(path)


def last(views):
    return list(views)[-1]


def test_every_family_offers_methods_and_every_control_is_a_knob():
    found = [key for family in controls.families() for _, key in controls.methods_of(family)]
    assert {"coop", "maple", "vp", "tip_adapter"} <= set(found) and "zero_shot" not in found and "maskclip" not in found
    for key in found:
        known = knobs(registry.get(key).Hyper)
        own = controls.controls(key)
        assert own and all(c.name in known for c in own)
        assert {c.name for c in own if c.training} <= set(knobs(Train))
        core.cleaned(key, {c.name: c.value for c in own})


def test_nothing_chosen_yet(sessions):
    session = sessions.get("a")
    assert "No pictures yet" in last(handlers.train(session, "coop", {})).status
    assert handlers.predict(session, "x.png")[1] == handlers.NO_SHOTS
    assert handlers.stop(session) == "Nothing is training." and handlers.test_picture(session) is None


def test_sample_train_predict(ready):
    view = last(handlers.train(ready, "taskres", FAST))
    assert "TaskRes" in view.status and "zero-shot" in view.status
    assert "TaskRes" in view.table and "Zero-shot" in view.table
    assert len(ready.runs) == 1 and ready.curves[0].steps == [1, 2]
    path = handlers.test_picture(ready)
    figure, said = handlers.predict(ready, path)
    assert [trace.name for trace in figure.data] == ["zero-shot", "1 TaskRes"] and "TaskRes" in said


def test_an_equal_request_is_found_with_its_curve(ready):
    for _ in range(2):
        last(handlers.train(ready, "taskres", FAST))
    assert ready.runs[0].id == ready.runs[1].id and ready.curves[1].steps == ready.curves[0].steps


@pytest.mark.parametrize(("key", "values", "words"), [
    ("coop", {"n_ctx": 0}, "n_ctx of coop must be an int in [1, 64]"), ("tip_adapter", {"alpha": "much"}, "alpha must be a number"),
])
def test_a_bad_value_is_one_sentence(ready, key, values, words):
    assert words in last(handlers.train(ready, key, values)).status and not ready.runs


def test_own_pictures(sessions, tmp_path):
    session = sessions.get("a")
    files = [picture(tmp_path / f"{i}.png", i) for i in range(6)]
    view = handlers.take_pictures(session, [("red <b>fox</b>", files[:3]), ("cat", files[3:]), ("", [])])
    assert view.status == handlers.READY and "2 classes" in view.said
    assert "<b>" not in last(handlers.train(session, "taskres", FAST)).status


@pytest.mark.parametrize(("classes", "words"), [
    ([], "0 classes came"), ([("cat", ["a", "b"])], "1 class came"),
    ([("cat", ["a", "b"]), ("", ["c", "d"])], "class 2 has pictures and no name"),
    ([("cat", ["a", "b"]), ("dog", ["c"])], "class 'dog' has 1 picture"), ([("cat", ["a", "b"]), ("CAT", ["a", "b"])], "twice"),
    ([("cat", ["a", "b"]), ("/..", ["a", "b"])], "no letters"),
])
def test_own_pictures_refused_in_one_sentence(sessions, tmp_path, classes, words):
    files = {name: picture(tmp_path / f"{name}.png", i) for i, name in enumerate("abcd")}
    with pytest.raises(BadData, match=words):
        handlers.gather(sessions.get("a"), [(name, [files[p] for p in paths]) for name, paths in classes])


def test_zip(sessions, tmp_path):
    session, path = sessions.get("a"), tmp_path / "shots.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(6):
            archive.write(picture(tmp_path / f"{i}.png", i), f"{'cat' if i < 3 else 'dog'}/{i}.png")
        archive.writestr("dog/broken.png", b"no picture")
    view = handlers.take_zip(session, str(path))
    assert "2 classes" in view.said and "broken.png" in view.said
    assert "no zip was chosen" in handlers.take_zip(session, None).said
    (tmp_path / "false.zip").write_bytes(b"text")
    assert "no zip file" in handlers.take_zip(session, str(tmp_path / "false.zip")).said


def test_stop_keeps_what_was_learned(ready):
    views = []
    for view in handlers.train(ready, "coop", {"steps": 100_000, "batch": 8}):
        views.append(view)
        if ready.job.curve.steps:
            handlers.stop(ready)
    assert ready.runs[0].status == "stopped" and "kept" in views[-1].status
    assert ready.runs[0].predict(handlers.test_picture(ready))


def test_training_twice_at_once_is_refused(ready):
    ready.job = Job("CoOp", lambda job: job.stop.wait(20)).start()
    assert "still training" in last(handlers.train(ready, "taskres", FAST)).status
    assert "still training" in handlers.take_sample(ready, "Vehicles, blurry", 1).said
    ready.job.stop.set()


def test_updates_come_at_most_four_times_a_second():
    job = Job("x", lambda job: time.sleep(1.2)).start()
    assert len(list(job.watch())) <= 5


def test_jobs_wait_for_one_another():
    first = Job("first", lambda job: job.stop.wait(20)).start()
    time.sleep(0.1)
    second = Job("second", lambda job: "done").start()
    assert second.ahead == 1 and "1 training before yours" in second.words()
    first.stop.set()
    list(second.watch())
    assert second.result == "done" and second.ahead == 0


@pytest.mark.parametrize(("error", "words"), [
    (BadData("a sentence."), "a sentence."), (ValueError("odd"), "ValueError: odd"), (MemoryError(), "memory"),
])
def test_a_failing_job_says_so(error, words):
    def work(job):
        raise error

    job = Job("CoOp", work).start()
    list(job.watch())
    assert words in job.error and words in job.words()


def test_sessions_are_apart_and_their_files_go(sessions):
    a, b = sessions.get("a"), sessions.get("b")
    assert a is not b and sessions.get("a") is a
    (a.folder / "x").write_text("x")
    sessions.drop("a")
    assert not a.folder.exists() and b.folder.exists()
    sessions.sweep(time.monotonic() + TTL + 1)
    assert len(sessions) == 0 and not b.folder.exists()


def test_figures_from_plain_numbers():
    long = Curve("a", list(range(5000)), [1.0] * 5000, [10], [0.5])
    assert len(curves([long], baseline=0.4).data[0].x) <= MAX_POINTS
    assert thin([1, 2, 3], [1, 2, 3]) == ([1, 2, 3], [1, 2, 3])
    figure = bars(["a", "b", "c"], {"zero-shot": [0.2, 0.7, 0.1], "1 CoOp": [0.1, 0.3, 0.6]}, top=2)
    assert list(figure.data[1].y) == ["c", "b"]


def test_the_page_is_served_from_this_machine_only():
    from promptlab.ui import build_app, launch

    app = build_app()
    _, url, _ = launch(app, port=None, wait=False, quiet=True, warmed=False)
    try:
        page = urllib.request.urlopen(url, timeout=30).read().decode()
        assert "promptlab" in page and "fonts.googleapis" not in page
    finally:
        app.close()
