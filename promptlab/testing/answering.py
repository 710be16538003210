"""Checks of answers: shapes, zero-shot at the start, other names, independence of rows, saved state, taps, what is exposed."""

import tempfile
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.backbones.points import watch
from promptlab.data.classes import ClassSet
from promptlab.errors import ClosedVocabulary
from promptlab.files import read_tensors, write_tensors
from promptlab.fit.context import seed_all
from promptlab.fit.state import restore
from promptlab.method import Method, sandbox
from promptlab.testing.subject import Subject, close, sentence

OTHERS = ClassSet(("lamp", "grand_piano", "owl", "bus stop", "key"))


def answer(method: Method, batch, names: ClassSet | None = None) -> Tensor:
    """``predict`` as the evaluation calls it."""
    with sandbox(method), torch.no_grad():
        return method.predict(batch, method.bank(names)).pred


def predictions_have_the_right_shape(s: Subject) -> None:
    """float32 [B, C] (single, multi) or [B, C, h, w] (dense), finite, before and after the fit."""
    for method in (s.make(), s.fit()[0]):
        pred = answer(method, s.batch.row(0))
        assert pred.dtype == torch.float32 and pred.isfinite().all() and not pred.requires_grad
        assert pred.shape[:2] == (1, len(s.toy.episode.task.classes)) and pred.ndim == (4 if s.kind == "dense" else 2), tuple(pred.shape)


def starts_at_zero_shot_as_declared(s: Subject) -> None:
    """With ``identity_at_init`` the unfitted method answers what the frozen backbone answers."""
    if not s.card.identity_at_init or s.kind == "dense":
        return
    method, clip = s.make(), s.clip
    names = s.toy.episode.task.classes
    image = F.normalize(clip.cached_image(s.batch).pooled.float(), dim=-1)
    plain = clip.scale * image @ clip.zero_shot(names.clean, names.templates).T + clip.bias
    assert close(answer(method, s.batch), plain), f"the card of {s.card.id} says identity_at_init, but its first answer is not zero-shot's"


def logits_are_differentiable(s: Subject) -> None:
    """``logits(images)`` is float32 and carries gradients to the pictures (and, when there are any, to the learnables)."""
    method = s.make()
    pixels = s.batch.pixels(s.clip.spec).clone().requires_grad_()
    logits = method.logits(pixels)
    assert logits.dtype == torch.float32 and len(logits) == len(pixels)
    logits.square().mean().backward()
    assert pixels.grad is not None and pixels.grad.isfinite().all() and pixels.grad.any(), "no gradient reaches the pictures"


def answers_new_names_or_refuses(s: Subject) -> None:
    """Other names get an answer of the right width, or ``ClosedVocabulary`` in one sentence, as the card says."""
    method, _ = s.fit()
    try:
        pred = answer(method, s.batch.row(0), OTHERS)
    except ClosedVocabulary as error:
        assert not s.card.open_vocabulary, f"the card of {s.card.id} says open_vocabulary, but: {error}"
        assert s.card.id in sentence(error)
    else:
        assert s.card.open_vocabulary, f"{s.card.id} is declared closed, but answered for other names"
        assert pred.shape[:2] == (1, len(OTHERS)) and pred.isfinite().all()


def names_only_permute(s: Subject) -> None:
    """The same names in another order give the same numbers in that order."""
    if not s.card.open_vocabulary:
        return
    method, _ = s.fit()
    names = s.toy.episode.task.classes
    order = list(range(len(names)))[::-1]
    swapped = answer(method, s.batch.row(0), names.subset(order))
    assert close(swapped, answer(method, s.batch.row(0))[:, order], 1e-3), "permuting the names changes more than the order"


def rows_do_not_see_each_other(s: Subject) -> None:
    """The answer for a picture does not depend on the rest of its batch (unless ``card.stream``)."""
    if s.card.stream:
        return
    method, _ = s.fit()
    whole = answer(method, s.batch)
    apart = torch.cat([answer(method, s.batch.row(i)) for i in range(len(s.batch))])
    assert close(apart, whole), "an answer depends on the other pictures of its batch"


def saved_state_answers_alike(s: Subject) -> None:
    """The learnables, written to a file and put into a new method, give equal answers (state born in ``fit`` included)."""
    method, _ = s.fit()
    with tempfile.TemporaryDirectory() as folder:
        write_tensors(Path(folder) / "state.safetensors", method.state_dict())
        state = read_tensors(Path(folder) / "state.safetensors")
    other = s.make(seed=7)
    other.hyper = method.hyper
    restore(other, state, {n for n, _ in method.named_parameters()})
    assert {n for n, _ in other.named_parameters()} == {n for n, _ in method.named_parameters()}
    assert other.state_dict().keys() == method.state_dict().keys()
    seed_all(0)
    want = answer(method, s.batch)
    seed_all(0)
    got = answer(other, s.batch)
    assert torch.equal(got, want) if got.device.type == "cpu" else close(got, want), "the reopened method answers differently"


def taps_change_nothing(s: Subject) -> None:
    """Looking at values inside the towers changes no answer."""
    method, _ = s.fit()
    plain = answer(method, s.batch)
    with sandbox(method), torch.no_grad(), watch("*.block.*.out", "*.pooled", "*.stage.*.out") as seen:
        watched = method.predict(s.batch, method.bank()).pred
    assert close(watched, plain, 1e-5), f"watching {len(seen)} points changed the answer"


def exposed_names_exist(s: Subject) -> None:
    """Every ``Expose`` of the card is a learnable, or an entry of ``Out.aux`` of an answer."""
    method, _ = s.fit()
    with sandbox(method), torch.no_grad():
        aux = method.predict(s.batch, method.bank()).aux
    missing = [e.name for e in s.card.exposes if e.name not in aux and e.name not in method.state_dict()]
    assert not missing, f"the card exposes {', '.join(missing)}; there are {', '.join([*method.state_dict(), *aux])}"


def live_knobs_need_no_refit(s: Subject) -> None:
    """Live knobs may move after the fit: both ends answer with finite numbers."""
    from promptlab.card import knobs

    method, _ = s.fit()
    start = method.hyper
    for name, knob in knobs(s.cls.Hyper).items():
        for value in (knob.low, min(knob.high, 8) if knob.high is not None else None) if knob.live else ():
            if value is not None and knob.type in (int, float):
                method.hyper = replace(start, **{name: knob.type(value)})
                assert not answer(method, s.batch.row(0)).isnan().any(), f"{name}={value} after the fit gives no numbers"
    method.hyper = start


CHECKS = (predictions_have_the_right_shape, starts_at_zero_shot_as_declared, logits_are_differentiable, answers_new_names_or_refuses,
          names_only_permute, rows_do_not_see_each_other, saved_state_answers_alike, taps_change_nothing, exposed_names_exist,
          live_knobs_need_no_refit)
