import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

import promptlab as pl
from promptlab.answers import scalars
from promptlab.data.kinds import kind_of
from promptlab.data.task import Task, TestSet
from promptlab.errors import BackboneLacks, BadData, BadHyper, PromptlabError
from promptlab.evaluate import evaluate, judge
from promptlab.fit.context import FitContext
from promptlab.fit.events import Note, Step
from promptlab.jobs import Jobs
from promptlab.runs import RunStore, read_events
from promptlab.testing import tiny_backbone, toy
from tests.faults import memory_ends

CLIP = tiny_backbone()
QUICK = {"steps": 6, "batch": 4, "augment": "none", "n_ctx": 2}


def task(**sizes):
    made = toy("single", size=32, **sizes)
    return made.episode, (made.test,)


def fit(store, key="coop", **changes):
    return pl.fit(key, CLIP, task(), store=store, progress=False, **{**(QUICK if key == "coop" else {}), **changes})


@pytest.fixture
def run(tmp_path):
    return fit(tmp_path)


def test_a_run_is_a_folder_that_says_everything(run, tmp_path):
    folder = tmp_path / run.id
    assert {p.name for p in folder.iterdir()} >= {"run.json", "events.jsonl", "state.safetensors", "predictions.npz", "exhibits"}
    assert not list(folder.rglob("*.part"))
    meta = json.loads((folder / "run.json").read_text())
    assert meta["status"] == "done" and meta["method"] == "coop" and meta["seed"] == 1 and meta["hyper"]["n_ctx"] == 2
    assert meta["backbone"]["digest"] == CLIP.digest() and meta["versions"]["torch"] == torch.__version__ and len(meta["source"]) == 16
    assert meta["trainable"] == 2 * CLIP.text_width and meta["seconds"] > 0 and meta["task"]["classes"]["names"][0] == "cat"
    kinds = [e["event"] for e in run.events]
    assert kinds[0] == "started" and kinds.count("step") == 6 and kinds[-1] == "finished"


def test_metrics_come_from_the_saved_predictions(run, tmp_path):
    with np.load(tmp_path / run.id / "predictions.npz") as stored:
        found = {k.split("/")[1]: stored[k] for k in stored.files}
    assert found["pred"].shape == (8, 4) and found["pred"].dtype == np.float32
    again = judge(kind_of("single"), found, run.classes.names)
    assert again == run.report.metrics and run.report.headline == again["accuracy"]


def test_the_same_request_is_found_and_refit_fits_again(run, tmp_path):
    events = pl.stream("coop", CLIP, task(), store=tmp_path, **QUICK)
    assert isinstance(next(events), Note) and not list(events)
    again = fit(tmp_path)
    assert again.id == run.id and again.report.metrics == run.report.metrics
    assert torch.equal(again.method.context.ctx, run.method.context.ctx)
    assert any(isinstance(e, Step) for e in pl.stream("coop", CLIP, task(), store=tmp_path, refit=True, **QUICK))


def test_other_requests_get_other_ids(run, tmp_path):
    others = [fit(tmp_path, n_ctx=1), fit(tmp_path, seed=2), pl.fit("coop", CLIP, task(seed=3), store=tmp_path, progress=False, **QUICK)]
    assert len({run.id, *(o.id for o in others)}) == 4
    store = RunStore(tmp_path)
    assert [r.id for r in store.find(n_ctx=1)] == [others[0].id] and len(store.find(method="coop", status="done")) == 4
    assert [r.id for r in store.find(seed=2)] == [others[1].id] and not store.find(method="cocoop")
    assert len(store.find(task="toy-single")) == 4


def test_an_opened_run_answers_alike(run, tmp_path):
    again = RunStore(tmp_path).open(run.id[:6], CLIP)
    pixels = torch.randn(3, 3, 32, 32)
    assert torch.equal(again.method.logits(pixels), run.method.logits(pixels))
    assert again.report.metrics == run.report.metrics and np.array_equal(again.report.predictions["pred"], run.report.predictions["pred"])
    with pytest.raises(BadData, match="there is no run"):
        RunStore(tmp_path).open("zzzz")
    with pytest.raises(BackboneLacks, match="load the same weights"):
        RunStore(tmp_path).open(run.id, tiny_backbone(seed=1))


def test_it_predicts_names_with_probabilities(run, tmp_path):
    from PIL import Image

    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8))
    image.save(tmp_path / "new.png")
    found = run.predict(tmp_path / "new.png")
    assert list(found.values()) == sorted(found.values(), reverse=True) and sum(found.values()) == pytest.approx(1, abs=1e-5)
    assert set(found) == set(run.classes.names) and len(run.predict(image, k=2)) == 2
    assert run.predict(np.asarray(image)) == pytest.approx(found)
    assert run.predict([image, str(tmp_path / "new.png")])[1] == pytest.approx(found)
    with pytest.raises(BadData):
        run.predict([])


