"""Widgets by their traits, as a click or a key would set them; no browser."""

import re
import threading
import time

import numpy as np
import pytest

import promptlab as pl
from promptlab.fit.score import score
from promptlab.inspect.exhibit import Exhibit
from promptlab.widgets import Compare, Lens, Trainer
from promptlab.widgets.knobs import changes, listed, shown, start_values
from promptlab.widgets.scene import Scene


@pytest.fixture(scope="module")
def clip():
    return pl.load("pocket", device="cpu")


@pytest.fixture(scope="module")
def task():
    return pl.open_data("world:vehicles@night", shots=2)


@pytest.fixture
def trainer(clip, task, tmp_path):
    return Trainer(clip, task, store=str(tmp_path))


@pytest.fixture(scope="module")
def runs(clip, task, tmp_path_factory):
    store = str(tmp_path_factory.mktemp("runs"))
    return [pl.fit("zero_shot", clip, task, store=store, progress=False),
            pl.fit("coop", clip, task, preset="demo", steps=8, store=store, progress=False),
            pl.fit("taskres", clip, task, preset="demo", steps=8, store=store, progress=False),
            pl.fit("taskres", clip, task, preset="demo", steps=8, seed=2, store=store, progress=False)]


def html_of(widget):
    bundle = widget._repr_mimebundle_()
    return (bundle[0] if isinstance(bundle, tuple) else bundle)["text/html"]


def test_the_trainer_offers_every_method_of_the_kind_with_the_knobs_of_its_card(trainer, clip):
    offered = [key for _, key in trainer._pick.options]
    assert {"coop", "tip_adapter", "maple"} <= set(offered) and "maskclip" not in offered and "dualcoop" not in offered
    assert offered == [key for _, key in listed("single", clip)]
    for key in offered:
        trainer.method = key
        assert trainer.error == "" and [c.description for c in trainer._knobs.children] == list(shown(key))


def test_other_kinds_of_tasks_have_other_methods(clip, tmp_path):
    several = Trainer(clip, "world:scenes@photo", shots=1, store=str(tmp_path))
    offered = [key for _, key in several._pick.options]
    assert "dualcoop" in offered and "coop" not in offered and several.method in offered and several.method != "zero_shot"
    with pytest.raises(pl.PromptlabError, match="CoOp cannot be trained here"):
        Trainer(clip, "world:scenes@photo", "coop", shots=1, store=str(tmp_path))


def test_only_what_differs_from_the_preset_is_asked_for(trainer):
    trainer.method = "coop"
    n_ctx = next(c for c in trainer._knobs.children if c.description == "n_ctx")
    first = n_ctx.value
    n_ctx.value = first + 1
    assert trainer.hyper == {"n_ctx": first + 1} and f"n_ctx={first + 1}" in trainer.code
    n_ctx.value = first
    assert trainer.hyper == {}
    lr = next(c for c in trainer._knobs.children if c.description == "lr")
    lr.value = "fast"
    assert "lr must be a number" in trainer.error and trainer.hyper == {}
    assert changes("coop", "demo", start_values("coop", "demo")) == {}


def test_a_training_in_the_cell_shows_curves_and_gives_a_run(trainer):
    trainer.hyper = {"steps": 12}
    run = trainer.train()
    assert trainer.status == run.status == "done" and trainer.runs == [run]
    assert trainer.curves[0]["steps"] == list(range(1, 13)) and trainer.curves[0]["val"]
    assert "zero-shot" in trainer.message and "<svg" in trainer._scene.html and "<svg" in html_of(trainer)
    assert run.meta["keep"] == "best"


def test_stop_ends_a_background_training_and_the_best_so_far_stays(trainer, task):
    trainer.hyper = {"steps": 100_000}
    trainer.start()
    until = time.monotonic() + 60
    while not trainer.curves[0]["val"] and time.monotonic() < until:
        time.sleep(0.05)
    assert trainer.status == "running" and trainer._go.disabled and not trainer._halt.disabled
    trainer._halt.click()
    run = trainer.wait(60)
    assert trainer.status == run.status == "stopped" and not trainer._go.disabled and "best so far is kept" in trainer.message
    val = task.draw(1)[0].val
    assert score(run.method, val)["accuracy"] == pytest.approx(max(trainer.curves[0]["val"]), abs=1e-6)


