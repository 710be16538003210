"""Tuning that is forgotten: a few steps on one picture, after which every learnable is what it was, bit for bit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from promptlab.card import Train
from promptlab.fit.optim import optimiser


@contextmanager
def forgotten(module: nn.Module) -> Iterator[list[nn.Parameter]]:
    """The learnables of ``module``, open to gradients; on leaving they, their flags and their gradients are put back."""
    params = list(module.parameters())
    kept = [(p.detach().clone(), p.requires_grad, p.grad) for p in params]
    try:
        for p in params:
            p.requires_grad_(True)
        yield params
    finally:
        with torch.no_grad():
            for p, (value, flag, grad) in zip(params, kept, strict=True):
                p.copy_(value)
                p.requires_grad_(flag)
                p.grad = grad


def tune(params: list[nn.Parameter], loss: Callable[[], Tensor], steps: int, lr: float, decay: float = 0.01,
         eps: float = 1e-8) -> list[float]:
    """``steps`` of a fresh AdamW on ``loss`` → its value before each. Gradients are on inside, whatever the caller's mode."""
    opt, seen = optimiser(Train(optimiser="adamw", lr=lr, weight_decay=decay, adam_eps=eps), params), []
    for _ in range(steps):
        with torch.enable_grad():
            value = loss()
            for p, grad in zip(params, torch.autograd.grad(value, params, allow_unused=True), strict=True):
                p.grad = grad
        opt.step()
        seen.append(float(value.detach()))
    return seen
