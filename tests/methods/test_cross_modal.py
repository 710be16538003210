"""The head on pictures and sentences against plain formulas."""

import dataclasses

import torch
import torch.nn.functional as F

from promptlab.create import build
from promptlab.data.classes import ClassSet
from promptlab.data.kinds import kind_of
from promptlab.data.task import Task
from promptlab.fit.context import FitContext
from promptlab.fit.events import Step
from promptlab.testing import tiny_backbone

TOY = kind_of("single").toy(size=32, classes=4, shots=4)
TASK = Task("single", dataclasses.replace(TOY.episode.task.classes, templates=("a photo of a {}.", "art of the {}.")))
QUICK = {"batch": 4, "augment": "none", "warmup_steps": 0}


def make(**hyper):
    return build("cross_modal", tiny_backbone(), TASK, {**QUICK, **hyper})


def batch():
    return next(TOY.episode.support.batches(64))


def test_no_steps_is_zero_shot_with_raw_means():
    method, clip = make(), tiny_backbone()
    raw = sum(clip.encode_text(TASK.classes.prompts(t)).pooled for t in TASK.classes.templates)
    v = F.normalize(clip.cached_image(batch()).pooled, dim=-1)
    torch.testing.assert_close(method.weight.detach(), F.normalize(raw, dim=-1))
    torch.testing.assert_close(method(batch(), method.bank()).pred, clip.scale * v @ F.normalize(raw, dim=-1).T)


def test_rows_of_sentences_belong_to_classes_in_turn():
    method, clip = make(), tiny_backbone()
    want = F.normalize(clip.encode_text([TASK.classes.templates[1].format(TASK.classes.clean[2])]).pooled, dim=-1)
    torch.testing.assert_close(method.sentences(TASK.classes)[4 + 2], want[0], rtol=1e-4, atol=1e-5)


def test_loss_is_the_mean_over_the_joint_batch():
    method = make(seed=3).train()
    out = method(batch(), method.bank())
    chosen = torch.randperm(8, generator=torch.Generator().manual_seed(3 * 1_000_003))
    texts = method.sentences(TASK.classes)[chosen]  # eight of each: 16 pictures, but only 8 sentences
    x = torch.cat([out.aux["features"], texts])
    y = torch.cat([batch().target, chosen % 4])
    want = F.cross_entropy(method.backbone.scale * x @ method.weight.T, y)
    torch.testing.assert_close(sum(method.loss(out, batch()).values()), want)
    assert int(method.drawn) == 1 and out.aux["text_target"].tolist() == (chosen % 4).tolist()


def test_sentences_alone_are_learned_to_the_end():
    method = make(init="random", lr=0.05, steps=60, schedule="constant", select_on="last")
    list(method.fit(TOY.episode, FitContext()))
    texts = method.sentences(TASK.classes)
    assert (method.score(texts, method.bank()).argmax(1) == torch.arange(8) % 4).all()


def test_mixed_with_its_start_and_back():
    method = make(steps=8)
    list(method.fit(TOY.episode, FitContext()))
    head = method.weight.detach()
    for a in (0.0, 0.5, 1.0):
        method.hyper = dataclasses.replace(method.hyper, wise=a)
        torch.testing.assert_close(method.bank().extra["head"].detach(), a * head + (1 - a) * method.start(TASK.classes))


def test_pictures_only_have_one_term_and_validation_keeps_the_best():
    method = make(texts=False, steps=4)
    steps = [e for e in method.fit(TOY.episode, FitContext()) if isinstance(e, Step)]
    assert set(steps[0].terms) == {"task"}
    wild = make(steps=40, lr=30.0, schedule="constant", optimiser="sgd")
    events = list(wild.fit(TOY.episode, FitContext()))
    scores = [e.val["accuracy"] for e in events if getattr(e, "val", None)]
    v = next(TOY.episode.val.batches(64))
    assert float((wild.eval()(v, wild.bank()).pred.argmax(1) == v.target).float().mean()) == max(scores)


def test_learnables():
    task = Task("single", ClassSet(tuple(f"thing {i}" for i in range(5))))
    assert build("cross_modal", tiny_backbone(), task, {}).trainable() == 5 * 24
