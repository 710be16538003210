"""GRIP: boards by hand, the schedule of the card, settings with labels, and three inner methods of different families."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from promptlab.create import inner
from promptlab.data.batch import Split
from promptlab.errors import BadData, BadHyper
from promptlab.fit.boards import best_of_each, choose, growing, leaderboard
from promptlab.fit.events import Finished, Labelled
from promptlab.fit.rounds import among, balance, known_classes, labelled_and_pool, mixed, together
from promptlab.methods.grip import Grip
from promptlab.testing import Subject


def pairs(chosen):
    return list(zip(chosen.label.tolist(), chosen.index.tolist(), strict=True))


def test_boards_by_hand():
    p = torch.tensor([[0.5, 0.4, 0.1], [0.6, 0.3, 0.1], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.55, 0.35, 0.1]])
    # k = 1: 0 on board a; 1 beats it; 2 beats 1; 3 on board b; 4 is refused by a (0.55 < 0.7), then by b (0.35 < 0.8), taken by c
    assert pairs(leaderboard(p, 1)) == [(0, 2), (1, 3), (2, 4)]
    # k = 2: a = [0, 1] unsorted; 2 beats the last (1), sorted and cut to [2, 1]; 3 on b; 4 beats neither of a (0.55 < 0.6): b and c take it
    assert pairs(leaderboard(p, 2)) == [(0, 2), (0, 1), (1, 3), (1, 4), (2, 4)]
    assert pairs(best_of_each(p, 1)) == [(0, 2), (1, 3), (2, 0)]
    assert pairs(choose(p, None)) == [(0, 0), (0, 1), (0, 2), (1, 3), (0, 4)]
    with pytest.raises(BadHyper, match="no pseudo-label rule"):
        choose(p, 1, "all")


def test_schedule_grows_to_all():
    assert growing(1000, 10, 10) == list(range(10, 101, 10))
    assert growing(730, 8, 10)[-1] == 91 == min(730 // 8, 730 // 8)


def test_settings_read_only_the_labels_they_may():
    episode = Subject(Grip).toy.episode
    true, pool = labelled_and_pool(episode, known_classes("trzsl", 4, 0.5))
    assert set(true.targets.tolist()) == {0, 1} and not set(true.rows) & set(pool.rows) and pool.targets is None
    assert labelled_and_pool(episode, [])[0] is None
    with pytest.raises(BadData, match="needs labelled"):
        labelled_and_pool(episode.replace(support=None), [0])
    with pytest.raises(BadData, match="one source"):
        labelled_and_pool(episode.replace(pool=Split(object(), (0, 1))), [0])
    found = among(torch.tensor([[9.0, 0, 1], [0, 1, 2], [0, 3, 2]]), None, "top_k", [1, 2])
    assert pairs(found) == [(2, 1), (1, 2)]  # the first picture is surely of a seen class
    both = together(true, pool, found, 0.0)
    assert both.rows[: len(true)] == true.rows and both.targets.tolist()[len(true):] == [2, 1]
    assert balance("ssl", 2, 8) == (4.0, 1.0) and balance("trzsl", 2, 8) == (1.0, 0.25) and balance("ssl", 2, 8, True)[0] == 0.25


def test_mixed_loss_is_the_weighted_two():
    torch.manual_seed(0)
    logits, target, true = torch.randn(4, 3), torch.tensor([0, 2, 1, 1]), torch.tensor([True, False, True, False])
    want = 2.5 * F.cross_entropy(logits[true], target[true]) + F.cross_entropy(logits[~true], target[~true])
    torch.testing.assert_close(mixed(logits, target, true, (2.5, 1.0)), want)
    assert mixed(logits, target, torch.zeros(4, dtype=torch.bool), (2.5, 1.0)) == F.cross_entropy(logits, target)


@pytest.mark.parametrize("setting", ["ul", "ssl", "trzsl"])
@pytest.mark.parametrize("key", ["coop", "taskres", "clip_adapter", "tip_adapter", "maple"])
def test_any_inner_method_learns(key, setting):
    s = Subject(Grip)
    method = s.make(inner=key, settings="", setting=setting, rounds=2)
    events = list(method.fit(s.toy.episode, SimpleNamespace(elapsed=0.0, halt=lambda: None, next_stage=lambda: 0, checkpoint=None,
                                                            val_every=0, keep="last")))
    assert method.inner.card.id == key and sum(isinstance(e, Labelled) for e in events) == 2
    assert isinstance(events[-1], Finished) and events[-1].why == "done" and len(method.history) == 2
    assert method.predict(s.batch, method.bank()).pred.shape == (len(s.batch), 4)


def test_first_round_of_fpl_is_the_inner_method_on_its_labels():
    s = Subject(Grip)
    method = s.make(variant="fpl", k=2, settings="n_ctx=2", rule="top_k", period=True)
    from promptlab.fit.context import FitContext

    list(method.fit(s.toy.episode, FitContext()))
    rows, chosen = method.history[0]
    alone = inner("grip", "coop", s.clip, s.toy.episode.task, method.hyper, "n_ctx=2")
    pool = s.toy.episode.pool
    list(alone.fit(s.toy.episode.replace(support=Split(pool.source, tuple(rows[i] for i in chosen.index), chosen.label)), FitContext()))
    assert torch.equal(method.inner.context.ctx, alone.context.ctx)


def test_inner_settings_are_checked():
    s = Subject(Grip)
    for settings, inner_key in (("n_ctx", "coop"), ("no=1", "coop"), ("", "grip")):
        with pytest.raises(BadHyper, match="grip"):
            s.make(inner=inner_key, settings=settings)
