"""Checks of what a method declares: card, knobs, constructor, learnables, parameter count."""

import contextlib
import inspect
import io
import math
from pathlib import Path

import torch

from promptlab.backbones.tiny import hollow_backbone
from promptlab.card import Knob, build_hyper, knobs
from promptlab.create import build
from promptlab.data.classes import ClassSet
from promptlab.data.kinds import KINDS
from promptlab.data.task import Task
from promptlab.errors import BadHyper
from promptlab.method import sandbox
from promptlab.testing.subject import Subject, sentence


def card_is_complete(s: Subject) -> None:
    """Every field that people read is filled, and the kinds exist."""
    card = s.card
    for name in ("id", "name", "venue", "family", "supervision", "difference", "trains"):
        assert str(getattr(card, name)).strip(), f"the card of {s.cls.__name__} has no {name}"
    assert 1950 < card.year < 2100 and "\n" not in card.difference and len(card.difference) <= 140
    assert card.kinds and set(card.kinds) <= set(KINDS), f"kinds {card.kinds} must be among {KINDS}"
    assert (inspect.getmodule(s.cls).__doc__ or "").strip() or (s.cls.__doc__ or "").strip(), "no docstring with idea, formula and source"


def id_is_file(s: Subject) -> None:
    """The card's id is the name of the file, where there is one."""
    with contextlib.suppress(OSError, TypeError):
        assert Path(inspect.getfile(s.cls)).stem == s.card.id, f"the file of {s.cls.__name__} must be called {s.card.id}.py"


def knobs_build_at_both_ends(s: Subject) -> None:
    """Defaults, presets, both ends and all choices are allowed; what lies outside is refused in one sentence."""
    build_hyper(s.card.id, s.cls.Hyper, {})
    for preset in s.card.presets:
        build_hyper(s.card.id, s.cls.Hyper, {}, s.card.presets, preset)
    for name, knob in knobs(s.cls.Hyper).items():
        assert knob.help, f"knob {name} has no help"
        for value in (knob.low, knob.high, *knob.choices, *([None] if knob.optional else [])):
            if value is not None or knob.optional:
                build_hyper(s.card.id, s.cls.Hyper, {name: value})
        for value in _outside(knob):
            try:
                build_hyper(s.card.id, s.cls.Hyper, {name: value})
            except BadHyper as error:
                assert name in sentence(error) and s.card.id in str(error)
            else:
                raise AssertionError(f"{name}={value!r} was not refused")


def _outside(knob: Knob) -> list[object]:
    wrong: list[object] = [object()]
    if knob.choices:
        return [*wrong, "no such choice"]
    step = 1 if knob.type is int else 1e-3
    ends = ((knob.low, -step), (knob.high, step)) if knob.type in (int, float) else ()
    return [*wrong, *(knob.type(end + away * max(1, abs(end))) for end, away in ends if end is not None and math.isfinite(end))]


def constructs_in_silence(s: Subject) -> None:
    """``__init__`` prints nothing and leaves the backbone out of the modules."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        method = s.make()
    assert not out.getvalue() and not err.getvalue(), "the constructor printed"
    assert method.backbone is not None and all(m is not method.backbone for m in method.modules())


def parameters_are_the_state(s: Subject) -> None:
    """Parameters are float32 leaves on the backbone's device, all in the checkpoint, and no weight of the backbone is among them."""
    method, _ = s.fit()
    state = method.state_dict()
    frozen = {w.data_ptr() for side in (s.clip.image, s.clip.text) for w in side.weights.values() if w.numel()}
    for name, p in method.named_parameters():
        assert p.requires_grad and p.is_leaf and p.dtype == torch.float32, f"{name} must be a float32 learnable"
        assert p.device.type == s.clip.device.type and name in state, f"{name} must be on {s.clip.device} and in state_dict()"
    shared = [n for n, v in state.items() if v.numel() and v.data_ptr() in frozen]
    assert not shared, f"weights of the backbone are in the checkpoint: {shared}"


def counts_what_the_card_says(s: Subject) -> None:
    """At ViT-B-16 with 100 classes and the paper's settings, exactly ``params_b16_k100`` numbers are learned."""
    if s.card.params_b16_k100 is None or "resnet" in s.card.needs:
        return
    clip = hollow_backbone()
    task = Task(s.kind, ClassSet(tuple(f"thing {i}" for i in range(100))), "count")
    found = build(s.cls, clip, task).trainable()
    assert found == s.card.params_b16_k100, f"the card of {s.card.id} says {s.card.params_b16_k100:,} learnables; there are {found:,}"


def sandbox_restores(s: Subject) -> None:
    """Whatever happens to the learnables inside ``sandbox`` is undone bit for bit, modes and flags too."""
    method, _ = s.fit()
    method.train()
    before = {k: v.clone() for k, v in method.state_dict().items()}
    with contextlib.suppress(RuntimeError), sandbox(method):
        assert not method.training
        with torch.no_grad():
            for v in method.state_dict().values():
                v.add_(1)
            for p in method.parameters():
                p.requires_grad_(False)
        raise RuntimeError
    assert method.training and all(p.requires_grad for p in method.parameters())
    assert all(torch.equal(before[k], v) for k, v in method.state_dict().items()), "the state was not put back"


CHECKS = (card_is_complete, id_is_file, knobs_build_at_both_ends, constructs_in_silence, parameters_are_the_state,
          counts_what_the_card_says, sandbox_restores)
