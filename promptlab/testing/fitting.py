"""Checks of learning: gradients, over-fitting, determinism, stopping, modes at yields, the frozen backbone."""

import json
import math
from collections.abc import Iterator

import torch

from promptlab.backbones.points import watched
from promptlab.fit.context import FitContext
from promptlab.fit.events import Event, Step
from promptlab.fit.score import headline
from promptlab.fit.state import restore, snapshot
from promptlab.method import sandbox
from promptlab.testing.subject import OVERFIT, RATES, Subject, close, losses


def every_learnable_gets_a_gradient(s: Subject) -> None:
    """After a few steps no learnable is left without a gradient, or with one that is zero everywhere."""
    method, _ = s.fit(augment="none")
    if not list(method.parameters()):
        return
    method.zero_grad()
    sum(losses(method, s.batch).values()).backward()
    lost = [n for n, p in method.named_parameters() if p.grad is None or not p.grad.isfinite().all() or not p.grad.any()]
    assert not lost, f"no gradient reaches {', '.join(lost)}"


def overfits(s: Subject) -> None:
    """On 4 classes with 2 shots each, at one of a few learning rates, the loss falls clearly and a supervised method knows its shots."""
    problems = []
    for lr in RATES:
        problem = _overfit(s, lr)
        if problem is None:
            return
        problems.append(f"lr {lr:g}: {problem}")
    raise AssertionError("; ".join(problems))


def _overfit(s: Subject, lr: float) -> str | None:
    method, events = s.fit(**{**OVERFIT, "lr": lr})
    steps = [sum(e.terms.values()) for e in events if isinstance(e, Step)]
    last = sum(steps[-5:]) / 5
    if steps and last > steps[0] - 0.2 * abs(steps[0]):
        return f"the loss went from {steps[0]:.3f} to {last:.3f} in {len(steps)} steps"
    known = headline(method, s.toy.episode.support) if s.card.supervision == "supervised" else 1.0
    return f"{method.kind.headline} on its own shots is {known:.2f}" if known < 0.75 else None


def loss_terms_are_finite_and_named(s: Subject) -> None:
    """``loss`` gives named finite scalars."""
    method, _ = s.fit()
    terms = {k: v.detach() for k, v in losses(method, s.batch).items()}
    assert terms and all(isinstance(k, str) and v.ndim == 0 and math.isfinite(v) for k, v in terms.items()), f"bad loss terms {terms}"


def same_seed_same_numbers(s: Subject) -> None:
    """Two fits with one seed end in equal bits; so do two constructions. On a CPU: on a GPU the order of sums may differ."""
    if s.clip.device.type != "cpu":
        return
    (a, first), (b, second) = s.fit(), s.fit()
    steps = [[e.terms for e in events if isinstance(e, Step)] for events in (first, second)]
    assert steps[0] == steps[1], "two fits with the same seed took different steps"
    assert all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items()), "two fits with the same seed differ"


def backbone_is_never_written_to(s: Subject) -> None:
    """The digest of all weights is equal before and after a fit and an answer."""
    before = s.clip.digest()
    method, _ = s.fit()
    with sandbox(method), torch.no_grad():
        method.predict(s.batch.row(0), method.bank())
    assert s.clip.digest() == before, f"{s.card.id} wrote to the weights of the backbone"
    assert not any(w.requires_grad for side in (s.clip.image, s.clip.text) for w in side.weights.values())


def stopping_leaves_a_usable_method(s: Subject) -> None:
    """``stop``, ``close()`` and an interrupt at any event leave a finite method that answers."""
    for how in ("stop", "close", "interrupt"):
        method, ctx = s.make(), FitContext()
        events = method.fit(s.toy.episode, ctx)
        for count, _ in enumerate(events):
            if how == "stop":
                ctx.stop.set()
            elif count == 2:
                _end(events, how)
                break
        assert all(v.isfinite().all() for v in method.state_dict().values() if v.is_floating_point())
        assert all(p.requires_grad for p in method.parameters()), f"after {how}, some learnables are left frozen"
        with sandbox(method), torch.no_grad():
            assert method.predict(s.batch.row(0), method.bank()).pred.isfinite().all(), f"after {how} the answer is not finite"


def _end(events: Iterator[Event], how: str) -> None:
    if how == "close":
        events.close()
        return
    try:
        events.throw(KeyboardInterrupt())
    except (KeyboardInterrupt, StopIteration):
        return


def _modes() -> tuple:
    return (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda"),
            torch.is_deterministic_algorithms_warn_only_enabled(), torch.get_default_dtype(), watched())


def no_yield_inside_a_mode(s: Subject) -> None:
    """At every event the caller's grad, autocast and inference modes and watches are what they were (the yield rule)."""
    method, outside = s.make(), _modes()
    for event in method.fit(s.toy.episode, FitContext()):
        assert _modes() == outside, f"the fit of {s.card.id} yields {type(event).__name__} inside a mode"
    assert _modes() == outside


def events_are_plain_data(s: Subject) -> None:
    """Every event survives JSON, so that runs can be read anywhere; the method's own hyper-parameters too."""
    _, events = s.fit()
    for event in events:
        json.dumps(event.to_json(), allow_nan=False)


def fast_paths_change_nothing(s: Subject) -> None:
    """With the cut, the shared prefix and the caches off, loss and gradients are equal up to float32 rounding."""
    fast, _ = s.fit(augment="none")
    slow = s.make(s.slow_clip(), augment="none")
    slow.hyper = fast.hyper
    restore(slow, snapshot(fast), {n for n, _ in fast.named_parameters()})
    found = []
    for method in (fast.eval(), slow.eval()):  # evaluation mode: dropout would draw other numbers on another layout
        method.zero_grad()
        terms = method.loss(method(s.batch, method.bank()), s.batch)
        if any(t.requires_grad for t in terms.values()):
            sum(terms.values()).backward()
        found.append(({k: v.detach() for k, v in terms.items()}, {n: p.grad for n, p in method.named_parameters()}))
    for k, v in found[0][0].items():
        assert close(v, found[1][0][k]), f"loss term {k}: {v} with the fast paths, {found[1][0][k]} without"
    scale = max((float(g.abs().max()) for g in found[1][1].values() if g is not None), default=1.0)
    for n, g in found[0][1].items():
        if g is not None:
            assert (g - found[1][1][n]).abs().max() <= 1e-3 * max(scale, 1e-6), f"the gradient of {n} differs"


def learnables_move(s: Subject) -> None:
    """A fit that takes steps changes what it learns."""
    method = s.make(warmup=0)
    before = snapshot(method)
    events = list(method.fit(s.toy.episode, FitContext()))
    if any(isinstance(e, Step) for e in events):
        now = method.state_dict()
        assert any(k not in before or v.shape != before[k].shape or not torch.equal(v, before[k]) for k, v in now.items())


CHECKS = (every_learnable_gets_a_gradient, overfits, loss_terms_are_finite_and_named, same_seed_same_numbers, backbone_is_never_written_to,
          stopping_leaves_a_usable_method, no_yield_inside_a_mode, events_are_plain_data, fast_paths_change_nothing, learnables_move)
