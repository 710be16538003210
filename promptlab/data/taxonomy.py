"""The protocol of taxonomic classification: learn the leaves, be judged on leaves, on the coarsest classes and on mixed label sets."""

from dataclasses import replace

from promptlab.data.classes import ClassSet
from promptlab.data.dataset import DataSet
from promptlab.data.protocols import few_shot
from promptlab.data.task import Episode, Task, TestSet
from promptlab.data.tree import ROOT, Tree
from promptlab.errors import BadData

CUTS = 4


def of_nodes(tree: Tree, nodes: list[int], classes: ClassSet) -> ClassSet:
    """Nodes of a tree as a class set."""
    return replace(classes, names=tuple(tree.names[v] for v in nodes))


def taxonomy(data: DataSet, shots: int | None = 16, seed: int = 1) -> tuple[Episode, list[TestSet]]:
    """``few_shot`` of data whose classes have a tree; tests "test" (leaves), "coarse" (the root's children) and "cut 1" ... "cut 4"."""
    tree = Tree.of(data.classes)
    if data.kind != "single" or len(tree.names) == tree.leaves:
        raise BadData(f"taxonomic tests need single-label data with a class tree and {data.name} has none; add a tree.json or tree.csv.")
    episode, tests = few_shot(data, shots, seed)
    coarse = tree.cut(dict.fromkeys(tree.internal, False))
    assert coarse[0] == tree.children(ROOT)
    named = [("coarse", *coarse)] + [(f"cut {i}", *cut) for i, cut in enumerate(tree.cuts(CUTS, seed=0), start=1)]
    for test in list(tests):
        for name, labels, goal in named:
            split = replace(test.split, targets=goal[test.split.targets])
            tests.append(TestSet(Task(data.kind, of_nodes(tree, labels, data.classes), f"{data.name} ({name})"), split, name))
    return episode, tests
