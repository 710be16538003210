"""The playground, the explorers and the shots by their traits."""

import io
import time
from datetime import datetime, timezone

import numpy as np
import pytest
from PIL import Image

import promptlab as pl
from promptlab.fit.score import score
from promptlab.parts.transport import sinkhorn
from promptlab.widgets import AttentionExplorer, PromptPlayground, Shots, TransportExplorer, shown


@pytest.fixture(scope="module")
def clip():
    return pl.load("pocket", device="cpu")


@pytest.fixture(scope="module")
def task():
    return pl.open_data("world:vehicles@night", shots=2)


@pytest.fixture(scope="module")
def fitted(clip, task, tmp_path_factory):
    store = str(tmp_path_factory.mktemp("runs"))
    keys = {"coop": 6, "plot": 6, "maple": 2}
    return {k: pl.fit(k, clip, task, preset="demo", steps=n, store=store, progress=False) for k, n in keys.items()}


def test_the_playground_scores_sentences_and_learned_contexts_on_validation_pictures(clip, task, fitted):
    p = PromptPlayground(clip, task, [fitted["coop"]], templates=["a photo of a {}."])
    assert set(p.scores) == {"a photo of a {}.", "1 coop"}
    val = task.draw(1)[0].val
    assert p.scores["1 coop"] == pytest.approx(score(fitted["coop"].method, p.split)["accuracy"]) and len(p.split) <= len(val)
    p._box.value = "a drawing of a {}.\n{}\n"
    assert p.templates == ["a drawing of a {}.", "{}"] and "all templates together" in p.scores and len(p.scores) == 4
    start = time.perf_counter()
    p.templates = [*p.templates, "a {} at night."]
    assert time.perf_counter() - start < 5 and "a {} at night." in p.scores
    p._free.value = "a red bus"
    assert p.texts == ["a red bus"] and "a red bus" in p._answer.html
    before = p._answer.html
    p._gallery.picked = "3"
    assert p.index == 3 and p._answer.html != before
    p.templates = ["no place"]
    assert "exactly once" in p.error
    p.templates = ["{}"]
    assert p.error == ""


def test_the_playground_refuses_runs_on_other_classes(clip, fitted):
    with pytest.raises(pl.PromptlabError, match="other classes"):
        PromptPlayground(clip, "world:food@photo", [fitted["coop"]])


def test_transport_is_the_plan_of_the_settings(fitted, task):
    t = TransportExplorer(fitted["plot"], task)
    cost = t._cost[0]
    assert t.plan.shape == (64, 4) and np.allclose(t.plan.sum(0), 1 / 4, atol=1e-4)
    t.eps = 0.02
    want = sinkhorn(cost[None, None], 0.02, t.iterations, t.method.hyper.thresh).plan[0, 0].numpy()
    assert np.allclose(t.plan, want) and abs(t._eps.value - 0.02) < 1e-9
    t._sweeps.value = 1
    assert t.iterations == 1 and "1 sweeps" in t._note
    t._scene.hovered = "2/17"
    assert t.patch == 17 and "row 3, column 2" in t._row.html
    t.name = t.classes[5]
    assert f"'{t.classes[5]}'" in t._note
    t.eps = 1e-9
    assert t.error == "" or "eps" in t.error


def test_methods_with_one_prompt_have_nothing_to_transport(fitted, task):
    t = TransportExplorer(fitted["coop"], task)
    assert "nothing to transport" in t.error and t.plan is None


def test_attention_rows_are_those_of_the_tower(fitted, task):
    a = AttentionExplorer(fitted["maple"], task)
    assert a.pattern.shape[:2] == (6, 6) and a.row.shape == (67,) and a.row.sum() == pytest.approx(1, abs=1e-4)
    a._grid.picked = "2,4"
    assert (a.layer, a.head) == (2, 4)
    a._scene.hovered = "20"
    assert a.token == 20 and np.array_equal(a.row, a.exhibit.arrays["after"][2, 4, 20]) and "patch 20" in a._said.value
    a._scene.picked = "66"
    assert "learned token 2" in a._said.value
    a.when = "before"
    assert a.row.shape == (65,)
    a._mean.click()
    assert a.head == -1
    a._class_token.click()
    assert a.token == 0 and "class token" in a._said.value
    a._gallery.picked = str(a.order[3])
    assert a.index == a.order[3] and a.error == ""


