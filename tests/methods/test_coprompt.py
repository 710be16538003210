"""CoPrompt: MaPLe when its own parts are off, and a teacher that sees something else."""

from dataclasses import replace

import torch

from promptlab import inspect
from promptlab.create import build
from promptlab.data.batch import View
from promptlab.data.kinds import kind_of
from promptlab.data.task import Task
from promptlab.testing import tiny_backbone

TOY = kind_of("single").toy(size=32, classes=3, shots=2)
NAMES = TOY.episode.task.classes
SAID = {n: tuple(f"{n} has {i} legs." for i in range(2 + (n == "dog"))) for n in NAMES.names}


def make(names=NAMES, **hyper):
    return build("coprompt", tiny_backbone(), Task("single", names), {"depth": 2, **hyper})


def batch():
    return next(TOY.episode.support.batches(8))


def test_without_adapters_and_pull_it_is_maple():
    method = make(image_share=0.0, text_share=0.0, weight=0.0)
    out, maple = method(batch(), method.bank()), method.maple
    assert torch.equal(out.pred, maple(batch(), maple.bank()).pred)
    terms = method.loss(out, batch())
    assert terms["text"].item() == terms["image"].item() == 0.0


def test_the_answer_by_hand():
    method = make(image_share=0.3, text_share=0.6)
    v = method.image(batch()).pooled
    t = method.text(method.maple.context.inputs(NAMES))
    v, t = 0.7 * v + 0.3 * method.adapt_image(v), 0.4 * t + 0.6 * method.adapt_text(t)
    want = method.backbone.scale * torch.nn.functional.cosine_similarity(v[:, None], t[None], dim=-1)
    torch.testing.assert_close(method(batch(), method.bank()).pred, want, rtol=1e-4, atol=1e-4)


def test_a_learner_that_is_the_teacher_is_consistent():
    method = make(weight=1.0)
    frozen = method.backbone.cached_image(batch()).pooled
    out = method(batch(), method.bank())
    same = replace(out, aux={"image": 3 * frozen, "text": method.teacher(NAMES)[0]})
    terms = method.loss(same, batch())
    assert abs(float(terms["image"])) < 1e-6 and abs(float(terms["text"])) < 1e-6  # one template: one sentence


def test_the_two_see_different_views_unless_there_is_one_only():
    method = make()
    one = batch()
    assert method.seen(one, 0) is one and method.seen(one, 1) is one
    cropped = one.with_view(View(3, seed=1))
    learner, teacher = method.seen(cropped, 0).view, method.seen(cropped, 1).view
    assert learner.randaugment and teacher.randaugment and learner.key != teacher.key
    assert not make(augment="crop").seen(cropped, 1).view.randaugment


def test_descriptions_are_read_and_one_sentence_is_drawn_a_step():
    method = make(replace(NAMES, descriptions=SAID), weight=1.0)
    sentences = method.teacher(method.task.classes)
    assert sentences.shape[:2] == (2, 3)  # the dog's third one has no counterpart
    plain = method.backbone.encode_text([SAID[n][1] for n in NAMES.names]).pooled
    torch.testing.assert_close(sentences[1], torch.nn.functional.normalize(plain, dim=-1))
    out = method.train()(batch(), method.bank())
    drawn = {round(float(method.loss(out, batch())["text"].detach()), 6) for _ in range(20)}
    mean = float(method.eval().loss(out, batch())["text"].detach())
    assert len(drawn) == 2 and abs(sum(drawn) / 2 - mean) < 1e-5


def test_kept_shows_the_spread_over_sentences():
    method = make(replace(NAMES, descriptions=SAID))
    shown = inspect.show(method, "kept", batch()).arrays
    assert (shown["text lowest"] <= shown["text"]).all() and (shown["text"] <= shown["text highest"]).all()
