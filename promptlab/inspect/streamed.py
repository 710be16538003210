"""A test stream watched: what a method that adapts along it keeps, and how its accuracy runs."""

from typing import Any

import numpy as np
import torch

from promptlab.errors import WrongKind
from promptlab.inspect.evidence import picture
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.subject import as_batch, method_of
from promptlab.method import sandbox

ROWS, COLUMNS = 6, 3  # of the sheet: classes, and items of a class
QUEUES = ("positive", "negative")


@torch.no_grad()
def queues(subject: Any, images: Any, limit: int = 256) -> Exhibit:
    """The pictures as a stream through a method with per-class queues (TDA).

    arrays: ``positive queues`` [H, W, 3] a sheet of the pictures kept (one row a class, fullest first), ``positive`` and ``negative`` [C]
    items at the end, ``entropy`` [n] of each answer over log2 of the classes, and for labelled pictures ``running accuracy`` and
    ``running zero-shot accuracy`` [n]. sanity: share of answers that the queues changed; accuracy at the end beside zero-shot's.
    """
    method = method_of(subject)
    if not any(e.as_ == "queues" for e in method.card.exposes):
        raise WrongKind(f"{method.card.name} keeps no queues along a test stream; tda does.")
    batch, names = as_batch(method, images, limit), method.task.classes.names
    with sandbox(method):
        bank = method.bank()
        outs = [method.predict(batch.row(i), bank) for i in range(len(batch))]
    pred, plain = torch.cat([o.pred for o in outs]).argmax(1).cpu(), torch.cat([o.aux["plain"] for o in outs]).argmax(1).cpu()
    arrays = {"positive queues": _sheet(method, batch, bank.extra["positive"])}
    arrays |= {k: np.array(bank.extra[k].sizes, float) for k in QUEUES}
    arrays["entropy"] = torch.cat([o.aux["entropy"] for o in outs]).cpu().numpy()
    sanity = [Sanity("share of answers that the queues changed", float((pred != plain).float().mean()), 0.0)]
    if batch.target is not None and batch.target.ndim == 1:
        count = torch.arange(1, len(pred) + 1)
        right = {"running accuracy": pred == batch.target.cpu(), "running zero-shot accuracy": plain == batch.target.cpu()}
        arrays |= {k: (r.cumsum(0) / count).numpy() for k, r in right.items()}
        sanity.append(Sanity("accuracy over the stream", *(float(r.float().mean()) for r in right.values())))
    return Exhibit("queues", f"What {method.card.name} kept along the stream", arrays, {"class": names},
                   "A row of the sheet is a class, its surest picture first; the queues hold guesses, so wrong ones vote too.",
                   tuple(sanity), {"pictures": len(batch)})


def _sheet(method: Any, batch: Any, kept: Any) -> np.ndarray:
    """Thumbnails of the fullest queues, [ROWS · side, COLUMNS · side, 3] at most; white where a queue ends."""
    rows = sorted(kept.items, key=lambda c: (-len(kept.items[c]), c))[:ROWS]
    side = method.backbone.spec.size
    sheet = np.ones((side * max(1, len(rows)), side * COLUMNS, 3), np.float32)
    for r, c in enumerate(rows):
        for j, item in enumerate(kept.items[c][:COLUMNS]):
            sheet[r * side:(r + 1) * side, j * side:(j + 1) * side] = picture(method, batch.row(item.place))
    return sheet


EXHIBITS = {"queues": queues}
SHOWS = {"queues": "queues"}
