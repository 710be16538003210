"""A class tree: its nodes, the label sets that cut it, and how consistent answers are over it.

Nodes are numbered leaves first, in label order, then internal nodes in order of appearance; the root is -1 and has no name.
Source of cuts and metrics: ProTeCt, arXiv:2306.02240 (``gina9726/ProTeCt: models/treecut_generator.py, metrics.py``).
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from promptlab.data.classes import ClassSet
from promptlab.errors import BadData

ROOT = -1


@dataclass(frozen=True)
class Tree:
    """``names`` [V] of leaves, then internal nodes; ``parent`` [V], -1 = the root; ``leaves``: how many of them are classes."""

    names: tuple[str, ...]
    parent: tuple[int, ...]
    leaves: int

    @staticmethod
    def of(classes: ClassSet) -> "Tree":
        """The tree of ``classes.tree`` (class → ancestors, nearest first); flat where there is none. What all classes share is the root."""
        paths = [list(classes.tree.get(n, ())) for n in classes.names]
        while paths and all(paths) and len({p[-1] for p in paths}) == 1:
            paths = [p[:-1] for p in paths]
        names, parent = list(classes.names), [ROOT] * len(classes)
        index: dict[str, int] = {}
        for leaf, path in enumerate(paths):
            below = leaf
            for name in path:
                if name in classes.names or name in path[:path.index(name)]:
                    raise BadData(f"the tree names '{name}' twice on one path or as a class too; give every node a name of its own.")
                at = index.setdefault(name, len(names))
                if at == len(names):
                    names.append(name)
                    parent.append(ROOT)
                if below >= len(classes) and parent[below] not in (ROOT, at):
                    raise BadData(f"the tree puts '{names[below]}' under '{names[parent[below]]}' and '{name}'; a node has one parent.")
                parent[below] = below = at
        return Tree(tuple(names), tuple(parent), len(classes))

    def children(self, node: int) -> list[int]:
        return [v for v, p in enumerate(self.parent) if p == node]

    @cached_property
    def internal(self) -> tuple[int, ...]:
        """Internal nodes, the root first, parents before their children."""
        order, found = [ROOT], []
        while order:
            node = order.pop(0)
            found.append(node)
            order += [v for v in self.children(node) if v >= self.leaves]
        return tuple(found)

    def path(self, node: int) -> list[int]:
        """The node and its ancestors up to (not including) the root."""
        found = []
        while node != ROOT:
            found.append(node)
            node = self.parent[node]
        return found

    @cached_property
    def steps(self) -> dict[int, tuple[list[int], Tensor]]:
        """Internal node with two children or more → (children, [leaves] position of the child on each leaf's path, -1 if not below)."""
        paths = [self.path(leaf) for leaf in range(self.leaves)]
        found = {}
        for node in self.internal:
            below = self.children(node)
            if len(below) > 1:
                at = [next((below.index(v) for v in path if v in below), -1) for path in paths]
                found[node] = (below, torch.tensor(at))
        return found

    def cut(self, kept: Mapping[int, bool]) -> tuple[list[int], Tensor]:
        """Label set of a cut and the target of each leaf [leaves]: the frontier below the nodes that are kept with all their ancestors."""
        alive = {ROOT: True}
        for node in self.internal[1:]:
            alive[node] = kept.get(node, True) and alive[self.parent[node]]
        labels = [v for v, p in enumerate(self.parent) if alive[p] and (v < self.leaves or not alive[v])]
        place = {v: i for i, v in enumerate(labels)}
        return labels, torch.tensor([next(place[v] for v in self.path(leaf) if v in place) for leaf in range(self.leaves)])

    def draw(self, beta: float, generator: torch.Generator | None = None) -> tuple[list[int], Tensor]:
        """A random cut: each internal node is dropped with probability ``beta`` (the root never)."""
        kept = (torch.rand(len(self.internal), generator=generator) > beta).tolist()
        return self.cut(dict(zip(self.internal, kept, strict=True)))

    def cuts(self, count: int, seed: int = 0) -> list[tuple[list[int], Tensor]]:
        """Distinct random cuts at beta 0.1, 0.3, 0.5, 0.7, 0.9 in turn (ProTeCt's treecuts); fewer where the tree has no more."""
        generator, found = torch.Generator().manual_seed(seed), {}
        for i in range(40 * count):
            labels, target = self.draw((0.1, 0.3, 0.5, 0.7, 0.9)[i % 5], generator)
            found.setdefault(tuple(labels), (labels, target))
            if len(found) == count:
                break
        return list(found.values())


def consistency(nodes: Tensor, target: Tensor, tree: Tree, cuts: int = 25) -> dict[str, float]:
    """leaf: accuracy over the classes; hca: share of pictures right at the leaf and at every node on its path (among that node's
    children); mta: mean accuracy over random cuts. ``nodes`` [n, V]: logits of every node, ``target`` [n] classes."""
    leaf = nodes[:, : tree.leaves].argmax(1) == target
    right = leaf.clone()
    for children, at in tree.steps.values():
        want = at[target]
        right &= (want < 0) | (nodes[:, children].argmax(1) == want)
    found = [(nodes[:, labels].argmax(1) == goal[target]).float().mean() for labels, goal in tree.cuts(cuts)]
    return {"leaf": float(leaf.float().mean()), "hca": float(right.float().mean()), "mta": float(torch.stack(found).mean())}


def read_tree(path: str | Path, classes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Class → ancestors, nearest first, from ``tree.json`` ({class: parent} with the parents' own parents, or {class: [ancestors]}) or a
    CSV of ``class,parent`` lines; :class:`BadData` for a class without a line and for a circle."""
    path = Path(path).expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = json.loads(text) if path.suffix.lower() == ".json" else _pairs(text)
        listed = {str(k): v if isinstance(v, str) else [str(x) for x in v] for k, v in lines.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        raise BadData(f"{path.name} is no class tree; give JSON {{class: parent}} or a CSV with class,parent lines.") from None
    found = {}
    for name in classes:
        if name not in listed and name.replace("_", " ") not in listed:
            raise BadData(f"{path.name} has no parent for the class '{name}'; add a line for it.")
        found[name] = _ancestors(name if name in listed else name.replace("_", " "), listed, path.name)
    return found


def _pairs(text: str) -> dict[str, str]:
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)]
    if any(len(row) != 2 for row in rows):
        raise ValueError
    rows = rows[1:] if rows and [cell.lower() for cell in rows[0]] == ["class", "parent"] else rows
    return dict(rows)


def _ancestors(name: str, listed: Mapping[str, str | list[str]], file: str) -> tuple[str, ...]:
    if not isinstance(listed[name], str):
        return tuple(listed[name])
    path: list[str] = []
    while name in listed and isinstance(listed[name], str) and listed[name]:
        name = listed[name]
        if name in path:
            raise BadData(f"{file} leads from '{name}' back to itself; a tree has no circles.")
        path.append(name)
    return tuple(path)
