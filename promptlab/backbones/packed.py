"""The exact fast path of causal text: a shared prefix runs once, and rows of different length lie side by side in bins.

Tokens after the pooled row (EOT) change nothing and are never computed. What is left of the R suffixes is packed, whole rows, into bins
of C slots; the queries of a bin see the keys of their group's prefix and, under a mask, those of their own row. So every product is one
matrix over all tokens, and attention is one call over bins. In the last block only the EOT rows are queries.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from promptlab.backbones.blocks import Block, add, heads, merge, mlp, qkv
from promptlab.backbones.points import Edit, TextInput
from promptlab.backbones.session import Session

SAVED = 20  # float32 values kept for the backward pass, per token and block, in units of the width (measured: 18)
BUDGET = 3 * 2**30  # bytes of activations above which blocks are recomputed in the backward pass


def expressible(s: Session, x: TextInput, share: bool) -> bool:
    """True if every edit of a text value acts on shared prefix slots or token by token."""
    if Walk is None:
        return False
    p = x.prefix.shape[1] if share and not x.zipped else 0
    for name, edits in s.edited_points().items():
        if name == "text.pooled":
            continue
        if name.endswith(".attn.pattern") or not all(e.pointwise and e.slots is None or _inside(e, p) for e in edits):
            return False
    return True


def _inside(edit: Edit, p: int) -> bool:
    return edit.slots is not None and edit.slots[1] is not None and 0 <= edit.slots[0] <= edit.slots[1] <= p


def saving(tower: Any, x: Tensor, run: Callable, *args: Any) -> Tensor:
    """``run(*args)``; recomputed in the backward pass when keeping all activations of all blocks would be too much."""
    tokens = x.shape[:-1].numel()
    if torch.is_grad_enabled() and tokens * tower.width * SAVED * tower.layers * 4 > BUDGET:
        return checkpoint(run, *args, use_reentrant=False)
    return run(*args)


@dataclass(frozen=True)
class Layout:
    """``slot`` [nb, C]: row·S + j of the suffix token in each slot (free slots repeat token 0); ``pos`` [nb, C]: its position;
    ``mask`` [nb, 1, C, P + C]: additive, which keys a slot sees; ``ask`` [nb, Q]: slots of the EOT rows; ``answer`` [R]: row → place in ask."""

    p: int
    slot: Tensor
    pos: Tensor
    mask: Tensor
    ask: Tensor
    answer: Tensor

    @property
    def bins(self) -> tuple[int, int]:
        return tuple(self.slot.shape)

    @property
    def ask_mask(self) -> Tensor:
        """[nb, 1, Q, P + C]: the rows of ``mask`` that belong to the EOT slots."""
        return self.mask.gather(2, self.ask[:, None, :, None].expand(-1, 1, -1, self.mask.shape[-1]))


def pack(lengths: list[int], capacity: int) -> list[list[int]]:
    """Rows put into bins of at most ``capacity`` tokens, longest first into the first bin with room."""
    bins: list[list[int]] = []
    room: list[int] = []
    for r in sorted(range(len(lengths)), key=lambda r: -lengths[r]):
        i = next((i for i, left in enumerate(room) if left >= lengths[r]), len(bins))
        if i == len(bins):
            bins.append([])
            room.append(capacity)
        bins[i].append(r)
        room[i] -= lengths[r]
    return bins


def best_pack(lengths: list[int]) -> tuple[list[list[int]], int]:
    """The packing with the fewest slots among a few capacities near 32."""
    low = max(max(lengths), min(32, sum(lengths)))
    tried = [(len(b) * c, c, b) for c in range(low, low + 13, 2) for b in [pack(lengths, c)]]
    _, capacity, bins = min(tried, key=lambda t: t[:2])
    return bins, capacity


def layout(lengths: list[int], ends: list[int], p: int, s: int, device: torch.device) -> Layout:
    """Slots for rows of the given lengths; ``ends`` is each row's pooled token (0-based in the suffix), ``s`` the suffix's stored length."""
    bins, c = best_pack(lengths)
    nb = len(bins)
    slot, pos = torch.zeros(nb, c, dtype=torch.long), torch.full((nb, c), p)
    mask = torch.zeros(nb, c, p + c, dtype=torch.bool)
    mask[:, :, :p] = True
    mask[:, range(c), range(p, p + c)] = True  # a free slot sees itself, so that its softmax is finite
    width = max(map(len, bins))
    ask, answer = torch.zeros(nb, width, dtype=torch.long), torch.zeros(len(lengths), dtype=torch.long)
    for b, rows in enumerate(bins):
        start = 0
        for k, r in enumerate(rows):
            stop = start + lengths[r]
            slot[b, start:stop] = torch.arange(lengths[r]) + r * s
            pos[b, start:stop] = torch.arange(lengths[r]) + p
            mask[b, start:stop, p + start : p + stop] = torch.ones(lengths[r], lengths[r], dtype=torch.bool).tril()
            ask[b, k], answer[r] = start + ends[r], b * width + k
            start = stop
    additive = torch.zeros(mask.shape).masked_fill(~mask, float("-inf"))[:, None]
    return Layout(p, *(t.to(device) for t in (slot, pos, additive, ask, answer)))


def layout_of(tower: Any, x: TextInput, cut: bool) -> Layout:
    """The layout of these prompts, remembered by the tower: training asks for the same one every step."""
    p, s = x.prefix.shape[1], x.suffix.shape[1]
    ends = [e - p for e in x.eot.tolist()]
    key = (p, s, cut, tuple(ends), x.suffix.device)
    if key not in tower.layouts:
        if len(tower.layouts) >= 16:
            tower.layouts.pop(next(iter(tower.layouts)))
        lengths = [e + 1 for e in ends] if cut else [tower.length - p] * len(ends)
        tower.layouts[key] = layout(lengths, ends, p, s, x.suffix.device)
    return tower.layouts[key]


def encode(tower: Any, s: Session, x: TextInput, fast: Any) -> Tensor:
    """Pooled rows [N, D] (before the last norm), group-major."""
    if not fast.share or x.zipped:
        x = x.plain()
        x = replace(x, prefix=x.prefix[:1, :0], suffix=torch.cat([x.prefix, x.suffix], 1), zipped=False)
    if not fast.cut:
        x = replace(x, suffix=F.pad(x.suffix, (0, 0, 0, tower.length - x.prefix.shape[1] - x.suffix.shape[1])))
    lay = layout_of(tower, x, fast.cut)
    return Walk(tower, s, lay, x.prefix.shape[0]).run(x)


Walk = None
