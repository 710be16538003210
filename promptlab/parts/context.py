"""Learned context: words become free vectors in token-embedding space, spliced around every class name.

Sentence of a class: ``"X X ... X <name>."`` (or the init words in place of the X). Its embedded rows are
SOS | n context rows | name | rest (full stop, EOT, padding); the n rows are replaced by the learnables and stand before the
name ("end", where the class token is at the end), around it ("middle": the first n // 2 before) or after it ("front").
Source: CoOp, arXiv:2109.01134; PLOT, arXiv:2210.01253 (several prompts); CoCoOp, arXiv:2203.05557 (a shift an image).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from promptlab.backbones.points import TextInput
from promptlab.data.classes import ClassSet
from promptlab.errors import BadData, BadHyper, ClosedVocabulary

POSITIONS = ("end", "middle", "front")
PLACE = "[CLS]"  # in initial words: the name's place (TPT's notation)
ROWS_AT_ONCE = 4096  # prompts of one text run; larger image x class grids are encoded in pieces (see per_image)


@dataclass(frozen=True)
class Frame:
    """What depends on the names only. ``start`` [1, P0, D]: special rows before the context (SOS, or none); ``rest`` [C, S, D]:
    everything after it; ``order`` [C, S + t]: how rest and the t context rows after the name interleave; ``ids`` [C, L] in that
    order (placeholders for context rows); ``eot`` [C]: pooled row."""

    start: Tensor
    rest: Tensor
    order: Tensor | None
    ids: Tensor
    eot: Tensor


class Context(nn.Module):
    """Learned context of ``n_ctx`` vectors.

    ``ctx``: [n, D], one for all classes; [C, n, D] with ``per="class"``; with ``n_prompts`` = N > 1, [N, n, D] or [N, C, n, D].
    ``words``: initial words; as in the public code the number of vectors is then the number of space-separated words
    (not of tokens), so a word of several tokens leaves its last ones as fixed text before the name; ``[CLS]`` among them says
    where the name stands. Otherwise N(0, std²).
    ``learn``: only so many leading tokens of the words are learned, the others stay as fixed text (MaPLe).
    """

    def __init__(self, clip: Any, names: ClassSet, n_ctx: int, *, words: str | None = None, position: str = "end",
                 per: str = "shared", n_prompts: int = 1, suffix: str = ".", std: float = 0.02, learn: int | None = None):
        super().__init__()
        if position not in POSITIONS or per not in ("shared", "class"):
            raise BadHyper(f"a context stands at one of {POSITIONS} and is per 'shared' or 'class'; got {position!r} and {per!r}.")
        object.__setattr__(self, "clip", clip)  # frozen, not a submodule
        said = words.replace("_", " ").split() if words else []
        self.words = " ".join(w for w in said if w != PLACE) or None
        self.n_ctx = (learn or len(self.words.split(" "))) if self.words else n_ctx
        half = {"end": self.n_ctx, "middle": self.n_ctx // 2, "front": 0}[position]
        self.before = min(said.index(PLACE), self.n_ctx) if PLACE in said else half  # context rows before the name
        self.per, self.n_prompts, self.suffix = per, n_prompts, suffix
        self.names, self._frames = names.names, {}
        self.frame(names)  # a context too long for the names is refused here, not at the first step
        lead = ((n_prompts,) if n_prompts > 1 else ()) + ((len(names),) if per == "class" else ())
        size = (*lead, self.n_ctx, clip.text_width)
        start = self._embedded_words().expand(size).clone() if self.words else torch.randn(size) * std
        self.ctx = nn.Parameter(start.float().to(clip.device))

    def texts(self, names: ClassSet) -> list[str]:
        """The sentences with placeholders, one a class: what is tokenised, and what a reader is shown."""
        lead = self.words or " ".join(["X"] * self.n_ctx)
        return [f"{lead} {name}{self.suffix}" for name in names.clean]

    def frame(self, names: ClassSet) -> Frame:
        """The frozen rows around the context, remembered for the last few name lists."""
        if self.per == "class" and names.names != self.names:
            raise ClosedVocabulary(f"a context per class was learned for {len(self.names)} names and cannot answer for others; "
                                   f"use a shared context or fit it on the new names.")
        if names.names not in self._frames:
            while len(self._frames) >= 4:
                self._frames.pop(next(iter(self._frames)))
            self._frames[names.names] = self._build(names)
        return self._frames[names.names]

    def inputs(self, names: ClassSet | None = None, shift: Tensor | None = None, ctx: Tensor | None = None) -> TextInput:
        """Prompts of all classes: N·C rows, prompt-major; with ``shift`` [B, 1 or n, D] added to the context, B·N·C, image-major.
        ``ctx``: vectors made elsewhere in place of the learned ones, in their shape, or one context a class [C, n, D].

        Rows that all classes have in common (SOS and the context before the name) are the shared prefix; a context per class, or
        several contexts with rows after the name, share SOS only.
        """
        f = self.frame(ClassSet(self.names) if names is None else names)
        each = self.per == "class" or (ctx is not None and ctx.ndim == 3 and self.n_prompts == 1)
        ctx, n_class = self.ctx if ctx is None else ctx, f.rest.shape[0]
        ctx = ctx.reshape(-1, n_class if each else 1, *ctx.shape[-2:])  # [N, C or 1, n, D]
        if shift is not None:
            ctx = (ctx + shift[:, None, None]).flatten(0, 1)
        head, tail = ctx[:, :, : self.before], ctx[:, :, self.before :]
        share = not each and (self.before == self.n_ctx or ctx.shape[0] == 1)
        if share:
            prefix = torch.cat([f.start.expand(len(head), -1, -1), head[:, 0]], 1)
            return TextInput(prefix, self._after(f, tail)[0], f.eot, f.ids)
        rows = torch.cat([head.expand(-1, n_class, -1, -1), self._after(f, tail)], 2).flatten(0, 1)
        g = ctx.shape[0]
        return TextInput(f.start, rows, f.eot.repeat(g), f.ids.repeat(g, 1))

    def _after(self, f: Frame, tail: Tensor) -> Tensor:
        """Rows after ``head``: name, ``tail`` [G, C or 1, t, D], rest → [G, C, t + S, D] (or the constant [1, C, S, D] if t = 0)."""
        if f.order is None:
            return f.rest[None].expand(1 if self.per == "shared" else len(tail), -1, -1, -1)
        n_class = f.rest.shape[0]
        both = torch.cat([f.rest.expand(len(tail), -1, -1, -1), tail.expand(-1, n_class, -1, -1)], 2)
        return both.gather(2, f.order[None, :, :, None].expand(len(tail), -1, -1, both.shape[-1]))

    def _build(self, names: ClassSet) -> Frame:
        texts = self.texts(names)
        plain = self._prompts(names, texts)
        p0 = plain.prefix.shape[1]
        stop = int(plain.eot.max()) + 1 if "causal-text" in self.clip.offers else p0 + plain.suffix.shape[1]
        rest = plain.suffix[:, self.n_ctx : stop - p0]  # a causal tower reads nothing after the last EOT
        ids, order, tail = plain.ids[:, :stop], None, self.n_ctx - self.before
        if tail:
            here = torch.arange(rest.shape[1] + tail, device=rest.device)
            m = torch.tensor([len(self.clip.tokens(name)) for name in names.clean], device=rest.device)[:, None]
            # positions: name (0..m-1) | tail (stored behind the rest) | remaining rest
            order = torch.where(here < m, here, torch.where(here < m + tail, rest.shape[1] + here - m, here - tail))
            placeholder, moved = ids[:, p0 : p0 + self.n_ctx], ids[:, p0 + self.n_ctx :]
            behind = torch.cat([moved, placeholder[:, self.before :]], 1).gather(1, order.to(ids.device))
            ids = torch.cat([ids[:, : p0 + self.before], behind], 1)
        return Frame(plain.prefix[:1].detach(), rest.detach().contiguous(), order, ids, plain.eot)

    def _prompts(self, names: ClassSet, texts: list[str]) -> TextInput:
        """``clip.prompts``, with the reason said in the words of this part when a sentence does not fit."""
        try:
            return self.clip.prompts(texts)
        except BadData as e:
            longest = max(names.clean, key=lambda name: len(self.clip.tokens(name)))
            raise BadHyper(
                f"a context of {self.n_ctx} vectors and the name '{longest}' ({len(self.clip.tokens(longest))} tokens) do not fit in "
                f"the {self.clip.context_length} positions of {self.clip.name}; use fewer context vectors or a shorter name."
            ) from e

    @torch.no_grad()
    def _embedded_words(self) -> Tensor:
        """Token embeddings of rows 1..n of the words' own sentence, [n, D]; where it is shorter, its end token and padding follow."""
        ids, start = self.clip.tokenize([self.words])[0].to(self.clip.device), len(self.clip.words.start)
        return self.clip.embed(ids[start : start + self.n_ctx])


def per_image(encode: Callable[[Tensor], Tensor], shift: Tensor, n_class: int) -> Tensor:
    """Text features [B, C, E] for image-conditioned prompts, in pieces of images so that memory stays bounded.

    ``encode``: shift [b, ., D] → [b·C, E]. While gradients are recorded, the pieces are recomputed in the backward pass, so
    only one piece's activations live at a time.
    """
    size = max(1, ROWS_AT_ONCE // n_class)
    parts: Sequence[Tensor] = shift.split(size)
    if len(parts) > 1 and torch.is_grad_enabled():
        done = [checkpoint(encode, part, use_reentrant=False) for part in parts]
    else:
        done = [encode(part) for part in parts]
    return torch.cat(done).reshape(len(shift), n_class, -1)
