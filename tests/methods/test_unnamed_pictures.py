"""POUF and LaFTer, which learn from pictures without names: their losses by hand and what their parts may not depend on."""

import math

import torch
import torch.nn.functional as F

from promptlab.fit.context import FitContext
from promptlab.fit.events import Step
from promptlab.losses import information, two_way_transport
from promptlab.methods.lafter import LaFTer
from promptlab.methods.pouf import POUF
from promptlab.testing import Subject


def test_transport_of_two_pictures_and_two_classes_by_hand():
    c = torch.tensor([[0.9, 0.1], [0.3, 0.5]])
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    s = 2.0
    first = [sigmoid(s * (0.9 - 0.1)), sigmoid(s * (0.3 - 0.5))]  # of class 0, for each picture
    forth = sum(p * (1 - a) + (1 - p) * (1 - b) for p, (a, b) in zip(first, c.tolist(), strict=True)) / 2
    top = [sigmoid(s * (0.9 - 0.3)), sigmoid(s * (0.1 - 0.5))]  # of picture 0, for each class
    back = sum(p * (1 - a) + (1 - p) * (1 - b) for p, (a, b) in zip(top, c.T.tolist(), strict=True)) / 2
    torch.testing.assert_close(two_way_transport(1 - c, s * c), torch.tensor(forth + back))
    assert two_way_transport(1 - c.flip(0), s * c.flip(0)) == two_way_transport(1 - c, s * c)


def test_information_is_least_where_answers_are_sure_and_balanced():
    sure = 60 * torch.eye(4)
    torch.testing.assert_close(information(sure), torch.tensor(-math.log(4)), atol=1e-3, rtol=0)
    assert information(sure) < information(sure[[0, 0, 0, 0]]) and abs(information(torch.zeros(3, 4))) < 1e-3


def test_pouf_reads_no_label_and_moves_the_scale():
    s = Subject(POUF)
    a, b = s.make(), s.make()
    list(a.fit(s.toy.episode, FitContext()))
    wrong = s.toy.episode.support
    wrong = type(wrong)(wrong.source, wrong.rows, wrong.targets.flip(0))
    list(b.fit(s.toy.episode.replace(support=wrong), FitContext()))
    assert torch.equal(a.context.ctx, b.context.ctx) and a.log_scale != s.make().log_scale


def test_the_text_head_learns_apart_sentences():
    s = Subject(LaFTer)
    method = s.make(noise=0.0, text_steps=300, lr=0.05, smoothing=0.0)
    e, y = torch.eye(s.clip.joint_dim)[:4].repeat_interleave(3, 0), torch.arange(4).repeat_interleave(3)
    method.sentences = lambda: (e, y)
    events = list(method.read(FitContext()))
    assert (method.head(e).argmax(1) == y).all() and len(events) == 300 and isinstance(events[0], Step)
    assert torch.equal(method.teacher, method.head.weight)


def test_the_teacher_sees_no_prompts_but_the_learned_norms():
    s = Subject(LaFTer)
    method = s.make(frozen_teacher=False)
    seen = []
    encode = s.clip.encode_image

    class Spy:
        def __getattr__(self, name):
            return getattr(s.clip, name)

        def encode_image(self, pixels, edits=(), *rest, **more):
            seen.append({e.at for e in edits})
            return encode(pixels, edits, *rest, **more)

    object.__setattr__(method, "backbone", Spy())
    before = method.teach(s.batch)
    with torch.no_grad():
        method.prompts.mul_(100)
    assert torch.equal(before, method.teach(s.batch))
    assert "image.block.0.in" not in seen[0] and any("ln_" in name for name in seen[0])


def test_the_student_is_not_normalised():
    s = Subject(LaFTer)
    method = s.make()
    out = method(s.batch, method.bank())
    f = out.aux["features"]
    torch.testing.assert_close(out.pred, f @ method.head.weight.T)
    assert (f.norm(dim=1) - 1).abs().max() > 0.05
    want = F.cross_entropy(out.pred, method.teach(s.batch), label_smoothing=method.hyper.smoothing)
    torch.testing.assert_close(method.loss(out, s.batch)["teacher"], want)
