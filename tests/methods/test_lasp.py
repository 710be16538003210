"""LASP: the axis of the text loss, what is CoOp when everything is off, virtual classes, and the slower layer norms."""

import torch
import torch.nn.functional as F

from promptlab.create import build
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.kinds import kind_of
from promptlab.data.task import Task
from promptlab.fit.context import FitContext
from promptlab.methods.lasp import text_to_text
from promptlab.testing import tiny_backbone

NAMES = ClassSet(("cat", "bus stop", "owl"))
PART = Batch.of(torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.tensor([2, 0, 1]))


def make(key, **hyper):
    return build(key, tiny_backbone(), Task("single", NAMES), hyper)


def test_text_loss_by_plain_loops():
    g = torch.Generator().manual_seed(1)
    learned, written = F.normalize(torch.randn(3, 8, generator=g), dim=-1), F.normalize(torch.randn(2, 3, 8, generator=g), dim=-1)
    total = 0.0
    for p in range(2):
        for j in range(3):
            scores = torch.stack([7.0 * learned[i] @ written[p, j] for i in range(3)])
            total -= scores.log_softmax(0)[j] / 6
    torch.testing.assert_close(text_to_text(learned, written, torch.tensor(7.0)), total)
    other_axis = -torch.stack([(7.0 * learned @ written[p].T).log_softmax(1).diagonal().mean() for p in range(2)]).mean()
    assert not torch.isclose(total, other_axis)


def test_at_the_start_it_is_coop():
    lasp, coop = make("lasp"), make("coop", ctx_init="a photo of a")
    torch.testing.assert_close(lasp(PART, lasp.bank()).pred, coop(PART, coop.bank()).pred, rtol=1e-5, atol=1e-4)


def test_virtual_classes_take_part_in_the_text_loss_only():
    plain, more = make("lasp"), make("lasp", virtual=("dog", "cat"))
    a, b = plain(PART, plain.bank()), more(PART, more.bank())
    assert a.pred.shape == b.pred.shape == (3, 3) and torch.equal(a.pred, b.pred)
    assert len(b.aux["learned"]) == 4 and b.aux["written"].shape[:2] == (35, 4)
    assert more.loss(b, PART)["text"] > plain.loss(a, PART)["text"]


def test_noise_in_some_training_steps():
    method = make("lasp", noise=0.5)
    assert torch.equal(method.disturb(method.written), method.written)
    method.train()
    torch.manual_seed(0)
    changed = [not torch.equal(method.disturb(method.written), method.written) for _ in range(40)]
    assert 8 < sum(changed) < 32


def test_layer_norms_learn_at_a_tenth_of_the_rate():
    toy = kind_of("single").toy(size=32, classes=3, shots=2)
    hyper = {"optimiser": "adam", "lr": 1e-3, "steps": 1, "schedule": "constant", "batch": 6, "augment": "none", "clip_norm": None}
    method = build("lasp", tiny_backbone(), toy.episode.task, hyper)
    before = method.context.ctx.detach().clone()
    list(method.fit(toy.episode, FitContext()))
    moved = torch.cat([p.detach().flatten().abs() for p in method.norms.parameters()])
    torch.testing.assert_close((method.context.ctx - before).abs().median(), torch.tensor(1e-3), rtol=1e-2, atol=0)
    torch.testing.assert_close(moved.median(), torch.tensor(1e-4), rtol=1e-2, atol=0)


def test_without_norms_and_shift_only_the_context_is_left():
    assert [n for n, _ in make("lasp", norms=False, correction=False).named_parameters()] == ["context.ctx"]
