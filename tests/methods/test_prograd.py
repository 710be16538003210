"""ProGrad: gradients by hand, zeros before the words, and no step against the advice."""

import pytest
import torch

from promptlab.create import build
from promptlab.data.classes import ClassSet
from promptlab.data.kinds import kind_of
from promptlab.data.task import Task
from promptlab.fit.context import FitContext
from promptlab.fit.events import Note
from promptlab.methods.prograd import aligned, tail_first
from promptlab.testing import tiny_backbone

NAMES = ClassSet(("cat", "bus stop", "owl"), ("a photo of a {}, a type of pet.",))


@pytest.mark.parametrize(("g", "advice", "share", "want"), [
    ((1.0, -1.0), (0.0, 3.0), 1.0, (1.0, 0.0)),
    ((1.0, -1.0), (0.0, 3.0), 0.8, (1.0, -0.2)),
    ((1.0, -1.0), (2.0, 1.0), 1.0, (1.0, -1.0)),
    ((1.0, -1.0), (0.0, 0.0), 1.0, (1.0, -1.0)),
])
def test_gradients_by_hand(g, advice, share, want):
    found = aligned(torch.tensor([g]), torch.tensor([advice]), share)
    torch.testing.assert_close(found, torch.tensor([want]))


def test_projection_leaves_nothing_that_opposes():
    g, advice = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    for sign in (1, -1):
        out = aligned(g, sign * advice)
        assert float((out * sign * advice).sum()) >= -1e-5 * float(out.norm() * advice.norm())
        assert torch.equal(out, g) == bool((g * sign * advice).sum() >= 0)


def test_template_words_stand_after_zeros():
    clip = tiny_backbone()
    method = build("prograd", clip, Task("single", NAMES), {"n_ctx": 10})
    ctx = method.context.ctx
    assert len(ctx) == 10 and not ctx[:2].any()
    torch.testing.assert_close(ctx[2:].detach(), clip.embed(clip.tokenize(["a type of pet, a photo of a"]))[0, 1:9])
    assert method.context.texts(NAMES)[0] == "X X a type of pet, a photo of a cat."


@pytest.mark.parametrize(("template", "want"), [
    ("a photo of a {}, a type of pet.", "a type of pet, a photo of a {}."), ("{} texture.", "a texture of {}."),
    ("a centered satellite photo of {}.", "a centered satellite photo of {}."), ("{}.", "{}."),
])
def test_the_tail_goes_first(template, want):
    assert tail_first(template) == want


def test_no_step_against_the_advice():
    toy = kind_of("single").toy(size=32, classes=3, shots=2)
    method = build("prograd", tiny_backbone(), toy.episode.task, {"steps": 4, "batch": 6, "augment": "none", "n_ctx": 4})
    seen, plain = [], method.combine

    def watched(terms, params):
        (advice,) = torch.autograd.grad(method.waiting, params, retain_graph=True)
        plain(terms, params)
        seen.append(float((params[0].grad * advice).sum() / advice.norm().clamp(min=1e-12)))

    method.combine = watched
    events = list(method.fit(toy.episode, FitContext()))
    assert len(seen) == 4 and min(seen) > -1e-5 and len(method.cosines) == 4
    assert any(isinstance(e, Note) and "opposed" in e.text for e in events)
