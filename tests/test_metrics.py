"""Metrics against counting by hand, scikit-learn's definitions and the method cards."""

import json
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab import metrics
from promptlab.data.kinds import KINDS, kind_of
from promptlab.errors import WrongKind


def logits(n, c, seed=0):
    return torch.randn(n, c, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 6), st.integers(0, 1000))
def test_single_label_metrics_by_counting(n, c, seed):
    x = logits(n, c, seed)
    y = torch.randint(c, (n,), generator=torch.Generator().manual_seed(seed + 1))
    found = metrics.single(x, y, [f"n{i}" for i in range(c)])
    guess = x.argmax(1)
    assert math.isclose(found["accuracy"], (guess == y).float().mean(), abs_tol=1e-6)
    f1 = []
    for k in range(c):
        tp, fp, fn = ((guess == a) & (y == b) for a, b in ((k, k), (k, -1), (-1, k)))
        tp, fp, fn = tp.sum(), ((guess == k) & (y != k)).sum(), ((guess != k) & (y == k)).sum()
        recall = found["per_class"][f"n{k}"]
        assert recall is None if (y == k).sum() == 0 else math.isclose(recall, tp / (y == k).sum(), abs_tol=1e-6)
        f1 += [float(2 * tp / (2 * tp + fp + fn))] if tp + fp + fn else []
        assert sum(found["confusion"][k]) == (y == k).sum()
    assert math.isclose(found["macro_f1"], np.mean(f1), abs_tol=1e-5)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_calibration_error_by_hand():
    confidence = torch.tensor([0.95, 0.95, 0.65, 0.65])
    probabilities = torch.stack([confidence, 1 - confidence], 1)
    assert metrics.ece(probabilities, torch.tensor([0, 0, 0, 1])) == pytest.approx(0.5 * 0.05 + 0.5 * 0.15, abs=1e-6)
    sure = torch.tensor([[1.0, 0.0]] * 4)
    assert metrics.ece(sure, torch.zeros(4).long()) == pytest.approx(0) and metrics.ece(sure, torch.ones(4).long()) == pytest.approx(1)


def test_average_precision_by_hand():
    scores = torch.tensor([[3.0], [2.0], [1.0], [0.0]])
    assert metrics.average_precision(scores, torch.tensor([[1], [0], [1], [0]]))[0] == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.ranked_precision(scores, torch.tensor([[1], [0], [1], [0]]))[0] == pytest.approx((1 + 2 / 3) / 2)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(1, 5), st.integers(0, 1000))
def test_the_two_average_precisions_agree_without_ties(n, c, seed):
    generator = torch.Generator().manual_seed(seed)
    scores, target = logits(n, c, seed), torch.randint(-1, 2, (n, c), generator=generator)
    a, b = metrics.average_precision(scores, target), metrics.ranked_precision(scores, target)
    assert torch.equal(a.isnan(), b.isnan()) and torch.allclose(a.nan_to_num(), b.nan_to_num(), atol=1e-5)
    assert torch.equal(a.isnan(), (target == 1).sum(0) == 0)


def test_ties_count_once_and_positions_decide_in_the_ranked_form():
    scores, target = torch.zeros(4, 1), torch.tensor([[1], [0], [0], [0]])
    assert metrics.average_precision(scores, target)[0] == pytest.approx(0.25)
    assert metrics.ranked_precision(scores, target)[0] == pytest.approx(1.0)


def test_average_precision_keeps_large_logits_apart():
    scores = torch.tensor([[120.0], [110.0], [100.0]])  # a sigmoid in float32 is 1 for all of them
    assert metrics.average_precision(scores, torch.tensor([[0], [0], [1]]))[0] == pytest.approx(1 / 3)
    assert metrics.average_precision(scores, torch.tensor([[1], [0], [0]]))[0] == pytest.approx(1.0)