def test_an_interrupt_keeps_what_was_learned(trainer, monkeypatch):
    trainer.hyper = {"steps": 100_000}
    see = trainer._see

    def interrupt(event):
        see(event)
        if event["event"] == "epoch" and event["i"] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "_see", interrupt)
    run = trainer.train()
    assert trainer.status == "stopped" and run.status == "stopped"
    assert sum(v.abs().sum() for v in run.method.state_dict().values()) > 0 and run.predict(trainer.task.data.test.source.image(0))


def test_two_trainers_share_the_machine_and_nothing_else(clip, task, tmp_path):
    a, b = (Trainer(clip, task, store=str(tmp_path / x), hyper={"steps": 6}) for x in "ab")
    a.start(), b.start()
    b.method = "taskres"
    a.wait(60), b.wait(60)
    assert (a.status, b.status) == ("done", "done") and a.method == "coop" and len(a.runs) == len(b.runs) == 1
    a.start()
    a.start()
    assert "a training is running" in a.error or a.status == "done"
    a.wait(60)


def test_a_bad_knob_is_said_and_nothing_is_trained(trainer):
    trainer.hyper = {"n_ctx": 1000}
    assert trainer.train() is None
    assert "n_ctx" in trainer.error and "role=\"alert\"" in trainer._error.value and trainer.status == "idle"


@pytest.mark.slow
def test_the_lens_shows_every_exhibit_or_says_why_not(runs, task):
    lens = Lens(runs[1], task)
    assert lens.exhibit.kind == "maps" and "pl-wipe" in lens._scene.html
    refused = 0
    for what in pl.inspect.EXHIBITS:
        lens.what = what
        assert (lens.exhibit is None) == bool(lens.error), what
        refused += lens.exhibit is None
    assert 0 < refused < len(pl.inspect.EXHIBITS)
    lens.what = "evidence"
    lens.name = lens.classes[3]
    assert lens.exhibit.settings["class"] == lens.classes[3]
    before = lens.exhibit.arrays["picture"]
    lens._gallery.picked = str(lens.order[2])
    assert lens.index == lens.order[2] and not np.array_equal(before, lens.exhibit.arrays["picture"])
    assert lens.figure() is not None and "<img" in html_of(lens)


def test_the_lens_changes_live_knobs_without_touching_the_run(clip, task, tmp_path):
    run = pl.fit("tip_adapter", clip, task, preset="demo", store=str(tmp_path), progress=False)
    lens = Lens(run, task, "memory")
    kept, found = run.method.hyper, lens.exhibit.settings["alpha"]
    lens.live = {"alpha": found + 1.0}
    assert lens.exhibit.settings["alpha"] == pytest.approx(found + 1.0) and run.method.hyper is kept
    next(c for c in lens._live.children if c.description == "alpha").value = "-3"
    assert "alpha" in lens.error and run.method.hyper is kept


def test_the_lens_goes_through_frames(runs, task):
    still = Exhibit("bars", "by hand", {"before": np.zeros(2), "after": np.ones(2), "gain": np.ones(2)}, {"class": ("a", "b")})
    lens = Lens(runs[0], task, "residuals", frames=[("coop", runs[1]), ("taskres", runs[2]), ("own", still)])
    assert lens.exhibit is still
    lens.frame = 0
    assert "CoOp" in lens.exhibit.title
    lens._frames.value = 1
    assert "TaskRes" in lens.exhibit.title


def test_the_lens_replays_the_epochs_of_a_run(runs, task):
    lens = Lens(runs[1], task, "residuals", frames="epochs")
    last = lens.exhibit.arrays["angle"]
    assert len(lens.frames) > 1 and lens.frames[0][0] == "start"
    assert np.allclose(last, pl.inspect.residuals(runs[1]).arrays["angle"], atol=1e-3)
    lens._frames.value = 0
    assert lens.frame == 0 and not np.allclose(lens.exhibit.arrays["angle"], last)
    lens.what = "curves"
    assert lens.exhibit is not None