def test_it_shows_itself(run):
    html = run._repr_html_()
    assert "<table>" in html and "coop" in html and run.id in html and "coop" in repr(run)
    frame = run.to_frame()
    assert len(frame) == 1 and (frame[0] if isinstance(frame, list) else frame.iloc[0])["method"] == "coop"


def test_closed_vocabularies_are_named_not_fatal(tmp_path):
    episode, tests = task()
    other = TestSet(Task("single", type(episode.task.classes)(("lamp", "owl", "bus", "key")), "other"), tests[0].split, "new")
    base = TestSet(tests[0].task, tests[0].split, "base")
    run = pl.fit("taskres", CLIP, (episode, [base, other]), store=tmp_path, progress=False, steps=2)
    assert set(run.reports) == {"base"} and "taskres" in run.meta["reports"]["new"]["closed"] and "H" not in run.summary["scores"]
    both = pl.fit("coop", CLIP, (episode, [base, other]), store=tmp_path, progress=False, **QUICK)
    s = both.summary["scores"]
    assert s["H"] == pytest.approx(2 * s["base"] * s["new"] / (s["base"] + s["new"]) if s["base"] + s["new"] else 0)


SCRIPT = """
import os, sys
import promptlab as pl
from promptlab.fit.events import Step
from tests.test_runs import CLIP, QUICK, task
events = pl.stream("coop", CLIP, task(), store=sys.argv[1], **{**QUICK, "steps": None, "epochs": 4})
for e in events:
    if isinstance(e, Step) and e.i == int(sys.argv[2]):
        os._exit(9)  # as a kill: no clean-up runs
"""


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_numbers(tmp_path):
    changes = {"steps": None, "epochs": 4}  # 8 rows in batches of 4: 8 steps
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path / "a"), "5"], cwd=Path(__file__).parents[1], check=False)
    assert done.returncode == 9
    left = RunStore(tmp_path / "a").find()[0]
    assert left.status == "running" and [e["event"] for e in left.events].count("epoch") == 2
    resumed, whole = fit(tmp_path / "a", **changes), fit(tmp_path / "b", **changes)
    assert resumed.id == whole.id == left.id and resumed.status == "done"
    assert torch.equal(resumed.method.context.ctx, whole.method.context.ctx)
    steps = [[e["terms"] for e in r.events if e["event"] == "step"] for r in (resumed, whole)]
    assert steps[0] == steps[1] and len(steps[0]) == 8
    assert any("resumed" in e.get("text", "") for e in resumed.events) and not list((tmp_path / "a").rglob("stage*"))


def test_stop_keeps_what_was_learned_and_goes_on_later(tmp_path):
    ctx = FitContext()

    def see(event):
        if isinstance(event, Step) and event.i == 3:
            ctx.stop.set()

    stopped = pl.fit("coop", CLIP, task(), store=tmp_path, progress=see, ctx=ctx, **QUICK)
    assert stopped.status == "stopped" and stopped.report is not None and stopped.method.context.ctx.isfinite().all()
    more = fit(tmp_path)
    assert more.id == stopped.id and more.status == "done" and more.events[-1]["why"] == "done"


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 B")])
def test_what_was_learned_before_memory_ended_is_kept(tmp_path, monkeypatch, error):
    from promptlab.methods.coop import CoOp

    memory_ends(monkeypatch, CoOp, 4, error)
    run = fit(tmp_path)
    assert run.status == "memory" and run.report is not None and run.method.context.ctx.isfinite().all()
    note, end = run.events[-2:]
    assert note["text"].startswith("memory ended after step 3 of 6") and end["why"] == "memory"
    assert fit(tmp_path).status == "done"  # it is no finished run: the same request goes on


def test_memory_that_ends_before_a_first_step_and_other_errors_are_errors(tmp_path, monkeypatch):
    from promptlab.methods.coop import CoOp

    for error, when in ((MemoryError(), 1), (RuntimeError("a bug"), 3)):
        calls = []

        def failing(self, out, batch, error=error, when=when, calls=calls):
            calls.append(1)
            if len(calls) >= when:
                raise error
            return {"loss": (out.pred * 0).sum() + sum(p.sum() * 0 for p in self.parameters())}

        monkeypatch.setattr(CoOp, "loss", failing)
        with pytest.raises(type(error)):
            fit(tmp_path)
        assert RunStore(tmp_path).find()[0].status == "failed"


