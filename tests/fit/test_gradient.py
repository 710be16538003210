import subprocess
import sys
from pathlib import Path

import pytest
import torch

from promptlab.card import Train
from promptlab.data.kinds import kind_of
from promptlab.errors import BadData
from promptlab.fit.context import FitContext
from promptlab.fit.events import Epoch, Finished, Note, Started, Step
from promptlab.fit.gradient import gradient
from promptlab.fit.optim import Plan, optimiser
from promptlab.fit.state import Checkpoint
from tests.fit.stub import Residual, method, toy

EPISODE = toy().episode  # 12 rows


def rates(**hyper):
    plan = Plan.of(Train(**hyper), 12)
    return [plan.rate(e, e * plan.per_epoch + s) for e in range(plan.epochs) for s in range(plan.steps_in(e))]


def test_epoch_cosine_restarts_its_counter_after_the_warm_up():
    found = rates(lr=0.0035, epochs=5, batch=12)
    assert [round(r, 6) for r in found] == [1e-5, 0.0035, 0.003166, 0.002291, 0.001209]


def test_step_cosine_warms_up_linearly_and_ends_at_the_final_rate():
    found = rates(lr=1.0, schedule="step-cosine", steps=10, warmup_steps=2, final_lr=0.1, batch=4)
    assert found[:3] == [0.5, 1.0, 1.0] and len(found) == 10
    assert found[-1] > 0.1 and found == sorted(found[:2]) + sorted(found[2:], reverse=True)


def test_constant_schedule_and_steps_cut_the_last_epoch():
    plan = Plan.of(Train(schedule="constant", steps=7, batch=4), 12)
    assert (plan.per_epoch, plan.epochs, [plan.steps_in(e) for e in range(3)]) == (3, 3, [3, 3, 1])
    assert plan.rate(2, 6) == Train().lr


@pytest.mark.parametrize("rows, batch, per_epoch", [(12, 5, 2), (12, 32, 1), (12, 12, 1), (13, 12, 1)])
def test_partial_batches_are_dropped_unless_they_are_the_only_one(rows, batch, per_epoch):
    assert Plan.of(Train(batch=batch), rows).per_epoch == per_epoch
    split = kind_of("single").toy(size=8, classes=rows, shots=1).episode.support
    assert len(list(split.batches(batch, drop_last=True))) == per_epoch


