"""Anything else that a card exposes: numbers that a method answers with or learned, as bars, heat maps and matrices."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from promptlab.errors import WrongKind
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.subject import class_index, method_of, one_picture
from promptlab.method import Method, sandbox

AS = ("bars", "curve", "features", "gate", "gates", "heat", "map", "matrix", "numbers", "plan", "router", "tree", "weights")
"""What this file shows: cards name what they expose in these words, and their values need no exhibit of their own."""


@torch.no_grad()
def exposed(subject: Any, image: Any, name: str | int | None = None) -> Exhibit:
    """What the card exposes as bars, heat, matrix, gates, ... for one picture (and one class, where it is there for each).

    arrays: the values under their names: [n], [n, m] or [k, n, m]; the picture's and the class's axes are picked, axes of length 1
    dropped. Values come from ``Out.aux``, else from the class side's ``extra``, else from the method itself (a learnable, or a property).
    sanity: largest absolute value.
    """
    method = method_of(subject)
    wanted = [e for e in method.card.exposes if e.as_ in AS]
    if not wanted:
        raise WrongKind(f"the card of {method.card.name} exposes no further numbers; see its other exhibits.")
    batch = one_picture(method, image)
    with sandbox(method):
        bank = method.bank()
        out = method.predict(batch, bank)
    pred = out.pred[0].float()
    c = class_index(method, name, pred.flatten(1).amax(1) if pred.ndim == 3 else pred)
    found = {e.name: _picked(_value(method, bank, out, e.name), e.name in out.aux, c, len(pred)) for e in wanted}
    classes = method.task.classes.names
    arrays = {k.rsplit(".", 1)[-1].replace("_", " "): v for k, v in found.items()}
    per_class = any(len(classes) in v.shape for v in arrays.values())
    top = max(float(np.abs(v).max()) if v.size else 0.0 for v in arrays.values())
    return Exhibit("numbers", f"What {method.card.name} exposes", arrays, {"class": classes} if per_class else {},
                   f"{method.card.difference}: {', '.join(arrays)}.", (Sanity("largest absolute value", top),), {"class": classes[c]})


def _value(method: Method, bank: Any, out: Any, name: str) -> Tensor:
    """The value of that name, wherever the method keeps it."""
    for place in (out.aux, bank.extra, dict(method.named_parameters()), dict(method.named_buffers())):
        if isinstance(place.get(name), Tensor | np.ndarray | list):
            return torch.as_tensor(place[name]).detach().float().cpu()
    value: Any = method
    for part in name.split("."):
        value = value[int(part)] if part.isdigit() else getattr(value, part, None)
    value = value() if callable(value) and not isinstance(value, Tensor) else value
    if not isinstance(value, Tensor | np.ndarray):
        raise WrongKind(f"{method.card.name} exposes '{name}' and does not give it as numbers.")
    return torch.as_tensor(value).detach().float().cpu()


def _picked(value: Tensor, per_picture: bool, c: int, n_classes: int) -> np.ndarray:
    """Without the axis of the single picture, without axes of length 1, and of the class ``c`` where that leaves fewer than 3 axes."""
    if per_picture and value.ndim > 1 and len(value) == 1:
        value = value[0]
    if value.ndim > 2 and len(value) == n_classes:
        value = value[c]
    value = value.squeeze()
    if value.ndim == 0:
        return value.reshape(1).numpy()
    return value.numpy() if value.ndim < 3 else value.reshape(-1, *value.shape[-2:]).numpy()


EXHIBITS = {"exposed": exposed}
SHOWS = dict.fromkeys(AS, "exposed")
