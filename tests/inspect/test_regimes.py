"""Exhibits of methods of other supervision: what is said about trees, plans, sentences and pseudo-labels is true."""

import numpy as np
import pytest

from promptlab.create import build
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.errors import PromptlabError
from promptlab.fit.context import FitContext
from promptlab.inspect import regimes
from promptlab.methods.coop import CoOp
from promptlab.methods.grip import Grip
from promptlab.methods.lafter import LaFTer
from promptlab.methods.pouf import POUF
from promptlab.methods.protect import ProTeCt
from promptlab.methods.tai_dpt import TaIDPT
from promptlab.plots.panels import panels
from promptlab.testing import Subject


def test_tree_sums_to_one_among_siblings():
    s = Subject(ProTeCt)
    names = ClassSet(("cat", "dog", "red panda", "car"), tree={"cat": ("pet",), "dog": ("pet",), "red panda": ("wild",), "car": ("thing",)})
    method = build(ProTeCt, s.clip, Task("single", names), {})
    e = regimes.tree(method, s.batch.row(0))
    assert e.labels["node"] == ["pet", "· cat", "· dog", "wild", "· red panda", "thing", "· car"]
    assert e.arrays["after"][[0, 3, 5]].sum() == pytest.approx(1) and e.arrays["after"][1:3].sum() == pytest.approx(1)
    assert np.allclose(e.arrays["before"], e.arrays["after"]) and panels(e)


def test_plans_have_their_marginals():
    s = Subject(POUF)
    method, _ = s.fit()
    e = regimes.plan(method, s.batch)
    assert np.allclose(e.arrays["to_classes"].sum(1), 1) and np.allclose(e.arrays["to_pictures"].sum(0), 1, atol=1e-5)
    assert not np.allclose(e.arrays["to_classes"], e.arrays["to_classes_before"]) and panels(e)


def test_sentences_and_pictures_in_one_projection():
    s = Subject(LaFTer)
    e = regimes.gap(s.make(), s.batch)
    assert e.arrays["pictures"].shape == (8, 2) and set(e.arrays["text_class"].tolist()) == {0, 1, 2, 3} and panels(e)[0].what == "points"


def test_words_of_a_caption():
    s = Subject(TaIDPT, kind="multi")
    e = regimes.caption(s.make(), "a cat and a boat", "cat")
    assert e.arrays["weight"].sum() == pytest.approx(1, abs=1e-4) and any("cat" in w for w in e.labels["token"]) and panels(e)


def test_pseudo_labels_by_round():
    s = Subject(Grip)
    method = s.make(rounds=2)
    list(method.fit(s.toy.episode, FitContext()))
    e = regimes.pseudo(method, s.toy.episode.support)
    assert e.arrays["count"].shape == (2, 4) and e.arrays["right"].shape == (2, 4) and panels(e)
    index, label = method.history[-1][1].index, method.history[-1][1].label
    true = s.toy.episode.support.targets[[s.toy.episode.support.rows.index(method.history[-1][0][i]) for i in index.tolist()]]
    assert np.nansum(e.arrays["right"][1] * e.arrays["count"][1]) == pytest.approx(int((true == label).sum()))


def test_others_refuse_in_one_sentence():
    s = Subject(CoOp)
    method = s.make()
    for make in (lambda: regimes.tree(method, s.batch.row(0)), lambda: regimes.plan(method, s.batch), lambda: regimes.gap(method, s.batch),
                 lambda: regimes.caption(method), lambda: regimes.pseudo(method)):
        with pytest.raises(PromptlabError):
            make()
