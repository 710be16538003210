"""One pre-norm transformer block, walked by us: the same arithmetic for every family, with every value named.

x ← x + ls1 · O(attention(LN1 x));  x ← x + ls2 · down(act(up(LN2 x))).  The residual stream and the norms are float32;
matrices multiply in the precision of their weights.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.backbones.session import Session

POINTS = {
    "in": "B L D", "attn.q": "B L D", "attn.k": "B L D", "attn.v": "B L D", "attn.pattern": "B H L L", "attn.out": "B L D",
    "mid": "B L D", "mlp.hidden": "B L 4D", "mlp.out": "B L D", "out": "B L D",
}


@dataclass(frozen=True)
class Block:
    """Where a block's names start (``image.block.3``, ``image.weights.block.3``), and what is not a named weight.

    ``fused``: weight [3D, D] and bias [3D] of the joint q, k, v map, whose row slices are the named weights. ``scales``: the two
    layer scales [D], None where the family has none.
    """

    name: str
    weights: str
    heads: int
    act: Callable[[Tensor], Tensor]
    fused: tuple[Tensor, Tensor | None]
    eps: tuple[float, float] = (1e-5, 1e-5)
    scales: tuple[Tensor | None, Tensor | None] = (None, None)


def block_points(side: str, layers: int) -> dict[str, str]:
    """Point names with their dims, in firing order."""
    return {f"{side}.block.{i}.{p}": dims for i in range(layers) for p, dims in POINTS.items()}


class QuickGelu(torch.autograd.Function):
    """x · sigmoid(1.702 x) = silu(1.702 x) / 1.702: fused kernels, one tensor kept, and no scaling left in the derivative."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return F.silu(x * 1.702).mul_(1 / 1.702)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # the derivative will be differentiated again, which the fused kernel cannot
            s = torch.sigmoid(1.702 * x)
            return grad * s * (1 + 1.702 * x * (1 - s))
        return torch.ops.aten.silu_backward(grad, x * 1.702)


def quick_gelu(x: Tensor) -> Tensor:
    """CLIP's activation, on any shape."""
    return QuickGelu.apply(x)


def activation(module: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """The function of an activation module; None for one that we do not know."""
    if type(module).__name__ == "QuickGELU":
        return quick_gelu
    if isinstance(module, nn.GELU):
        how = module.approximate
        return lambda x: F.gelu(x, approximate=how)
    if type(module).__name__ in ("GELU", "GELUTanh"):  # timm's own wrappers
        how = "tanh" if type(module).__name__ == "GELUTanh" else "none"
        return lambda x: F.gelu(x, approximate=how)
    return None


def named_block(side: str, i: int, parts: Mapping[str, Tensor | None], dtype: torch.dtype, **rest) -> tuple[Block, dict[str, Tensor]]:
    """A block and its named weights from the family's tensors: in_proj(.bias), o, up, down, ln_1, ln_2 (each with .bias).

    Matrices are kept in ``dtype``, norms in float32; a tensor that has that type already is shared, not copied.
    """
    at = f"{side}.weights.block.{i}"
    w = {k: t.detach().to(torch.float32 if k.startswith("ln") else dtype) for k, t in parts.items() if t is not None}
    weights = {}
    for j, n in enumerate("qkv"):
        for kind in ("", ".bias"):
            if (joint := w.get(f"in_proj{kind}")) is not None:
                weights[f"{at}.attn.{n}{kind}"] = joint.chunk(3)[j]
    for name, key in (("attn.o", "o"), ("ln_1", "ln_1"), ("mlp.up", "up"), ("mlp.down", "down"), ("ln_2", "ln_2")):
        weights |= {f"{at}.{name}{kind}": w[f"{key}{kind}"] for kind in ("", ".bias") if f"{key}{kind}" in w}
    return Block(f"{side}.block.{i}", at, fused=(w["in_proj"], w.get("in_proj.bias")), **rest), weights


def qkv(s: Session, b: Block, h: Tensor, names: str = "qkv") -> list[Tensor]:
    """Queries, keys and values [..., D] of normed rows h; one product unless a weight of the three is edited."""
    if any(s.edits(f"{b.weights}.attn.{n}{kind}") for n in names for kind in ("", ".bias")):
        return [s.linear(f"{b.weights}.attn.{n}", h) for n in names]
    w, bias = b.fused
    d, first = w.shape[1], "qkv".index(names[0])
    rows = slice(first * d, (first + len(names)) * d)
    return list(F.linear(h.to(w.dtype), w[rows], None if bias is None else bias[rows]).chunk(len(names), -1))


def heads(x: Tensor, n: int) -> Tensor:
    """[B, L, D] → [B, H, L, D/H]."""
    return x.unflatten(-1, (n, -1)).transpose(1, 2)


def merge(x: Tensor) -> Tensor:
    """[B, H, L, D/H] → [B, L, D]."""
    return x.transpose(1, 2).flatten(2)


def pattern(q: Tensor, k: Tensor, causal: bool) -> Tensor:
    """softmax(q kᵀ / √d) [B, H, L, M], lower-triangular when causal."""
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1), float("-inf"))
    return scores.softmax(-1)


