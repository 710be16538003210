"""The plain formulation that public code uses, straight on open_clip modules: 77 positions, one full row a class."""

from collections.abc import Sequence

import torch
from open_clip import get_tokenizer
from torch import Tensor
from torch.nn.functional import normalize

TOKENIZER = get_tokenizer("ViT-B-16")


def prompts(model: torch.nn.Module, names: Sequence[str], ctx: Tensor, lead: str, position: str = "end") -> tuple[Tensor, Tensor]:
    """Embedded prompts [C, 77, D] and token ids [C, 77]; ctx [n, D] or [C, n, D]; ``lead``: the words that ctx stands for."""
    clean = [name.replace("_", " ") for name in names]
    ids = TOKENIZER([f"{lead} {name}." for name in clean])
    embedded, n = model.token_embedding(ids).detach(), ctx.shape[-2]
    ctx = ctx.expand(len(names), -1, -1)
    rows = []
    for c, name in enumerate(clean):
        m = len(TOKENIZER.encode(name))
        sos, rest = embedded[c, :1], embedded[c, 1 + n :]
        half = {"end": n, "middle": n // 2, "front": 0}[position]
        parts = [sos, ctx[c], rest] if half == n else [sos, ctx[c, :half], rest[:m], ctx[c, half:], rest[m:]]
        rows.append(torch.cat(parts))
    return torch.stack(rows), ids


def encode(model: torch.nn.Module, embedded: Tensor, ids: Tensor) -> Tensor:
    """Text features [C, E] of embedded prompts, not normalised; the row of the largest id (EOT) is read."""
    x = embedded + model.positional_embedding
    x = model.transformer(x, attn_mask=model.attn_mask)
    x = model.ln_final(x)
    return x[torch.arange(len(x)), ids.argmax(-1)] @ model.text_projection


def features(model: torch.nn.Module, names: Sequence[str], ctx: Tensor, lead: str, position: str = "end") -> Tensor:
    """Unit-length text features [C, E]."""
    return normalize(encode(model, *prompts(model, names, ctx, lead, position)), dim=-1)


def words(n: int) -> str:
    return " ".join(["X"] * n)
