"""The backbone: two frozen towers that share a space, their tokenizer, and how pictures must look."""

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.backbones.cache import EncodingCache
from promptlab.backbones.families.native_text import Fast, TextTower
from promptlab.backbones.points import Edit, Encoding, TextInput
from promptlab.backbones.tower import Tower
from promptlab.backbones.words import Words
from promptlab.data.batch import PixelSpec
from promptlab.errors import BackboneLacks, BadData

CHUNK = {"cpu": 16, "cuda": 128}  # images that are encoded at a time when filling the cache
TEXT_CHUNK = 1024  # sentences that are encoded at a time without gradient


class Clip:
    """A frozen CLIP-like model with named points. Built by :func:`promptlab.backbones.load.load` and ``wrap``.

    ``offers``: what methods may ask for ("text", "causal-text", "tokens", "image-deep", ...). ``scale``, ``bias``: float32 scalars of
    the logits, exp(logit_scale) and the logit bias or 0. ``fast``: the exact fast paths; replace it to turn one off.
    """

    def __init__(self, name: str, image: Tower, text: Tower, words: Words, spec: PixelSpec, *, scale: Tensor, bias: Tensor,
                 device: torch.device, dtype: torch.dtype, tag: str | None = None, folder: Path | None = None, memory: int = 2**30):
        self.name, self.tag, self.device, self.dtype, self.spec = name, tag, device, dtype, spec
        self.image, self.text, self.words = image, text, words
        self.scale, self.bias = scale, bias
        self.offers = frozenset(image.offers | text.offers)
        self.fast = Fast()
        self.image_width, self.text_width = image.width, text.width
        self.image_layers, self.text_layers, self.context_length = image.layers, text.layers, words.length
        self._zero: dict[tuple, Tensor] = {}
        self._folder, self._memory = folder, memory
        self.cache = EncodingCache(memory, None if folder is None else folder / self.digest()[:16] / str(spec.size))
        self.joint_dim = self._joint_dim()

    def _joint_dim(self) -> int:
        proj = self.text.weights.get("text.weights.proj")
        return proj.shape[0] if proj is not None else self.encode_text([""]).pooled.shape[1]

    def __repr__(self) -> str:
        return f"Clip({self.name!r}, tag={self.tag!r}, {self.spec.size} px, {str(self.dtype).removeprefix('torch.')} on {self.device})"

    # ---- words ----------------------------------------------------------------------------------------------------

    def tokens(self, text: str) -> list[int]:
        """Token ids of ``text`` without start, end and padding."""
        return self.words.tokens(text)

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """LongTensor [N, context_length] with start, end and padding; :class:`BadData` if a text is too long."""
        return self.words.tokenize([texts] if isinstance(texts, str) else texts)

    def embed(self, ids: Tensor | Sequence[int]) -> Tensor:
        """Token embeddings [..., text_width], float32, without positions."""
        if not isinstance(self.text, TextTower):
            raise BackboneLacks(f"the text tower of {self.name} takes token ids only, so prompts cannot be learned on it.")
        return self.text.embed(torch.as_tensor(ids))

    def prompts(self, texts: Sequence[str]) -> TextInput:
        """Plain sentences as embedded prompts; the start token is the shared prefix [1, 1, D] ([1, 0, D] where there is none)."""
        return self.framed(self.tokenize(texts))

    def cut(self, texts: Sequence[str]) -> TextInput | list[str]:
        """Like :meth:`prompts`, but a sentence that is too long loses its last words. A tower that takes sentences only gets them whole."""
        if not isinstance(self.text, TextTower):
            return list(texts)
        room = self.context_length - len(self.words.start) - 1
        return self.framed(torch.tensor([self.words.frame(self.tokens(t)[:room]) for t in texts]))

    def framed(self, ids: Tensor) -> TextInput:
        """Whole rows of token ids [N, context_length] as embedded prompts."""
        ids = ids.to(self.device)
        p = len(self.words.start)
        eot = self.ends(ids)
        whole = self.embed(ids[:, : int(eot.max()) + 1] if self.text.causal else ids)
        return TextInput(whole[:1, :p], whole[:, p:], eot, ids)

    def ends(self, ids: Tensor) -> Tensor:
        """Index [N] of the row that is pooled, for token ids [N, L]: the end token, or the last or first position (SigLIP)."""
        fixed = {"last": ids.shape[1] - 1, "first": 0}.get(getattr(self.text, "pool", "argmax"))
        at = (ids == self.words.end).int().argmax(-1)
        return at if fixed is None else torch.full_like(at, fixed)

    # ---- encoding -------------------------------------------------------------------------------------------------

    def encode_text(self, prompts: TextInput | Sequence[str], edits: Sequence[Edit] = (), taps: Sequence[str] = ()) -> Encoding:
        """Pooled text features [N, E], float32, not normalised. Gradients flow to the prompts and to the edits."""
        if isinstance(prompts, str):
            prompts = [prompts]
        if not isinstance(self.text, TextTower):
            if isinstance(prompts, TextInput):
                raise BackboneLacks(f"the text tower of {self.name} takes sentences only, so prompts cannot be learned on it.")
            return self.text.run(self.tokenize(prompts).to(self.device), edits, taps)
        if not isinstance(prompts, TextInput):
            prompts = self.prompts(prompts)
        return self.text.run(prompts, edits, taps, fast=self.fast)

    def encode_image(self, pixels: Tensor, edits: Sequence[Edit] = (), taps: Sequence[str] = (), *, tokens: bool = False) -> Encoding:
        """Normalised pixels [B, 3, H, W] → pooled [B, E] and, when asked for, projected local features [B, M, E]; float32."""
        return self.image.run(pixels.to(self.device), edits, taps, tokens=tokens)

    def cached_image(self, batch: Any, *, tokens: bool = False, encode: Callable[[Tensor], Encoding] | None = None,
                     variant: tuple = ()) -> Encoding:
        """The frozen encoding of a batch; rows that were seen before come from the cache, the others are encoded in chunks.

        ``encode``: pixels → encoding, another frozen reading of the picture (dense features, ...), kept apart under ``variant``.
        No gradient is recorded, unless the pixels themselves ask for one (``batch.tracked``).
        """
        encode = encode or (lambda pixels: self.encode_image(pixels, tokens=tokens))
        if batch.tracked and torch.is_grad_enabled():
            return self._in_chunks(batch, range(len(batch)), encode, fill=False)
        with torch.no_grad():
            return self._remembered(batch, tokens, encode, variant)

    def _remembered(self, batch: Any, tokens: bool, encode: Callable[[Tensor], Encoding], variant: tuple) -> Encoding:
        keys = batch.keys if self.fast.cache else None
        if keys is None:
            return self._in_chunks(batch, range(len(batch)), encode, fill=False)
        keys = [(*k, *variant) for k in keys]
        rows = [self.cache.get(k, tokens) for k in keys]
        missing = [i for i, row in enumerate(rows) if row is None]
        if missing:
            new = _parts(self._in_chunks(batch, missing, encode, fill=self.device.type == "cpu" and len(missing) > 1))
            for j, i in enumerate(missing):
                known = self.cache.get(keys[i], False) or {}  # asked for tokens later: what was answered before stays to the last bit
                rows[i] = {name: part[j].cpu().clone() for name, part in new.items()} | known
                self.cache.put(keys[i], rows[i])
        names = [n for n in rows[0] if all(n in row for row in rows)]
        parts = {name: torch.stack([row[name] for row in rows]).to(self.device) for name in names if tokens or name != "tokens"}
        pooled, local = parts.pop("pooled"), parts.pop("tokens", None)
        return Encoding(pooled, local, self.grid if tokens else None, parts)

    def _in_chunks(self, batch: Any, index: Sequence[int], encode: Callable[[Tensor], Encoding], fill: bool) -> Encoding:
        """Encode rows of a batch. With ``fill``, a chunk that is not full is filled up: the last bits of a matrix product depend on its
        number of rows, and the encoding of a picture must not depend on which others were missing (a resumed run, another order)."""
        parts, grid, size = [], None, CHUNK.get(self.device.type, 16)
        for chunk in torch.tensor(list(index)).split(size):
            part = replace(batch, rows=tuple(batch.rows[i] for i in chunk.tolist()), target=None)
            pixels = part.pixels(self.spec)
            if fill and len(chunk) < size:
                pixels = torch.cat([pixels, pixels[-1:].expand(size - len(chunk), -1, -1, -1)])
            e = encode(pixels)
            parts.append({name: t[: len(chunk)] for name, t in _parts(e).items()})
            grid = e.grid
        whole = {name: torch.cat([p[name] for p in parts]) for name in parts[0]}
        return Encoding(whole.pop("pooled"), whole.pop("tokens", None), grid, whole)

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of the local features."""
        return getattr(self.image, "resized", None) or getattr(self.image, "grid", None)

    @torch.no_grad()
    def zero_shot(self, names: tuple[str, ...], templates: tuple[str, ...], mean: str = "unit") -> Tensor:
        """Class features [C, E], unit length, remembered: the mean over templates of unit ("unit") or raw ("raw") text features."""
        if mean not in ("unit", "raw"):
            raise BadData(f"mean must be 'unit' or 'raw'; got {mean!r}.")
        key = (tuple(names), tuple(templates), mean, *astuple(self.fast))
        if key not in self._zero:
            total = 0
            for t in templates:
                texts = [t.replace("{}", n) for n in names]
                parts = [texts[i : i + TEXT_CHUNK] for i in range(0, len(texts), TEXT_CHUNK)]
                v = torch.cat([self.encode_text(part).pooled for part in parts])
                total = total + (F.normalize(v, dim=-1) if mean == "unit" else v)
            if len(self._zero) >= 64:
                self._zero.pop(next(iter(self._zero)))
            self._zero[key] = F.normalize(total / len(templates), dim=-1)
        return self._zero[key].clone()

    # ---- identity -------------------------------------------------------------------------------------------------

    def digest(self) -> str:
        """sha256 over all weights: equal before and after a method means that nothing wrote to them."""
        sha = hashlib.sha256()
        for tower in (self.image, self.text):
            state = {**tower.weights, **getattr(getattr(tower, "module", None), "state_dict", dict)()}
            for name in sorted(state):
                sha.update(name.encode())
                sha.update(state[name].detach().contiguous().cpu().view(torch.uint8).numpy() if state[name].ndim else b"")
        return sha.hexdigest()

    def at(self, size: int) -> "Clip":
        """The same weights for pictures of another side; positions are resized bicubically where the patch grid differs."""
        other = copy.copy(self)
        other.image, other.spec = self.image.at(size), replace(self.spec, size=size)
        other.cache = EncodingCache(self._memory, None if self.cache.folder is None else self.cache.folder.parent / str(size))
        return other


def _parts(e: Encoding) -> dict[str, Tensor]:
    """The tensors of an encoding, each [B, ...], by name."""
    return {"pooled": e.pooled} | ({} if e.tokens is None else {"tokens": e.tokens}) | e.taps
