"""Sentences to token ids, the same for every tokenizer: where a row starts, how it ends, what fills it up."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from promptlab.errors import BadData


class Words:
    """A tokenizer, seen as ``start ids + ids + end id + padding`` of ``length``.

    Works over open_clip's SimpleTokenizer (and whatever has its ``encode``, ``sot_token_id``, ``eot_token_id``), over its HFTokenizer
    (SigLIP: no start, padding after the end), and over any callable texts → ids [N, L] with CLIP's ids.
    """

    def __init__(self, tokenizer: Any, length: int):
        self.tokenizer, self.length = tokenizer, length
        inner = getattr(tokenizer, "tokenizer", None)
        if hasattr(tokenizer, "encode") and hasattr(tokenizer, "sot_token_id"):
            self.start, self.end, self.pad = (tokenizer.sot_token_id,), tokenizer.eot_token_id, 0
        elif inner is not None:
            self.start, self.end, self.pad = (), inner.eos_token_id, inner.pad_token_id
        else:
            row = tokenizer([""])[0].tolist()
            self.start, self.end, self.pad = (row[0],), row[1], row[-1] if len(row) > 2 else 0

    def tokens(self, text: str) -> list[int]:
        """Ids of the words of ``text``, without start, end and padding."""
        inner = getattr(self.tokenizer, "tokenizer", None)
        if hasattr(self.tokenizer, "encode"):
            return list(self.tokenizer.encode(text))
        if inner is not None:
            return list(inner(self.tokenizer.clean_fn(text), add_special_tokens=False).input_ids)
        row = self.tokenizer([text])[0].tolist()
        return row[len(self.start) : row.index(self.end, len(self.start))] if self.end in row[len(self.start) :] else row[len(self.start) :]

    def frame(self, ids: Sequence[int], what: str = "the prompt") -> list[int]:
        """A whole row of ``length`` ids around word ids; :class:`BadData` if it does not fit."""
        row = [*self.start, *ids, self.end]
        if len(row) > self.length:
            raise BadData(f"{what!r} has {len(row)} tokens with start and end, but the text tower holds {self.length}; shorten it.")
        return row + [self.pad] * (self.length - len(row))

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """LongTensor [N, length]; never cuts a sentence silently."""
        return torch.tensor([self.frame(self.tokens(t), t) for t in texts], dtype=torch.long)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, for display ("" for ids that stand for no text)."""
        inner = getattr(self.tokenizer, "tokenizer", None)
        decode = getattr(self.tokenizer, "decode", None) or getattr(inner, "decode", None)
        return str(decode(list(ids))) if decode else " ".join(f"#{i}" for i in ids)
