"""ProTeCt: the tree of seven nodes by hand, cuts, metrics, and three inner methods of different families."""

import json

import pytest
import torch
import torch.nn.functional as F

from promptlab.create import build
from promptlab.data.classes import ClassSet
from promptlab.data.sources import open_data
from promptlab.data.task import Task
from promptlab.data.taxonomy import taxonomy
from promptlab.data.tree import ROOT, Tree, consistency, read_tree
from promptlab.errors import BadData, BadHyper
from promptlab.fit.context import FitContext
from promptlab.methods.protect import ProTeCt
from promptlab.testing import Subject

TREE = {"cat": ("pet", "animal"), "dog": ("pet", "animal"), "red panda": ("animal",), "car": ("thing",)}
NAMES = ClassSet(("cat", "dog", "red panda", "car"), tree=TREE)


def test_seven_nodes_by_hand():
    tree = Tree.of(NAMES)
    assert tree.names == ("cat", "dog", "red panda", "car", "pet", "animal", "thing") and tree.parent == (4, 4, 5, 6, 5, ROOT, ROOT)
    assert tree.internal == (ROOT, 5, 6, 4) and tree.path(0) == [0, 4, 5]
    leaves, target = tree.draw(0.0)
    assert sorted(leaves) == [0, 1, 2, 3] and [leaves[t] for t in target] == [0, 1, 2, 3]
    coarse, target = tree.draw(1.0)
    assert coarse == [5, 6] and [coarse[t] for t in target] == [5, 5, 5, 6]
    mixed, target = tree.cut({4: False})
    assert [mixed[t] for t in target] == [4, 4, 2, 3]
    assert 4 not in tree.cut({5: False})[0]  # a node below a dropped one is not in the label set
    children, at = tree.steps[5]
    assert [tree.names[c] for c in children] == ["red panda", "pet"] and at.tolist() == [1, 1, 0, -1]
    assert 6 not in tree.steps  # one child: nothing to decide


def test_every_leaf_falls_on_one_element_of_every_cut():
    tree = Tree.of(open_data("world:animals").classes)
    for labels, target in tree.cuts(25):
        assert len(set(labels)) == len(labels) and len(target) == tree.leaves
        for leaf, at in enumerate(target.tolist()):
            assert [v for v in tree.path(leaf) if v in labels] == [labels[at]]


def test_shared_root_goes_and_odd_trees_are_refused():
    assert len(Tree.of(ClassSet(("a", "b"), tree={"a": ("x", "all"), "b": ("all",)})).names) == 3
    assert Tree.of(ClassSet(("a", "b"))).internal == (ROOT,)
    with pytest.raises(BadData, match="one parent"):
        Tree.of(ClassSet(("a", "b", "c"), tree={"a": ("x", "y"), "b": ("x", "z"), "c": ("z",)}))
    with pytest.raises(BadData, match="twice"):
        Tree.of(ClassSet(("a", "b"), tree={"a": ("b",)}))


def test_metrics_by_hand():
    tree, hot = Tree.of(NAMES), 5 * torch.eye(7)
    z = torch.stack([hot[0] + hot[4] + hot[5], hot[1] + hot[2] + hot[5], hot[2] + hot[5], hot[2] + hot[6]])
    found = consistency(z, torch.arange(4), tree)
    assert found["leaf"] == 0.75 and found["hca"] == 0.5  # the dog is right, but among the children of "animal" it is a red panda
    assert found["hca"] <= found["leaf"] and 0 <= found["mta"] <= 1


def subject(key="coop", **hyper):
    s = Subject(ProTeCt)
    method = build(ProTeCt, s.clip, Task("single", NAMES), {"inner": key, "steps": 4, "batch": 4, **hyper})
    return s, method


@pytest.mark.parametrize("key", ["coop", "maple", "kgcoop", "cocoop"])
def test_any_inner_method_is_taught(key):
    s, method = subject(key)
    before = {n: p.detach().clone() for n, p in method.named_parameters()}
    list(method.fit(s.toy.episode.replace(task=method.task), FitContext()))
    assert any(not torch.equal(before[n], p) for n, p in method.named_parameters())
    assert method.predict(s.batch, method.bank()).pred.shape == (8, 4)
    assert method.predict(s.batch, method.bank(ClassSet(("animal", "thing")))).pred.shape == (8, 2)


def test_bound_inner_methods_are_refused():
    with pytest.raises(BadHyper, match="open-vocabulary"):
        subject("taskres")


def test_loss_is_the_cut_and_the_mean_over_nodes():
    s, method = subject(node_weight=0.7)
    method.eval()
    out = method(s.batch, method.bank())
    z, y = out.aux["nodes"], s.batch.target
    terms = method.loss(out, s.batch)
    torch.testing.assert_close(terms["cut"], F.cross_entropy(z[:, :4], y))
    pets, animals = y < 2, y < 3
    nodes = [F.cross_entropy(z[:, [5, 6]], (y == 3).long()), F.cross_entropy(z[animals][:, [2, 4]], (y[animals] < 2).long()),
             F.cross_entropy(z[pets][:, [0, 1]], y[pets])]
    torch.testing.assert_close(terms["nodes"], 0.7 * torch.stack(nodes).mean())
    alone = method.inner(s.batch, method.inner.bank(NAMES.subset([1, 3]))).pred  # logits do not depend on the other names
    torch.testing.assert_close(z[:, [1, 3]], alone, rtol=1e-4, atol=1e-4)


def test_protocol_judges_every_level():
    episode, tests = taxonomy(open_data("world:vehicles"), 1, 1)
    names = {t.name: t for t in tests}
    assert list(names)[:2] == ["test", "coarse"] and len(names["coarse"].task.classes) == 3
    assert all(int(t.split.targets.max()) < len(t.task.classes) for t in tests) and len(episode.support) == 24
    with pytest.raises(BadData, match="class tree"):
        taxonomy(open_data("world:textures"), 1, 1)


def test_tree_files(tmp_path):
    want = {"cat": ("pet", "animal"), "car": ("thing",)}
    (tmp_path / "t.json").write_text(json.dumps({"cat": "pet", "pet": "animal", "car": "thing"}))
    (tmp_path / "l.json").write_text(json.dumps({"cat": ["pet", "animal"], "car": ["thing"]}))
    (tmp_path / "t.csv").write_text("class,parent\ncat, pet\npet,animal\n\ncar,thing\n")
    assert all(read_tree(tmp_path / f, ("cat", "car")) == want for f in ("t.json", "l.json", "t.csv"))
    (tmp_path / "c.csv").write_text("cat,pet\npet,cat\n")
    (tmp_path / "b.csv").write_text("cat,pet,animal\n")
    for file, why in (("c.csv", "circles"), ("b.csv", "no class tree"), ("no.json", "no class tree")):
        with pytest.raises(BadData, match=why):
            read_tree(tmp_path / file, ("cat",))
    with pytest.raises(BadData, match="no parent for the class 'dog'"):
        read_tree(tmp_path / "t.csv", ("dog",))
