"""ProTeCt: any prompt learner, taught to answer consistently at every level of a class tree.

All nodes of the tree are names: logits z [B, V] over leaves and internal nodes come from the inner method's own answer.
    cut: internal nodes are kept with probability 1 - beta (with all their ancestors; the root always); the frontier is a label set
    L = CE over the frontier of one random cut + lambda · mean over internal nodes i of CE over the children of i,
        on the pictures below i; pred [B, C] = the leaves' columns of z.
One answer over all V names serves the cut and all nodes, since a class's logit does not depend on the other names.
Source: Wu et al., CVPR 2024, arXiv:2306.02240 (eqs. 6-9); gina9726/ProTeCt (engine.py, models/treecut_generator.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from promptlab.backbones.points import Edit
from promptlab.card import Card, Claim, Expose, Job, Train, knob
from promptlab.create import inner
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode, Task
from promptlab.data.tree import Tree
from promptlab.errors import BadHyper
from promptlab.fit.events import Event, Note
from promptlab.fit.gradient import gradient
from promptlab.losses import cross_entropy
from promptlab.method import Bank, Method, Out


@dataclass(frozen=True)
class Hyper(Train):
    inner: str = knob("coop", help="id of the method that is taught; it must answer for any names")
    settings: str = knob("", help="knobs of the inner method, such as 'n_ctx=4,ctx_init=a photo of a'")
    beta: float = knob(0.1, 0.0, 1.0, help="probability that a random cut drops an internal node")
    node_weight: float = knob(0.5, 0.0, 100.0, help="lambda, weight of the nodes' own losses (1 on ImageNet)")
    lr: float = knob(0.02, 0.0, 1000.0, help="base learning rate")
    momentum: float = knob(0.0, 0.0, 1.0, help="momentum of SGD")
    weight_decay: float = knob(0.0, 0.0, 1.0, help="weight decay")
    epochs: int = knob(200, 0, 10000, help="passes over the support set")
    batch: int = knob(128, 1, 4096, help="images per step")
    schedule: str = knob("step-cosine", choices=("epoch-cosine", "step-cosine", "constant"), help="learning-rate schedule")
    augment: str = knob("none", choices=("none", "crop"), help="train-time transform")


class ProTeCt(Method):
    card = Card(
        id="protect", name="ProTeCt", year=2024, venue="CVPR", paper="arXiv:2306.02240", code="gina9726/ProTeCt", family="text prompt",
        supervision="supervised", difference="a prompt learner whose answers agree at every level of a class tree",
        trains="what its inner method trains", protocols=("few_shot", "base_to_new", "taxonomy"), params_b16_k100=8192,
        exposes=(Expose("inner.context.ctx", as_="words"), Expose("nodes", as_="tree")),
        presets={"demo": {"optimiser": "adam", "lr": 0.01, "batch": 64, "steps": 100}},
        claims=(Claim("cifar-100, CoOp, HCA", 16, "ViT-B-16", "hca", 0.569, "from memory (CoOp alone: 0.100)"),
                Claim("cifar-100, CoOp, MTA", 16, "ViT-B-16", "mta", 0.877, "from memory (CoOp alone: 0.506)")),
        departs=("one sweep of the cosine; the public scheduler counts steps as epochs and so goes up and down several times",
                 "one forward pass over all nodes instead of one a node", "float32 instead of float16",
                 "classes without a tree are the children of the root: the losses are then those of the leaves"),
        job=Job("world:animals@pixel-art", against="coop", protocol="taxonomy", test="coarse", shots=16),
    )
    Hyper = Hyper

    def __init__(self, backbone: Any, task: Task, hyper: Hyper):
        super().__init__(backbone, task, hyper)
        self.inner = inner("protect", hyper.inner, backbone, task, hyper, hyper.settings)
        if not self.inner.card.open_vocabulary:
            raise BadHyper(f"protect asks its inner method for the names of all nodes, and {hyper.inner} is bound to its classes; "
                           f"use an open-vocabulary method such as coop or maple.")
        self.tree = Tree.of(task.classes)

    def edits(self, batch: Batch | None = None) -> list[Edit]:
        return self.inner.edits(batch)

    def classes(self, names: ClassSet) -> Bank:
        """The inner method's bank of the names; for the learned classes that of all nodes, leaves first."""
        whole = replace(names, names=self.tree.names) if names.names == self.task.classes.names else names
        bank = self.inner.classes(whole)
        return Bank(names, None if bank.text is None else bank.text[..., : len(names), :], {"inner": bank})

    def forward(self, batch: Batch, bank: Bank) -> Out:
        return self.leaves(self.inner(batch, bank.extra["inner"]), bank)

    def predict(self, batch: Batch, bank: Bank) -> Out:
        return self.leaves(self.inner.predict(batch, bank.extra["inner"]), bank)

    def leaves(self, out: Out, bank: Bank) -> Out:
        """``pred`` [B, C] of the classes asked for; ``aux``: the logits of all nodes [B, V] and the inner method's whole answer."""
        return Out(out.pred[:, : len(bank.names)], {"nodes": out.pred, "inner": out})

    def loss(self, out: Out, batch: Batch) -> dict[str, Tensor]:
        """``cut`` (the leaves themselves outside training) and ``nodes``; what the inner method asks for beyond its cross-entropy stays."""
        z, y, tree = out.aux["nodes"], batch.target.to(out.pred.device), self.tree
        terms = self.inner.loss(out.aux["inner"], batch) if type(self.inner).loss is not Method.loss else {}
        labels, goal = tree.draw(self.hyper.beta) if self.training else tree.cut({})
        each = []
        for children, at in tree.steps.values():
            want = at.to(y.device)[y]
            each += [cross_entropy(z[:, children], want)] if (want >= 0).any() else []
        nodes = self.hyper.node_weight * torch.stack(each).mean() if each else z.sum() * 0
        return {"cut": cross_entropy(z[:, labels], goal.to(y.device)[y]), "nodes": nodes, **{k: v for k, v in terms.items() if k != "task"}}

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Event]:
        if len(self.tree.names) == self.tree.leaves:
            yield Note("the classes came without a tree, so there is nothing to be consistent with; give ClassSet.tree or a tree.json.")
        yield from gradient(self, episode, ctx)
