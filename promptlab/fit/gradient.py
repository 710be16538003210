"""Gradient descent on the support set, as a generator of events: the recipe of most methods."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from promptlab.data.batch import Batch, View
from promptlab.data.task import Episode
from promptlab.errors import BadData
from promptlab.fit import state
from promptlab.fit.context import FitContext
from promptlab.fit.events import Epoch, Event, Finished, Note, Started, Step
from promptlab.fit.optim import Plan, optimiser
from promptlab.fit.score import score

Terms = Callable[[Any, Batch], dict[str, Tensor]]
Combine = Callable[[dict[str, Tensor], list[Tensor]], None]


def gradient(method: Any, episode: Episode, ctx: FitContext | None = None, *, params: Iterable[Any] | None = None,
             terms: Terms | None = None, combine: Combine | None = None) -> Iterator[Event]:
    """Fit ``method`` on ``episode.support`` by its ``hyper``.

    ``params``: learnables (or torch parameter groups) to train, default all; the others keep still.
    ``terms(out, batch)``: loss terms instead of ``method.loss``. ``combine(terms, params)``: instead of backpropagating
    the sum, leaves a gradient in each ``p.grad`` (projected, agreed, ... gradients).
    Stopping, closing the generator, an interrupt or a loss that is not finite leave the last finite state in place.
    """
    ctx = ctx or FitContext()
    loop = _Loop(method, episode, ctx, params, terms, combine)
    yield Started(method.card.id, dataclasses.asdict(method.hyper), sum(p.numel() for p in loop.params), loop.plan.total)
    try:
        loop.begin()
        why = yield from _epochs(loop)
    finally:
        loop.end()
    yield Finished(ctx.elapsed, why)


def _epochs(loop: "_Loop") -> Iterator[Event]:
    for epoch in range(loop.epoch, loop.plan.epochs):
        sums: dict[str, float] = {}
        count = loop.plan.steps_in(epoch)
        for batch in loop.batches(epoch):
            if why := loop.ctx.halt():
                return why
            start = time.perf_counter()
            terms = loop.step(batch, epoch)
            if terms is None:
                yield Note(f"step {loop.done + 1}: the loss or its gradient is not finite; the last finite state is kept, try a lower lr.")
                return "collapsed"
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value / count
            yield Step(loop.done, loop.plan.total, terms, loop.lr, time.perf_counter() - start)
        val = loop.validate(epoch)
        loop.keep(epoch, val)
        yield Epoch(epoch + 1, loop.plan.epochs, sums, val)
    return "done"


class _Loop:
    """The state of one ``gradient`` call."""

    def __init__(self, method: Any, episode: Episode, ctx: FitContext, params: Any, terms: Terms | None, combine: Combine | None):
        if episode.support is None or episode.support.targets is None or not len(episode.support):
            raise BadData(f"{method.card.id} learns from labelled pictures and '{episode.task.name}' has none; give it shots.")
        self.method, self.episode, self.ctx, self.combine = method, episode, ctx, combine
        self.terms = terms or method.loss
        groups = list(method.parameters() if params is None else params)
        self.params = [p for g in groups for p in (g["params"] if isinstance(g, Mapping) else [g])]
        self.plan = Plan.of(method.hyper, len(episode.support))
        self.opt = optimiser(method.hyper, groups) if self.params else None
        self.epoch, self.done, self.lr, self.bank = 0, 0, 0.0, None
        self.best: tuple[float, dict[str, Tensor]] | None = None
        self.stage = ctx.next_stage()

    def begin(self) -> None:
        """Training mode on, other learnables still, and the last saved epoch (if any) put back."""
        chosen = {id(p) for p in self.params}
        self.flags = [(p, p.requires_grad) for p in self.method.parameters()]
        for p, _ in self.flags:
            p.requires_grad_(id(p) in chosen)
        self.method.train()
        saved = self.ctx.checkpoint.load(self.stage) if self.ctx.checkpoint else None
        if saved:
            self.epoch, tensors, meta = saved
            self.done = min(self.epoch * self.plan.per_epoch, self.plan.total)
            state.restore(self.method, {k.removeprefix("method/"): v for k, v in tensors.items() if k.startswith("method/")})
            state.load_optimiser(self.opt, tensors, meta["optimiser"])
            state.load_random(tensors, meta["random"])
            if meta["best"] is not None:
                self.best = (meta["best"], {k.removeprefix("best/"): v for k, v in tensors.items() if k.startswith("best/")})
        self.finite = state.snapshot(self.method)

    def end(self) -> None:
        """Evaluation mode, a finite state (the best one when that was asked for), no gradients left behind."""
        if not all(torch.isfinite(v).all() for v in self.method.state_dict().values() if v.is_floating_point()):
            state.restore(self.method, self.finite)
        if self.best is not None and self.ctx.keep == "best":
            state.restore(self.method, self.best[1])
        for p, flag in self.flags:
            p.requires_grad_(flag)
            p.grad = None
        self.method.eval()
        self.bank = None

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The epoch's batches: order from (seed, epoch), so that a resumed fit sees what the whole one saw."""
        h, support = self.method.hyper, self.episode.support
        order = torch.randperm(len(support), generator=torch.Generator().manual_seed(h.seed * 1_000_003 + epoch))
        index = 0 if h.augment == "none" else 1 + (epoch % h.views if h.views else epoch)
        view = View(index, h.crop_scale, seed=h.seed) if index else View()
        device = self.method.backbone.device
        left = self.plan.steps_in(epoch)
        for batch in support.batches(h.batch, order=order, view=view, drop_last=True):
            if left <= 0:
                return
            left -= 1
            yield dataclasses.replace(batch, target=batch.target.to(device))

    def step(self, batch: Batch, epoch: int) -> dict[str, float] | None:
        """One update; None (and no update) when the loss or a gradient is not finite."""
        self.lr = self.plan.rate(epoch, self.done)
        if self.bank is None or not _constant(self.bank):  # a bank that learnables shape has a new graph each step
            self.bank = self.method.bank()
        terms = self.terms(self.method(batch, self.bank), batch)
        values = {k: float(v.detach()) for k, v in terms.items()}
        if not all(math.isfinite(v) for v in values.values()):
            return None
        if self.opt is not None:
            self.opt.zero_grad(set_to_none=True)
            self.combine(terms, self.params) if self.combine else sum(terms.values()).backward()
            if not self._update():
                return None
        self.done += 1
        return values

    def _update(self) -> bool:
        limit = self.method.hyper.clip_norm
        norm = nn.utils.clip_grad_norm_(self.params, math.inf if limit is None else limit)
        if not torch.isfinite(norm):
            return False
        for group in self.opt.param_groups:
            group["lr"] = self.lr * group.get("scale", 1.0)
        self.opt.step()
        return True

    def validate(self, epoch: int) -> dict[str, float]:
        """Metrics on ``episode.val`` when this epoch is due for them."""
        every, val = self.ctx.val_every, self.episode.val
        due = every and ((epoch + 1) % every == 0 or epoch + 1 == self.plan.epochs)
        return score(self.method, val) if due and val is not None and val.targets is not None else {}

    def keep(self, epoch: int, val: dict[str, float]) -> None:
        """Remember the epoch: its finite state, the best one by the headline metric, and the checkpoint on disk."""
        now = state.snapshot(self.method)
        if all(torch.isfinite(v).all() for v in now.values() if v.is_floating_point()):
            self.finite = now
        if val and self.ctx.keep == "best":
            first = val[self.method.kind.headline]
            if self.best is None or first > self.best[0]:
                self.best = (first, now)
        if self.ctx.checkpoint is None or self.opt is None:
            return
        opt, opt_meta = state.save_optimiser(self.opt)
        rng, rng_meta = state.save_random()
        best = {} if self.best is None else {f"best/{k}": v for k, v in self.best[1].items()}
        tensors = {**{f"method/{k}": v for k, v in now.items()}, **opt, **rng, **best}
        meta = {"optimiser": opt_meta, "random": rng_meta, "best": None if self.best is None else self.best[0]}
        self.ctx.checkpoint.save(self.stage, epoch + 1, tensors, meta)


def _constant(value: Any) -> bool:
    """Whether nothing in a bank can change between steps: no tensor with a graph, nothing callable."""
    if isinstance(value, Tensor):
        return not value.requires_grad
    if dataclasses.is_dataclass(value):
        return all(_constant(getattr(value, f.name)) for f in dataclasses.fields(value))
    if isinstance(value, Mapping):
        return all(_constant(v) for v in value.values())
    if isinstance(value, list | tuple):
        return all(_constant(v) for v in value)
    return not callable(value)