@pytest.mark.parametrize("name, kind", [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_optimisers_follow_the_knobs(name, kind):
    made = optimiser(Train(optimiser=name, lr=0.5, weight_decay=0.25, adam_eps=1e-3), [torch.nn.Parameter(torch.ones(2))])
    assert type(made) is kind and made.defaults["weight_decay"] == 0.25
    assert made.defaults.get("momentum", 0.9) == 0.9 and made.defaults.get("eps", 1e-3) == 1e-3


def test_events_come_in_order_and_are_plain_data():
    events = list(gradient(method(), EPISODE, FitContext(val_every=2)))
    assert isinstance(events[0], Started) and events[0].total_steps == 12 and events[0].trainable == 3 * 16 + 2
    assert [e.i for e in events if isinstance(e, Step)] == list(range(1, 13))
    epochs = [e for e in events if isinstance(e, Epoch)]
    assert [bool(e.val) for e in epochs] == [False, True, False, True] and "accuracy" in epochs[-1].val
    assert isinstance(events[-1], Finished) and events[-1].why == "done"
    steps = [e.terms["task"] for e in events if isinstance(e, Step)]
    assert epochs[0].train["task"] == pytest.approx(sum(steps[:3]) / 3)
    assert all(isinstance(e.to_json()["event"], str) for e in events)


def test_it_learns():
    learner = method(optimiser="adam", lr=0.03, epochs=60, augment="none", weight_decay=0.0)
    steps = losses_of(gradient(learner, EPISODE))
    assert sum(steps[-5:]) < 0.3 * sum(steps[:5])


SCRIPT = """
from tests.fit.stub import method, toy
from promptlab.fit.gradient import gradient
m = method(epochs=3)
losses = [e.terms["task"].hex() for e in gradient(m, toy().episode) if hasattr(e, "terms")]
print(losses, [v.hex() for v in m.delta.flatten().tolist()])
"""


def test_same_seed_same_bits_in_two_processes():
    root = Path(__file__).parents[2]
    said = [subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, cwd=root).stdout for _ in range(2)]
    assert said[0] == said[1] and "0x" in said[0]


def test_other_seed_other_numbers():
    a, b = method(epochs=1), method(epochs=1, seed=2)
    assert not torch.equal(a.delta, b.delta)


def losses_of(events):
    return [e.terms["task"] for e in events if isinstance(e, Step)]


@pytest.mark.parametrize("opt", ["sgd", "adam", "adamw"])
def test_a_killed_fit_resumes_from_its_last_epoch_to_the_same_numbers(tmp_path, opt):
    whole = method(optimiser=opt)
    want = losses_of(gradient(whole, EPISODE))
    killed, seen = method(optimiser=opt), []
    with pytest.raises(RuntimeError, match="killed"):
        for event in gradient(killed, EPISODE, FitContext(checkpoint=Checkpoint(tmp_path))):
            seen.append(event)
            if isinstance(event, Step) and event.i == 8:  # in the middle of epoch 3 of 4
                raise RuntimeError("killed")
    torch.rand(17)  # the new process is somewhere else in its random stream
    again = method(optimiser=opt)
    got = losses_of(gradient(again, EPISODE, FitContext(checkpoint=Checkpoint(tmp_path))))
    assert got == want[6:]
    assert torch.equal(again.delta, whole.delta)


def test_a_finished_phase_is_not_run_again(tmp_path):
    first, second = method(), method()
    list(gradient(first, EPISODE, FitContext(checkpoint=Checkpoint(tmp_path))))
    events = list(gradient(second, EPISODE, FitContext(checkpoint=Checkpoint(tmp_path))))
    assert not losses_of(events) and torch.equal(first.delta, second.delta)


def interrupted(how):
    learner, ctx = method(lr=0.5), FitContext()
    before = learner.delta.detach().clone()
    events = gradient(learner, EPISODE, ctx)
    last = None
    for event in events:
        last = event
        if isinstance(event, Step) and event.i == 5:
            if how == "close":
                events.close()
                break
            if how == "stop":
                ctx.stop.set()
            if how == "interrupt":
                with pytest.raises(KeyboardInterrupt):
                    events.throw(KeyboardInterrupt())
                break
            if how == "budget":
                ctx.seconds = 0.0
    return learner, before, last


@pytest.mark.parametrize("how, why", [("close", None), ("interrupt", None), ("stop", "stopped"), ("budget", "budget")])
def test_an_ended_fit_leaves_a_usable_method(how, why):
    learner, before, last = interrupted(how)
    assert (getattr(last, "why", None)) == why
    assert not learner.training and not torch.equal(before, learner.delta)
    assert all(p.grad is None and p.requires_grad for p in learner.parameters())
    assert learner.logits(torch.randn(2, 3, 8, 8)).isfinite().all()


class Breaks(Residual):
    """Its loss is not a number from step ``at`` on."""

    at, calls = 5, 0

    def loss(self, out, batch):
        self.calls += 1
        return {"task": self.kind.loss(out.pred, batch.target) * (float("nan") if self.calls >= self.at else 1)}


def test_a_loss_that_is_not_finite_ends_the_fit_in_a_finite_state():
    learner = method(Breaks)
    events = list(gradient(learner, EPISODE))
    assert isinstance(events[-2], Note) and "lower lr" in events[-2].text and events[-1].why == "collapsed"
    assert learner.delta.isfinite().all() and len(losses_of(events)) == 4


def test_a_step_to_infinity_is_taken_back():
    learner = method(lr=1000.0, weight_decay=1.0, momentum=1.0, epochs=200, schedule="constant", optimiser="sgd")
    with torch.no_grad():
        learner.unused.fill_(3e38)  # decays the wrong way: overflows after a few steps
    events = list(gradient(learner, EPISODE))
    assert events[-1].why == "collapsed" and all(p.isfinite().all() for p in learner.parameters())


def test_only_the_chosen_parameters_move():
    learner = method()
    before = learner.delta.detach().clone()
    list(gradient(learner, EPISODE, params=[learner.unused]))
    assert torch.equal(before, learner.delta) and learner.delta.requires_grad


def test_groups_scale_the_learning_rate():
    learner = method(epochs=1)
    before = learner.delta.detach().clone()
    groups = [{"params": [learner.delta], "scale": 0.0}, {"params": [learner.unused]}]
    list(gradient(learner, EPISODE, params=groups))
    assert torch.equal(before, learner.delta)


def test_terms_and_combine_replace_loss_and_backward():
    learner, seen = method(epochs=1), []

    def terms(out, batch):
        return {"a": out.pred.square().mean(), "b": learner.delta.square().sum()}

    def combine(named, params):
        seen.append(sorted(named))
        grads = [torch.autograd.grad(t, params, retain_graph=True, allow_unused=True) for t in named.values()]
        for p, *each in zip(params, *grads, strict=True):
            p.grad = sum((g for g in each if g is not None), torch.zeros_like(p))

    events = list(gradient(learner, EPISODE, terms=terms, combine=combine))
    assert seen == [["a", "b"]] * 3 and set(events[1].terms) == {"a", "b"}


def test_the_gradient_is_clipped():
    learner = method(epochs=1, steps=1, clip_norm=1e-3, momentum=0.0, weight_decay=0.0, schedule="constant", lr=1.0)
    before = learner.delta.detach().clone()
    list(gradient(learner, EPISODE))
    assert (learner.delta - before).norm() <= 1.001e-3


def test_the_best_epoch_is_kept_when_asked_for():
    learner = method(lr=0.3, epochs=6)
    scores = [e.val["accuracy"] for e in gradient(learner, EPISODE, FitContext(val_every=1, keep="best")) if isinstance(e, Epoch)]
    from promptlab.fit.score import score

    assert score(learner, EPISODE.val)["accuracy"] == max(scores)


def test_views_change_every_epoch_or_cycle():
    from promptlab.fit.gradient import _Loop

    def views(**hyper):
        loop = _Loop(method(**hyper), EPISODE, FitContext(), None, None, None)
        return [next(iter(loop.batches(e))).view.index for e in range(4)]

    assert views() == [1, 2, 3, 4] and views(views=2) == [1, 2, 1, 2] and views(augment="none") == [0, 0, 0, 0]


def test_no_shots_is_one_sentence():
    with pytest.raises(BadData, match="learns from labelled pictures"):
        list(gradient(method(), EPISODE.replace(support=None)))