def attend(s: Session, b: Block, q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """Attention of [B, L, D] values. An edited pattern is used; a tapped one is computed beside, so that a tap changes no number."""
    q, k, v = (heads(t, b.heads) for t in (q, k, v))
    point = f"{b.name}.attn.pattern"
    if s.edits(point) or point in s.taps:
        p = s.at(point, pattern(q, k, causal))
        if s.edits(point):
            return merge(p @ v)
    return merge(F.scaled_dot_product_attention(q, k, v, is_causal=causal))


def add(x: Tensor, scale: Tensor | None, y: Tensor) -> Tensor:
    """The residual sum, with the family's layer scale if it has one."""
    return x + (y if scale is None else y * scale)


def mlp(s: Session, b: Block, x: Tensor, fire: Callable[[str, Tensor], Tensor]) -> Tensor:
    """The second half of a block on [..., D] rows; ``fire`` is called at each point with the name inside the block."""
    h = s.norm(f"{b.weights}.ln_2", x, b.eps[1])
    h = fire("mlp.hidden", b.act(s.linear(f"{b.weights}.mlp.up", h)))
    h = fire("mlp.out", s.linear(f"{b.weights}.mlp.down", h))
    return fire("out", add(x, b.scales[1], h))


def run_block(s: Session, b: Block, x: Tensor, causal: bool = False, entered: bool = False) -> Tensor:
    """x [B, L, D] → [B, L, D]; ``entered``: the caller has fired ``.in``."""
    def fire(point: str, value: Tensor) -> Tensor:
        return s.at(f"{b.name}.{point}", value)

    x = x if entered else fire("in", x)
    q, k, v = qkv(s, b, s.norm(f"{b.weights}.ln_1", x, b.eps[0]))
    q, k, v = fire("attn.q", q), fire("attn.k", k), fire("attn.v", v)
    a = fire("attn.out", s.linear(f"{b.weights}.attn.o", attend(s, b, q, k, v, causal)))
    return mlp(s, b, fire("mid", add(x, b.scales[0], a)), fire)


def run_rows(s: Session, b: Block, x: Tensor, rows: slice) -> Tensor:
    """Only some rows [B, n, D] of a block's value, where no others are read: all rows give keys and values, these ask. No point fires."""
    h = s.norm(f"{b.weights}.ln_1", x, b.eps[0])
    (q,), (k, v) = qkv(s, b, h[:, rows], "q"), qkv(s, b, h, "kv")
    a = F.scaled_dot_product_attention(*(heads(t, b.heads) for t in (q, k, v)))
    x = add(x[:, rows], b.scales[0], s.linear(f"{b.weights}.attn.o", merge(a)))
    return mlp(s, b, x, lambda point, value: value)


def touched(s: Session, b: Block) -> tuple[bool, bool]:
    """Whether any point of the block past ``.in`` is edited, and whether any is tapped."""
    names = [f"{b.name}.{p}" for p in POINTS if p != "in"]
    return any(s.edits(n) for n in names), any(n in s.taps for n in names)
