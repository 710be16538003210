"""open_clip's text transformer, causal (CLIP) or bidirectional (SigLIP): where its weights live, and how a prompt runs through it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.backbones import packed
from promptlab.backbones.blocks import Block, block_points, run_block
from promptlab.backbones.families.native_vit import plain_blocks
from promptlab.backbones.points import Edit, Encoding, TextInput
from promptlab.backbones.session import Session
from promptlab.errors import BadData


@dataclass
class Fast:
    """The exact fast paths, each with its switch. ``cut``: no position after the last EOT is computed (causal text only);
    ``share``: a prefix that many prompts have in common runs once; ``cache``: frozen image encodings are kept."""

    cut: bool = True
    share: bool = True
    cache: bool = True


@dataclass(frozen=True)
class TextTower:
    """A tower over named weights (``text.weights.*``). ``pool``: how open_clip finds the pooled row; here ``TextInput.eot`` says it."""

    weights: dict[str, Tensor]
    blocks: tuple[Block, ...]
    width: int
    length: int
    causal: bool
    pool: str
    eps: float
    offers: frozenset[str]
    layouts: dict = field(default_factory=dict, compare=False, repr=False)

    @property
    def layers(self) -> int:
        return len(self.blocks)

    @cached_property
    def points(self) -> dict[str, str]:
        return {"text.embed": "B L D", **block_points("text", self.layers), "text.pooled": "N E"}

    def embed(self, ids: Tensor, s: Session | None = None) -> Tensor:
        """Token ids [...] → embeddings [..., D], float32, no positions; with the session's edited table if there is one."""
        table = self.weights["text.weights.token"] if s is None else s.w("text.weights.token")
        return F.embedding(ids.to(table.device), table)

    def run(self, x: TextInput, edits: Sequence[Edit] = (), taps: Sequence[str] = (), *, fast: Fast | None = None) -> Encoding:
        """Prompts → pooled [N, E], float32, group-major.

        Values tapped inside the tower come from a second walk in plain layout, so that a tap never changes the pooled numbers.
        """
        s, fast = Session(self.points, self.weights, edits, taps), fast or Fast()
        if s.edits("text.weights.token"):
            if x.ids is None or s.edits("text.weights.token") and x.prefix.requires_grad:
                raise BadData("text.weights.token can only be edited for plain sentences; give texts instead of a TextInput.")
            x = self._reembed(x, s)
        inner = s.taps - {"text.pooled"}
        if self.causal and packed.expressible(s, x, fast.share):
            rows = packed.encode(self, s, x, fast)
        else:
            rows, inner = self._plain(s, x, fast), set()
        pooled = s.at("text.pooled", self._project(s, rows))
        if inner:
            self._plain(s, x, fast)
        return Encoding(pooled, taps=s.seen)

    def _reembed(self, x: TextInput, s: Session) -> TextInput:
        whole = self.embed(x.ids, s)
        p = x.prefix.shape[1]
        prefix = whole[:, :p] if x.zipped else whole[:1, :p].expand(x.prefix.shape[0], -1, -1)
        return TextInput(prefix, whole[:, p:], x.eot, x.ids, x.zipped)

    def _plain(self, s: Session, x: TextInput, fast: Fast) -> Tensor:
        """All prompts as [N, L, D]; returns the pooled rows [N, D]."""
        x = x.plain()
        h = torch.cat([x.prefix.to(x.suffix.dtype), x.suffix], 1).float()
        length = int(x.eot.max()) + 1 if self.causal and fast.cut else self.length
        h = F.pad(h, (0, 0, 0, max(0, length - h.shape[1])))[:, :length]
        h = s.at("text.embed", h + s.w("text.weights.pos")[:length])
        for block in self.blocks:
            h = packed.saving(self, h, run_block, s, block, h, self.causal)
        return h[torch.arange(len(h), device=h.device), x.eot.to(h.device)]

    def _project(self, s: Session, rows: Tensor) -> Tensor:
        rows = s.norm("text.weights.ln_post", rows, self.eps)
        return (s.linear("text.weights.proj", rows) if s.w("text.weights.proj") is not None else rows).float()


def open_native_text(text: nn.Module, pool: str, dtype: torch.dtype) -> TextTower | None:
    """The tower of a ``TextTransformer`` or of a CLIP that holds its parts; None for a variant that we do not walk (CoCa's class token)."""
    masks = getattr(text, "use_pad_mask", False) or getattr(text, "cls_emb", None) is not None
    if masks or pool not in ("argmax", "eos", "last", "first"):
        return None
    opened = plain_blocks("text", text.transformer.resblocks, dtype)
    if opened is None:
        return None
    blocks, weights = opened
    named = {"token": text.token_embedding.weight, "pos": text.positional_embedding,
             "ln_post": text.ln_final.weight, "ln_post.bias": text.ln_final.bias}
    proj = text.text_projection
    if isinstance(proj, nn.Linear):
        named |= {"proj": proj.weight, "proj.bias": proj.bias}
    elif proj is not None:
        named["proj"] = proj.T  # [E, D], as every matrix here is [out, in]
    first = {f"text.weights.{k}": v.detach().float() for k, v in named.items() if v is not None}
    causal = text.attn_mask is not None
    offers = {"text", "text-deep", "text-weights"} | ({"causal-text"} if causal else set())
    width = text.token_embedding.weight.shape[1]
    return TextTower(first | weights, blocks, width, text.positional_embedding.shape[0], causal, pool, text.ln_final.eps, frozenset(offers))
