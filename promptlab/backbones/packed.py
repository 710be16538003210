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
    """True if every edit of a text value acts on shared prefix slots or token by token, and no pooled row lies in a shared prefix."""
    p = x.prefix.shape[1] if share and not x.zipped else 0
    if p and int(x.eot.min()) < p:
        return False
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
    ``mask`` [nb, 1, C, P + C]: additive, which keys a slot sees; ``ask`` [nb, Q]: slots of the EOT rows; ``answer`` [R]: row → place
    in ``ask``."""

    p: int
    slot: Tensor
    pos: Tensor
    mask: Tensor
    ask: Tensor
    answer: Tensor

    @property
    def ask_mask(self) -> Tensor:
        """[nb, 1, Q, P + C]: the rows of ``mask`` that belong to the EOT slots."""
        return self.mask.gather(2, self.ask[:, None, :, None].expand(-1, 1, -1, self.mask.shape[-1]))


def pack(lengths: list[int], capacity: int) -> list[list[int]]:
    """Rows put into bins of at most ``capacity`` tokens, longest first into the first bin with room; rows of equal length go together."""
    bins: list[list[int]] = []
    room: list[int] = []
    for length in sorted(set(lengths), reverse=True):
        rows = [r for r, n in enumerate(lengths) if n == length]
        i = 0
        while rows:
            if i == len(bins):
                bins.append([])
                room.append(capacity)
            fit = room[i] // length
            bins[i] += rows[:fit]
            room[i] -= length * min(fit, len(rows))
            rows, i = rows[fit:], i + 1
    return bins


def best_pack(lengths: list[int]) -> tuple[list[list[int]], int]:
    """The packing with the fewest slots among capacities around 32 (larger bins compute more of the masked part of attention)."""
    low = max(max(lengths), min(24, sum(lengths)))
    tried = ((len(bins) * c, c, bins) for c in range(low, low + 24) for bins in [pack(lengths, c)])
    _, capacity, bins = min(tried, key=lambda t: t[:2])
    return bins, capacity


def layout(lengths: list[int], ends: list[int], p: int, s: int, device: torch.device) -> Layout:
    """Slots for rows of the given lengths; ``ends``: each row's pooled token, counted in the suffix; ``s``: the suffix's stored length."""
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


@dataclass(frozen=True)
class Walk:
    """One walk over the packed layout. Between blocks values are flat, [G·P + G·nb·C, D]: all prefixes, then all bins."""

    tower: Any
    s: Session
    lay: Layout
    g: int

    @property
    def sizes(self) -> list[int]:
        return [self.g * self.lay.p, self.g * self.lay.slot.numel()]

    def run(self, x: TextInput) -> Tensor:
        """Pooled rows [G·R, D]."""
        pos, lay = self.s.w("text.weights.pos"), self.lay
        prefix = (x.prefix.float() + pos[: lay.p]).flatten(0, 1)
        bins = x.suffix.float().flatten(0, 1)[lay.slot.flatten()] + pos[lay.pos.flatten()]
        prefix, bins = self.fire("text.embed", prefix, bins)
        blocks = self.tower.blocks
        for i, block in enumerate(blocks[:-1]):  # before the first one the bins are the same for every group
            flat = saving(self.tower, self.like(prefix), self.block, block, prefix, bins, i == 0)
            prefix, bins = flat.split(self.sizes)
        return self.last(blocks[-1], prefix, self.spread(bins) if len(blocks) == 1 else bins)

    def like(self, x: Tensor) -> Tensor:
        """A tensor without storage that has the shape of a flat value."""
        return x.new_empty(()).expand(sum(self.sizes), x.shape[-1])

    def spread(self, bins: Tensor) -> Tensor:
        """[nb·C, D] → [G·nb·C, D]."""
        return bins if self.g == 1 else bins.expand(self.g, *bins.shape).flatten(0, 1)

    def fire(self, name: str, prefix: Tensor, bins: Tensor) -> tuple[Tensor, Tensor]:
        """Edits at a point: on slots of the prefixes, or token by token on both; an edit sees [N, L, D] as everywhere."""
        for e in self.s.edits(name):
            if prefix.numel():
                prefix = e(prefix.unflatten(0, (self.g, -1))).to(prefix.dtype).flatten(0, 1)
            if e.slots is None:
                bins = e(bins.unflatten(0, (-1, self.lay.slot.shape[1]))).to(bins.dtype).flatten(0, 1)
        return prefix, bins

    def flat(self, name: str, x: Tensor) -> Tensor:
        """``fire`` on a flat value."""
        return torch.cat(self.fire(name, *x.split(self.sizes))) if self.s.edits(name) else x

    def block(self, b: Block, prefix: Tensor, bins: Tensor, first: bool) -> Tensor:
        """One block: prefix [G·P, D] and bins [G·nb·C, D] ([nb·C, D] when first) → flat value.

        In the first block the suffixes need no gradient as a rule, and are equal for all groups: their q, k, v are made apart, once.
        """
        s, at = self.s, b.name
        prefix, bins = self.fire(f"{at}.in", prefix, bins)
        if first:
            parts = [qkv(s, b, s.norm(f"{b.weights}.ln_1", part, b.eps[0])) for part in (prefix, bins)]
            bins, parts[1] = self.spread(bins), [self.spread(t) for t in parts[1]]
            x, triple = torch.cat([prefix, bins]), list(zip(*parts, strict=True))
        else:
            x = torch.cat([prefix, bins])
            triple = [t.split(self.sizes) for t in qkv(s, b, s.norm(f"{b.weights}.ln_1", x, b.eps[0]))]
        q, k, v = (self.fire(f"{at}.attn.{n}", *t) for n, t in zip("qkv", triple, strict=True))
        a = torch.cat([self.prefix_attention(b, q[0], k[0], v[0]), self.bin_attention(b, q[1], k, v, self.lay.mask)])
        a = self.flat(f"{at}.attn.out", s.linear(f"{b.weights}.attn.o", a))
        x = self.flat(f"{at}.mid", add(x, b.scales[0], a))
        return mlp(s, b, x, lambda point, value: self.flat(f"{at}.{point}", value))

    def prefix_attention(self, b: Block, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Causal attention inside each prefix [G·P, D]."""
        if not q.numel():
            return q
        q, k, v = (heads(t.unflatten(0, (self.g, -1)), b.heads) for t in (q, k, v))
        return merge(F.scaled_dot_product_attention(q, k, v, is_causal=True)).flatten(0, 1)

    def bin_attention(self, b: Block, q: Tensor, k: tuple, v: tuple, mask: Tensor) -> Tensor:
        """Queries of bins [G·nb·n, D] against their group's prefix and their own bin, under ``mask`` [nb, 1, n, P + C]."""
        nb, c = self.lay.slot.shape

        def keys(prefix: Tensor, bins: Tensor) -> Tensor:
            own = bins.unflatten(0, (self.g, nb, c))
            common = prefix.unflatten(0, (self.g, 1, self.lay.p)).expand(-1, nb, -1, -1) if self.lay.p else own[:, :, :0]
            return heads(torch.cat([common, own], 2).flatten(0, 1), b.heads)

        mask = mask.to(q.dtype).repeat(self.g, 1, 1, 1)
        q = heads(q.unflatten(0, (self.g * nb, -1)), b.heads)
        return merge(F.scaled_dot_product_attention(q, keys(*k), keys(*v), attn_mask=mask)).flatten(0, 1)

    def last(self, b: Block, prefix: Tensor, bins: Tensor) -> Tensor:
        """The last block: all tokens give keys and values, only the EOT rows are queries → [G·R, D]."""
        s, at, lay = self.s, b.name, self.lay

        def fire(point: str, rows: Tensor) -> Tensor:
            for e in s.edits(f"{at}.{point}"):
                rows = rows if e.slots is not None else e(rows.unflatten(0, (self.g, -1))).to(rows.dtype).flatten(0, 1)
            return rows

        prefix, bins = self.fire(f"{at}.in", prefix, bins)
        h = s.norm(f"{b.weights}.ln_1", torch.cat([prefix, bins]), b.eps[0])
        k, v = (self.fire(f"{at}.attn.{n}", *t.split(self.sizes)) for n, t in zip("kv", qkv(s, b, h, "kv"), strict=True))
        nb, c = lay.slot.shape
        asked = (lay.ask + torch.arange(nb, device=bins.device)[:, None] * c).flatten()
        rows = asked[lay.answer]

        def pick(flat: Tensor, index: Tensor) -> Tensor:
            return flat.unflatten(0, (self.g, -1))[:, index].flatten(0, 1)

        (q,) = qkv(s, b, pick(h[self.sizes[0] :], asked), "q")
        a = pick(self.bin_attention(b, fire("attn.q", q), k, v, lay.ask_mask), lay.answer)
        x = fire("mid", add(pick(bins, rows), b.scales[0], fire("attn.out", s.linear(f"{b.weights}.attn.o", a))))
        return mlp(s, b, x, fire)
