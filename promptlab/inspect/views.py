"""Test time: the views that TPT made of one picture, which it kept, and what the step did."""

from typing import Any

import numpy as np

from promptlab.errors import WrongKind
from promptlab.inspect.evidence import picture
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.subject import method_of, one_picture
from promptlab.method import sandbox


def views(subject: Any, image: Any) -> Exhibit:
    """arrays: ``entropy`` [V] of each view's prediction, ``kept`` [K] indices with least entropy, ``before`` and ``after`` [C]
    probabilities, ``picture``. sanity: entropy of the answer after the step beside that before it."""
    method = method_of(subject)
    if not method.card.stream:
        raise WrongKind(f"{method.card.name} does not adapt at test time; tpt does.")
    batch = one_picture(method, image)
    with sandbox(method):
        aux = method.predict(batch, method.bank()).aux
    first = {k: aux[k][0].detach().cpu().float().numpy() for k in ("entropies", "before", "after")}
    entropy = {k: float(-(first[k] * np.log(np.maximum(first[k], 1e-12))).sum()) for k in ("before", "after")}
    return Exhibit(
        "bars",
        f"Views and the step of {method.card.name}",
        {
            "entropy": first["entropies"],
            "kept": aux["kept"][0].cpu().numpy(),
            "before": first["before"],
            "after": first["after"],
            "picture": picture(method, batch),
        },
        {"class": method.task.classes.names},
        "Only the views with least entropy take part in the step.",
        (Sanity("entropy of the answer after the step", entropy["after"], entropy["before"]),),
    )


EXHIBITS = {"views": views}
SHOWS = {"views": "views"}
