import threading

import pytest
import torch

from promptlab.fit import average, pseudo, search
from promptlab.fit.context import FitContext
from promptlab.fit.events import Epoch, Note, Progress
from promptlab.fit.gradient import gradient
from promptlab.fit.score import headline, predictions, score
from promptlab.fit.state import Checkpoint, restore, snapshot
from tests.fit.stub import method, toy

EPISODE = toy().episode


def test_top_k_keeps_the_most_confident_of_each_predicted_class():
    p = torch.tensor([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.2, 0.8, 0.0], [0.7, 0.3, 0.0], [0.6, 0.4, 0.0]])
    chosen = pseudo.top_k_of(p, 2)
    assert chosen.index.tolist() == [0, 3, 2] and chosen.label.tolist() == [0, 0, 1]
    assert pseudo.top_k_of(p, 3).index.tolist() == [0, 3, 1, 2]  # of equals, the first
    assert pseudo.top_k(p.log(), 2).index.tolist() == [0, 3, 2]


def test_grid_leaves_the_best_live_knob_in_force():
    learner = method(epochs=20, lr=1.0, alpha=1.0)
    list(gradient(learner, EPISODE))
    values = {"alpha": [0.0, 0.1, 1.0, 5.0]}
    before = headline(learner, EPISODE.val)
    events = list(search.grid(learner, EPISODE, values))
    assert [e.done for e in events if isinstance(e, Progress)] == [1, 2, 3, 4] and isinstance(events[-1], Note)
    assert headline(learner, EPISODE.val) >= before


def test_grid_without_validation_changes_nothing_and_stop_keeps_the_best_so_far():
    learner = method()
    hyper = learner.hyper
    list(search.grid(learner, EPISODE.replace(val=None), {"alpha": [3.0]}))
    assert learner.hyper == hyper
    ctx = FitContext(stop=threading.Event())
    ctx.stop.set()
    assert not [e for e in search.grid(learner, EPISODE, {"alpha": [3.0]}, ctx) if isinstance(e, Progress)]
    assert learner.hyper == hyper


def test_the_average_of_epochs_is_weighted():
    weights = average.gaussian_weights(4, 3, 1)
    assert sum(weights) == pytest.approx(1) and max(weights) == weights[2]
    learner, seen = method(), []

    def watch(events):
        for e in events:
            if isinstance(e, Epoch):
                seen.append(learner.delta.detach().clone())
            yield e

    list(average.epochs(learner, watch(gradient(learner, EPISODE)), weights))
    want = sum(w * d for w, d in zip(weights, seen, strict=True))
    assert torch.allclose(learner.delta, want, atol=1e-6)


def test_an_interrupted_average_goes_on_with_the_epochs_it_had(tmp_path):
    def averaged(name, until=None):
        learner, ctx = method(epochs=4), FitContext(checkpoint=Checkpoint(tmp_path / name))
        for event in average.epochs(learner, gradient(learner, EPISODE, ctx), [0.1, 0.2, 0.3, 0.4], ctx):
            if isinstance(event, Epoch) and event.i == until:
                return None
        return learner.delta.detach()

    averaged("parted", until=3)
    assert torch.allclose(averaged("parted"), averaged("whole"), atol=1e-6)


def test_far_from_the_mean_the_nearest_epoch_counts():
    assert average.gaussian_weights(3, 100, 0.1) == pytest.approx([0, 0, 1])


def test_scores_agree_with_predictions():
    learner = method()
    pred = predictions(learner, EPISODE.val)
    assert pred.shape == (3, 3) and not pred.requires_grad
    share = float((pred.argmax(1) == EPISODE.val.targets).float().mean())
    assert score(learner, EPISODE.val)["accuracy"] == pytest.approx(share) == headline(learner, EPISODE.val)


def test_restore_creates_what_fit_gave_birth_to():
    a, b = method(), method()
    a.register_buffer("keys", torch.arange(4.0))
    a.head = torch.nn.Linear(2, 3)
    restore(b, snapshot(a), learnable={n for n, _ in a.named_parameters()})
    assert set(b.state_dict()) == set(a.state_dict()) and torch.equal(b.keys, a.keys)
    assert {n for n, _ in b.named_parameters()} == {n for n, _ in a.named_parameters()}
