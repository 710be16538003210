"""Added tokens of the image tower: how much the class token reads from them, block by block, and how far prompts moved."""

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from promptlab.create import build
from promptlab.errors import WrongKind
from promptlab.inspect.attention import stack
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.subject import method_of, need, one_picture
from promptlab.method import Method, sandbox


@torch.no_grad()
def slots(subject: Any, image: Any) -> Exhibit:
    """What the class token reads in each block, mean over heads.

    arrays: ``read`` [L, 2 + n]: the share of itself (and registers), of all patches, and of each of the n added tokens (rows sum to
    one). sanity: mean share of the added tokens beside the share that they have among all tokens.
    """
    method = method_of(subject)
    need(method, "attention")
    clip, batch = method.backbone, one_picture(method, image)
    with sandbox(method):
        seen = stack(method.image(batch, taps=["image.block.*.attn.pattern"]).taps, "image")
    lead, m = clip.image.lead, clip.grid[0] * clip.grid[1]
    row = seen.mean(1)[:, 0]  # [L, T]
    n = row.shape[1] - lead - m
    if n <= 0:
        raise WrongKind(f"{method.card.name} adds no tokens to the patches; vpt does.")
    read = torch.cat([row[:, :lead].sum(1, keepdim=True), row[:, lead : lead + m].sum(1, keepdim=True), row[:, lead + m :]], 1)
    share = float(read[:, 2:].sum(1).mean())
    return Exhibit(
        "heat",
        f"What the class token reads: the slots of {method.card.name}",
        {"read": read.numpy()},
        {"read": ["class token", "patches", *(f"prompt {i + 1}" for i in range(n))]},
        "A row is one block and sums to one; prompts that nobody reads change nothing.",
        (Sanity("mean share of the added tokens (their share among all tokens)", share, n / row.shape[1]),),
    )


def moved(subject: Any) -> Exhibit:
    """How far each prompt vector is from its start, one map a tower: ``text`` and ``image`` [depth, n], Euclidean.

    The start is made again from the method's own settings and seed. sanity: mean distance of vision prompts beside that of text ones.
    """
    method = method_of(subject)
    now = by_tower(method)
    if not now:
        raise WrongKind(f"{method.card.name} learns no tokens of a tower; ivlp does.")
    start = by_tower(build(type(method), method.backbone, method.task, dataclasses.asdict(method.hyper)))
    arrays = {side: np.stack([(a - b).norm(dim=-1).numpy() for a, b in zip(rows, start[side])]) for side, rows in now.items()}
    labels = {side: [f"token {i + 1}" for i in range(a.shape[1])] for side, a in arrays.items()}
    mean = {side: float(a.mean()) for side, a in arrays.items()}
    first = "image" if "image" in mean else "text"
    return Exhibit(
        "heat",
        f"How far the prompts of {method.card.name} went",
        arrays,
        labels,
        "Distance from the start, one row a block; the scales of the two towers differ, since their vectors do.",
        (Sanity(f"mean distance in the {first} tower (in the text tower)", mean[first], mean.get("text")),),
    )


def by_tower(method: Method) -> dict[str, list[Tensor]]:
    """Prompt vectors {"text" | "image": [depth][n, D]} of equal n within a tower, in order of depth."""
    found: dict[str, list[Tensor]] = {}
    for name, p in method.named_parameters():
        side = "image" if ".tokens." in f".{name}" and "vision" in name else "text" if name.endswith("ctx") or ".tokens." in name else None
        if side and p.ndim == 2:
            found.setdefault(side, []).append(p.detach().float().cpu())
    return {side: rows for side, rows in found.items() if len({r.shape for r in rows}) == 1}


EXHIBITS = {"moved": moved, "slots": slots}
SHOWS = {"moved": "moved", "slots": "slots"}