def test_closing_the_stream_saves_what_was_learned(tmp_path):
    events = pl.stream("coop", CLIP, task(), store=tmp_path, **QUICK)
    for e in events:
        if isinstance(e, Step) and e.i == 3:
            events.close()
    left = RunStore(tmp_path).find()[0]
    assert left.status == "stopped"
    assert RunStore(tmp_path).open(left.id, CLIP).method.context.ctx.isfinite().all()


def test_ctrl_c_ends_the_fit_gently(tmp_path):
    import signal

    def see(event):
        if isinstance(event, Step) and event.i == 2:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    run = pl.fit("coop", CLIP, task(), store=tmp_path, progress=see, **QUICK)
    assert run.status == "stopped" and signal.getsignal(signal.SIGINT) is before


def test_a_failing_fit_is_recorded(tmp_path):
    from promptlab.methods.coop import CoOp

    class Fails(CoOp):
        def loss(self, out, batch):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        pl.fit(Fails, CLIP, task(), store=tmp_path, progress=False, **QUICK)
    left = RunStore(tmp_path).find()[0]
    assert left.status == "failed" and "broken" in left.meta["why"]


def test_bad_requests_are_one_sentence_before_anything_runs(tmp_path):
    for bad in ({"n_ctx": 0}, {"nonsense": 1}):
        with pytest.raises(BadHyper):
            fit(tmp_path, **bad)
    with pytest.raises(PromptlabError, match="did you mean coop"):
        fit(tmp_path, key="coopp")
    with pytest.raises(BadHyper, match="has no preset"):
        fit(tmp_path, preset="nope")
    with pytest.raises(BadData, match="keep"):
        fit(tmp_path, keep="first")
    assert not list(tmp_path.iterdir())


def test_a_budget_ends_the_fit(tmp_path):
    run = fit(tmp_path, seconds=0.0)
    assert run.status == "budget" and run.report is not None


def test_half_a_line_of_events_is_left_out(tmp_path):
    (tmp_path / "e.jsonl").write_text('{"event": "note", "text": "a"}\n{"event": "st')
    assert [e["event"] for e in read_events(tmp_path / "e.jsonl")] == ["note"]


def test_evaluation_counts_and_judges(run):
    report = evaluate(run.method, task()[1][0])
    assert report.protocol["pictures"] == report.protocol["of"] == 8 and set(scalars(report.metrics)) >= {"accuracy", "ece", "macro_f1"}
    assert pl.evaluate(run, task()).metrics == report.metrics
    with pytest.raises(BadData, match="nothing to judge"):
        evaluate(run.method, TestSet(run.method.task, task()[0].pool, "pool"))


def test_streams_are_answered_one_by_one():
    made = toy("single", size=32)
    method = pl.create("tpt", CLIP, made.episode.task.classes, n_views=4, tta_steps=1)
    before = method.context.ctx.detach().clone()
    report = evaluate(method, made.test)
    assert report.protocol["one_by_one"] and torch.equal(method.context.ctx, before)


def test_jobs_run_in_one_worker(tmp_path):
    from promptlab.api import request

    store, jobs = RunStore(tmp_path), Jobs(RunStore(tmp_path))
    asked = [request("coop", CLIP, task(), hyper={**QUICK, "seed": seed}) for seed in (1, 2)]
    ids = [jobs.submit(a) for a in asked]
    assert jobs.submit(asked[1]) == ids[1]
    assert [jobs.wait(i, 60).status for i in ids] == ["done", "done"] and len(store.find()) == 2
    assert threading.active_count() >= 2
    slow = jobs.submit(request("coop", CLIP, task(), hyper={**QUICK, "steps": 100_000}))
    while jobs.job(slow).last is None:
        threading.Event().wait(0.01)
    jobs.stop(slow)
    assert jobs.wait(slow, 60).status == "stopped"
    with pytest.raises(PromptlabError, match="there is no job"):
        jobs.status("nope")
    jobs.close()


def test_jobs_survive_a_failure_and_are_bounded(tmp_path):
    from promptlab.api import request
    from promptlab.methods.coop import CoOp

    class Fails(CoOp):
        def loss(self, out, batch):
            raise RuntimeError("broken")

    jobs = Jobs(RunStore(tmp_path), waiting=1)
    bad = jobs.submit(request(Fails, CLIP, task(), hyper=QUICK))
    assert jobs.wait(bad, 60).error == "broken" and jobs.status(bad) == "failed"
    many = [request("coop", CLIP, task(), hyper={**QUICK, "steps": 1000, "seed": s}) for s in range(3, 8)]
    with pytest.raises(PromptlabError, match="waiting already"):
        for a in many:
            jobs.submit(a)
    jobs.close()