def png(colour, size=(12, 12)):
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def upload(widget, *files):
    when = datetime(2026, 1, 1, tzinfo=timezone.utc)
    widget._upload.value = [{"name": n, "type": "image/png", "size": len(c), "content": memoryview(c), "last_modified": when}
                            for n, c in files]


def test_shots_from_uploads_are_read_and_cleared():
    s = Shots()
    upload(s, ("a.png", png("red")))
    assert "name first" in s.error and s._upload.value == ()
    s._name.value = "red"
    upload(s, ("a.png", png("red")), ("b.png", b"not a picture"))
    assert s.error == "" and s.counts == {"red": 1} and s._upload.value == () and s.problems == [
        "b.png: not a picture although its name ends in .png; save it as JPG or PNG."]
    assert "needed to learn" in s._scene.html and "data:image/png" in s._scene.html


def test_shots_are_sorted_by_hand():
    s = Shots()
    s.add("a", [np.full((8, 8, 3), i, np.uint8) for i in range(3)])
    s.add("b", [np.full((8, 8, 3), 100 + i, np.uint8) for i in range(3)])
    s._scene.picked = "a/1"
    s._name.value = "b"
    s._act[1].click()
    assert s.counts == {"a": 2, "b": 4}
    s._act[0].click()
    assert "click a picture first" in s.error
    s.rename("b", "c")
    s._scene.picked = "c/0"
    s._act[3].click()
    assert s.off == ("c",) and list(s.used) == ["a"] and "opacity" in s._scene.html
    with pytest.raises(pl.PromptlabError, match="two classes"):
        s.task  # noqa: B018 - the property raises
    s._act[3].click()
    assert s.off == () and s.task.data.classes.names == ("a", "c")
    s._scene.picked = "a/0"
    s._act[2].click()
    assert s.counts == {"c": 4}


def test_shots_from_a_folder_train(clip, tmp_path):
    for name, colour in (("red", "red"), ("blue", "blue")):
        (tmp_path / "own" / name).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (20 + i, 20), colour).save(tmp_path / "own" / name / f"{i}.png")
    (tmp_path / "own" / "red" / "bad.png").write_bytes(b"x")
    s = Shots(shots=1)
    s._path.value = str(tmp_path / "own")
    assert s.error == "" and s.counts == {"blue": 4, "red": 4} and "bad.png" in s.problems[0]
    run = pl.fit("tip_adapter", clip, s.task, preset="demo", store=str(tmp_path / "runs"), progress=False)
    assert run.status == "done"
    s._path.value = str(tmp_path / "nowhere")
    assert "does not exist" in s.error


def test_the_doctor_sees_twins_and_imbalance():
    s = Shots()
    s.add("a", [np.zeros((8, 8, 3), np.uint8)] * 2 + [np.full((8, 8, 3), i, np.uint8) for i in range(1, 9)])
    s.add("b", [np.zeros((8, 8, 3), np.uint8)])
    said = " ".join(s.doctor())
    assert "Class 'b' has 1 picture" in said and "1 to 10" in said and "in 'a' and in 'b'" in said and "twice, in 'a'" in said


def test_single_pictures_show_themselves(task):
    split = task.draw(1)[0].support
    for picture in (shown.bars({"a": 0.5, "b": [0.1, 0.3]}), shown.gallery(split, [0, 1], ["<x>", "y"]), shown.heat(np.eye(2), ["a", "b"]),
                    shown.lines({"a": ([1, 2], [0.1, 0.2])}, "x", "y"), shown.maps(np.ones((8, 8, 3)), {"m": np.ones((2, 2))})):
        html = picture._repr_html_()
        assert ("<svg" in html or "<img" in html) and "<x>" not in html and "nan" not in html
