"""Test time: how far the tokens of one picture are from those of the training pictures, before and after the step."""

from typing import Any

import torch

from promptlab.errors import WrongKind
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.subject import method_of, one_picture
from promptlab.method import sandbox


@torch.no_grad()
def alignment(subject: Any, image: Any) -> Exhibit:
    """arrays: ``before`` and ``after`` [K], half the mean absolute difference of the means plus half that of the variances at the input
    of the first K image blocks. sanity: their sum after the step beside that before it."""
    method = method_of(subject)
    with sandbox(method):
        gap = method.predict(one_picture(method, image), method.bank()).aux.get("gap")
    if gap is None:
        raise WrongKind(f"{method.card.name} does not align its tokens with those of the training pictures; promptalign does.")
    before, after = gap[0].float().cpu().numpy()
    return Exhibit(
        "matrix",
        f"Distance of the tokens from the training pictures: {method.card.name}",
        {"before": before, "after": after},
        {"block": [f"block {i + 1}" for i in range(len(before))]},
        "Mean and variance over the kept views, against those over the training pictures; a step that aligns makes it smaller.",
        (Sanity("sum after the step (before it)", float(after.sum()), float(before.sum())),),
    )
