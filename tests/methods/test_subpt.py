"""SubPT: an orthonormal basis, a second run that never leaves it, and resuming in the middle of either run."""

import dataclasses

import pytest
import torch

from promptlab.create import build
from promptlab.data.classes import ClassSet
from promptlab.data.kinds import kind_of
from promptlab.data.task import Task
from promptlab.fit.context import FitContext
from promptlab.fit.events import Epoch, Finished, Started
from promptlab.fit.state import Checkpoint
from promptlab.methods.subpt import principal, project
from promptlab.testing import tiny_backbone

PLAIN = {"n_ctx": 4, "early": 4, "rank": 3, "epochs": 5, "batch": 4, "augment": "none", "warmup": 0, "lr": 0.05, "weight_decay": 0.0}


def toy():
    return kind_of("single").toy(size=32, classes=3, shots=2).episode


def make(**hyper):
    return build("subpt", tiny_backbone(), toy().task, {**PLAIN, **hyper})


def test_principal_directions():
    points = torch.randn(6, 40, generator=torch.Generator().manual_seed(0)).cumsum(0)
    basis, s = principal(points, 3)
    torch.testing.assert_close(basis @ basis.T, torch.eye(3), rtol=0, atol=1e-5)
    assert len(s) == 6 and s[-1] < 1e-4 * s[0]
    g = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    once = project(g, basis)
    torch.testing.assert_close(project(once, basis), once)
    assert len(principal(points, 99)[0]) == 5  # six points span five directions around their mean


def test_the_second_run_stays_in_the_subspace():
    method = make()
    start = method.context.ctx.detach().clone()
    events = list(method.fit(toy(), FitContext()))
    moved = (method.context.ctx.detach() - start).flatten()
    torch.testing.assert_close(project(moved, method.basis), moved, rtol=1e-3, atol=1e-6)
    assert moved.norm() > 1e-3 and method.path.any(1).all()
    assert [sum(isinstance(e, kind) for e in events) for kind in (Started, Finished)] == [1, 1]
    assert sum(isinstance(e, Epoch) for e in events) == 4 + 5
    assert float(method.variance.sum()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("stop_at", [2, 6])
def test_an_interrupted_fit_ends_where_an_unbroken_one_does(tmp_path, stop_at):
    whole = make()
    list(whole.fit(toy(), FitContext()))
    broken, ctx, seen = make(), FitContext(checkpoint=Checkpoint(tmp_path)), 0
    for event in broken.fit(toy(), ctx):
        seen += isinstance(event, Epoch)
        if seen == stop_at:
            break
    again = make()
    list(again.fit(toy(), FitContext(checkpoint=Checkpoint(tmp_path))))
    torch.testing.assert_close(again.path, whole.path)
    torch.testing.assert_close(again.context.ctx, whole.context.ctx, rtol=1e-5, atol=1e-6)


def test_novel_names_are_held_to_the_frozen_features():
    names = ClassSet(("cat", "owl"))
    method = build("subpt", tiny_backbone(), Task("single", names), {**PLAIN, "novel": ("dog", "bus"), "ctx_init": "a photo of a",
                                                                    "novel_template": "a photo of a {}."})
    part = dataclasses.replace(next(toy().support.batches(2)), target=torch.tensor([0, 1]))
    out = method(part, method.bank())
    assert out.aux["novel"].shape[0] == 2 and method.loss(out, part)["novel"].detach().abs() < 1e-5
