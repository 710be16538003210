"""Maps that a method answers with or weighs regions by (dense methods, DualCoOp), one a class."""

from typing import Any

import numpy as np
import torch

from promptlab.errors import WrongKind
from promptlab.inspect.evidence import picture
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.subject import class_index, method_of, one_picture
from promptlab.method import sandbox

EVEN = "largest share of one position (a uniform map's is the control)"


@torch.no_grad()
def masks(subject: Any, image: Any, name: str | int | None = None) -> Exhibit:
    """One map [h, w] for each thing that the card exposes as a mask, for one class (default: the one with the largest answer).

    arrays: the maps under their names, ``picture`` [H, W, 3]; for dense tasks ``label`` [h, w], the answer. sanity: agreement of the
    answer with the first map's sign, or for weights how far from uniform they are.
    """
    method = method_of(subject)
    exposed = [e.name for e in method.card.exposes if e.as_ == "mask"]
    if not exposed:
        raise WrongKind(f"{method.card.name} answers with one score per class, not with maps; see its evidence instead.")
    batch = one_picture(method, image)
    with sandbox(method):
        out = method.predict(batch, method.bank())
    pred = out.pred[0].float()
    c = class_index(method, name, pred.flatten(1).amax(1) if pred.ndim == 3 else pred)
    arrays = {e: out.aux[e][0, c].float().cpu().numpy() for e in exposed}
    if pred.ndim == 3:
        arrays["label"] = pred.argmax(0).cpu().numpy()
    first = next(iter(arrays.values()))
    positive = np.clip(first - first.min(), 0, None)
    share = float(positive.max() / max(positive.sum(), 1e-12))
    return Exhibit(
        "maps",
        f"Maps of {method.card.name} for '{method.task.classes.names[c]}'",
        arrays | {"picture": picture(method, batch)},
        {"map": tuple(arrays), "class": method.task.classes.names},
        "Each map has its own scale unless two are said to share one.",
        (Sanity(EVEN, share, 1 / first.size),),
        {"class": method.task.classes.names[c]},
    )


EXHIBITS = {"masks": masks}
SHOWS = {"mask": "masks"}
