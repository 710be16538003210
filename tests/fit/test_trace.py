"""The learnables after each epoch: what a run keeps of its fit, and what it does not."""

import pytest
import torch

import promptlab as pl
from promptlab.errors import BadData
from promptlab.fit.context import FitContext
from promptlab.fit.events import Epoch
from promptlab.fit.trace import Trace
from promptlab.runs import RunStore
from promptlab.testing import tiny_backbone, toy
from promptlab.testing.subject import sentence

CLIP = tiny_backbone()
QUICK = {"epochs": 3, "batch": 4, "augment": "none", "n_ctx": 2}


def task():
    made = toy("single", size=32)
    return made.episode, (made.test,)


def test_epochs_of_a_run(tmp_path):
    run = pl.fit("coop", CLIP, task(), store=tmp_path, progress=False, **QUICK)
    assert run.epochs == [0, 1, 2, 3]
    states = [run.at(e).context.ctx for e in run.epochs]
    assert torch.equal(states[-1], run.method.context.ctx) and all(not torch.equal(a, b) for a, b in zip(states, states[1:]))
    assert torch.equal(states[0], pl.create("coop", CLIP, list(run.classes.names), **QUICK).context.ctx)
    again = RunStore(tmp_path).open(run.id, CLIP)
    assert torch.equal(again.at(2).context.ctx, states[2])
    with pytest.raises(BadData, match="after epoch 9; it kept 0, 1, 2, 3") as e:
        run.at(9)
    sentence(e.value)


def test_no_trace_where_none_is_wanted(tmp_path):
    run = pl.fit("coop", CLIP, task(), store=tmp_path, progress=False, ctx=FitContext(trace=0), **QUICK)
    assert run.epochs == [] and run.method is not None


def test_training_free_methods_have_none(tmp_path):
    run = pl.fit("tip_adapter", CLIP, task(), store=tmp_path, progress=False)
    assert len(run.epochs) <= 1
    with pytest.raises(BadData) as e:
        run.at(5)
    sentence(e.value)


def test_a_resumed_fit_goes_on_with_its_trace(tmp_path):
    whole = pl.fit("coop", CLIP, task(), store=tmp_path / "a", progress=False, **QUICK)
    events = pl.stream("coop", CLIP, task(), store=tmp_path / "b", **QUICK)
    while not isinstance(event := next(events), Epoch) or event.i < 2:
        pass
    next(events)  # a step of the third epoch, which will be taken again
    events.close()
    run = pl.fit("coop", CLIP, task(), store=tmp_path / "b", progress=False, **QUICK)
    assert run.epochs == whole.epochs and all(torch.equal(run.at(e).context.ctx, whole.at(e).context.ctx) for e in run.epochs)


def test_a_small_budget_keeps_every_second_epoch(tmp_path):
    method, trace = torch.nn.Linear(8, 8), Trace(tmp_path, limit=2000)
    for i in range(12):
        trace.see(Epoch(i + 1, 12), method)
    assert trace.epochs and len({b - a for a, b in zip(trace.epochs, trace.epochs[1:])}) == 1 and trace.epochs[0] > 1
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 2000
    large = Trace(tmp_path / "none", limit=500)
    large.see(Epoch(1, 1), method)
    assert large.epochs == []
