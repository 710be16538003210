"""Features of every word of a sentence in the joint space: a caption read the way a picture is read region by region.

g_l = proj(ln_final(h_l)) for every position l of the frozen text tower (start and end tokens included), pooled = the end token's.
Source: TaI-DPT, arXiv:2211.12739 (``guozix/TaI-DPT: trainers/Caption_distill_double.py``).
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.backbones.points import Edit
from promptlab.errors import BackboneLacks


@torch.no_grad()
def word_features(clip: Any, texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
    """Features [N, L, E] of all positions up to the longest end token, not normalised; pooled [N, E]; padding [N, L] (True where the
    id is the padding id, which CLIP's tokenizer also gives to the exclamation mark)."""
    if "causal-text" not in clip.offers:
        raise BackboneLacks(f"the features of single words need a causal text tower with named points; {clip.name} has none.")
    ids = clip.tokenize(list(texts)).to(clip.device)
    last = f"text.block.{clip.text_layers - 1}.out"
    w = clip.text.weights
    stay = Edit(last, lambda x: x)  # what cannot be shared runs in plain layout, once; a tap alone would make it a second run
    h = clip.encode_text(list(texts), [stay], (last,)).taps[last].float()
    h = F.layer_norm(h, h.shape[-1:], w["text.weights.ln_post"], w["text.weights.ln_post.bias"], clip.text.eps)
    proj = w.get("text.weights.proj")
    h = h if proj is None else F.linear(h, proj, w.get("text.weights.proj.bias"))
    length = int(clip.ends(ids).max()) + 1
    h, ids = h[:, :length], ids[:, :length]
    return h, h[torch.arange(len(h), device=h.device), clip.ends(ids)], ids == clip.words.pad