def test_compare_is_linked(runs, task):
    c = Compare(runs, task)
    assert len(c.rows) == 3 and len(c._dots(c.rows[2], "accuracy")) == 2
    assert c.against != c.chosen
    c._bars.picked = "0"
    assert c.chosen == 0 and 'font-weight="bold"' in c._bars.html
    c._table.picked = "2"
    assert c.chosen == 2
    c.against = 0
    ours, zero = (c.report(i).predictions for i in (2, 0))
    right = (ours["pred"].argmax(1) == ours["target"]) & (zero["pred"].argmax(1) != zero["target"])
    assert f"{int(right.sum())} pictures" in c._said.value and c._grid.html.count("<img") == min(int(right.sum()), 18)
    c._matrix.picked = "1,1"
    hit = (ours["target"] == 1) & (ours["pred"].argmax(1) == 1)
    assert c.cell == (1, 1) and f": {int(hit.sum())} pictures" in c._said.value and c._grid.html.count("<img") == min(int(hit.sum()), 18)


def test_compare_sorts_by_any_column(runs, task):
    c = Compare(runs, task)
    c._table.picked = "sort:accuracy"
    values = [c.rows[i]["accuracy"] for i in c.order()]
    assert values == sorted(values, reverse=True)
    c._table.picked = "sort:accuracy"
    values = [c.rows[i]["accuracy"] for i in c.order()]
    first, last = (c._table.html.index(f'data-pick="{c.order()[i]}"') for i in (0, -1))
    assert values == sorted(values) and first < last


def test_compare_without_the_task_still_counts(runs):
    c = Compare(runs)
    assert "Give the task" in c._grid.html and "<svg" in c._matrix.html
    with pytest.raises(pl.PromptlabError, match="nothing to compare"):
        Compare([])


def test_results_show_themselves(runs, task):
    for result in (runs[0], runs[0].report, pl.compare(runs), task, pl.methods(), pl.inspect.residuals(runs[1])):
        assert "<table" in result._repr_html_(), type(result)


def test_every_text_is_escaped(clip, tmp_path):
    evil = "<script>alert(1)</script>"
    pictures = [np.full((20, 20, 3), 30 * i, np.uint8) for i in range(8)]
    task = pl.arrays(pictures, [0, 1] * 4, [evil, "b"], shots=2)
    run = pl.fit("zero_shot", clip, task, store=str(tmp_path), progress=False)
    for widget in (Compare([run], task), Lens(run, task), Trainer(clip, task, store=str(tmp_path))):
        assert "<script" not in html_of(widget), type(widget)


def test_assets_are_in_the_package_and_ask_nobody(clip):
    for name in ("scene.js", "scene.css"):
        text = (Scene._esm if name.endswith("js") else Scene._css)
        assert text and not re.search(r"https?://|import\s|cdn", str(text)), name
    a, b = Scene(html="<b>1</b>"), Scene(html="<b>2</b>")
    a.picked = "x"
    assert b.picked == "" and a.model_id != b.model_id


def test_colab_is_asked_to_show_widgets(monkeypatch, runs, task):
    import sys
    import types

    called = threading.Event()
    output = types.SimpleNamespace(enable_custom_widget_manager=called.set)
    monkeypatch.setitem(sys.modules, "google.colab", types.SimpleNamespace(output=output))
    Compare(runs, task)
    assert called.is_set()


def test_a_method_typed_in_a_cell_is_found_and_refitted_when_it_changes():
    from promptlab import registry

    def typed(factor):
        class Typed(pl.Method):
            card = pl.Card(id="typed_here", name="Typed", year=2026, venue="test", paper="", code="", family="adapter",
                           supervision="training-free", difference="a factor", trains="nothing")

        source = f"def forward(self, batch, bank):\n    out = pl.Method.forward(self, batch, bank)\n    return pl.Out({factor} * out.pred)"
        place = {"pl": pl}
        exec(source, place)  # noqa: S102 - as a cell does
        Typed.forward, Typed.__module__ = place["forward"], "a_cell"
        return Typed

    one, two = registry.add(typed(1.0)), typed(2.0)
    assert "typed_here" in registry.ids() and registry.get("typed_here") is one
    assert registry.source_hash(one) != registry.source_hash(two) and registry.source_hash(one) == registry.source_hash(typed(1.0))
    assert registry.add(two) is registry.get("typed_here")
    with pytest.raises(pl.PromptlabError, match="has a method 'coop' already"):
        registry.add(registry.get("coop"))
    registry._ADDED.clear()