def test_multi_label_scores_at_a_threshold_by_hand():
    x = torch.tensor([[1.0, -1.0, 1.0], [1.0, 1.0, -1.0]])
    y = torch.tensor([[1, 1, -1], [0, 1, 0]])
    found = metrics.multi(x, y, ["a", "b", "c"])
    assert found["op"] == pytest.approx(2 / 3) and found["or"] == pytest.approx(2 / 3) and found["of1"] == pytest.approx(2 / 3)
    assert found["cp"] == pytest.approx((1 / 2 + 1 + 0) / 3) and found["cr"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert found["per_class"]["c"] is None


def test_f1_at_k():
    x, y = torch.tensor([[3.0, 2.0, 1.0, 0.0]]), torch.tensor([[1, 0, 0, 1]])
    assert metrics.f1_at(x, y, 1) == pytest.approx(2 / 3)  # precision 1, recall 1/2
    assert metrics.f1_at(x, y, 9) == pytest.approx(2 / 3)  # precision 1/2, recall 1


def test_intersection_over_union_by_hand_and_by_torchmetrics():
    from torchmetrics.functional.classification import multiclass_jaccard_index

    guess = torch.tensor([[[0, 0], [1, 1]]])
    x = torch.nn.functional.one_hot(guess, 3).permute(0, 3, 1, 2).float()
    y = torch.tensor([[[0, 1], [1, -1]]])
    found = metrics.dense(x, y, ["a", "b", "c"])
    assert found["per_class"] == {"a": 0.5, "b": 0.5, "c": None} and found["miou"] == 0.5
    assert found["pixel_accuracy"] == pytest.approx(2 / 3)
    x, y = torch.randn(3, 4, 8, 8), torch.randint(0, 4, (3, 8, 8))
    assert torch.allclose(metrics.iou(x, y), multiclass_jaccard_index(x.argmax(1), y, 4, average="none"))


def test_harmonic_mean():
    assert metrics.harmonic(0.8, 0.6) == pytest.approx(2 * 0.48 / 1.4) and metrics.harmonic(0.0, 0.0) == 0.0


def test_numpy_and_torch_give_the_same():
    x, y = logits(20, 4), torch.arange(20) % 4
    assert metrics.single(x.numpy(), y.numpy(), "abcd") == metrics.single(x, y, "abcd")


def test_nothing_is_warned_about():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics.multi(logits(6, 3), torch.zeros(6, 3).long(), "abc")
        metrics.single(logits(6, 3), torch.zeros(6).long(), "abc")


def test_answers_that_are_not_finite_are_counted():
    x, y = logits(6, 3), torch.arange(6) % 3
    x[4] = torch.nan
    found = metrics.single(x, y, "abc")
    assert found["not_finite"] == 1 and 0 <= found["ece"] <= 1 and "not_finite" not in metrics.single(logits(6, 3), y, "abc")
    assert json.dumps(metrics.single(torch.full((6, 3), torch.nan), y, "abc"), allow_nan=False)
    assert metrics.multi(torch.full((6, 3), torch.nan), torch.eye(3).repeat(2, 1).long(), "abc")["not_finite"] == 6


def test_kinds_say_their_headline_and_probabilities():
    for name in KINDS:
        kind = kind_of(name)
        toy = kind.toy(size=16)
        pred = torch.randn(len(toy.test.split), 4, 8, 8) if name == "dense" else torch.randn(len(toy.test.split), 4)
        found = kind.metrics(pred, toy.test.split.targets, toy.test.task.classes.names)
        assert kind.name == name and kind.headline in found
        p = kind.probabilities(pred)
        assert p.shape == pred.shape and (p >= 0).all() and (p <= 1).all()
        assert name == "multi" or torch.allclose(p.sum(1), torch.ones_like(p.sum(1)), atol=1e-5)
    with pytest.raises(WrongKind, match="'video' is no task kind; the kinds are single, multi, dense"):
        kind_of("video")
