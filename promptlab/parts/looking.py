"""Classes that look at a picture: their text features query its tokens by cross-attention.

``ClassAware`` makes vision prompts of the answer (DPT, arXiv:2208.08340); ``TextToImage`` moves the text features themselves (VT-CLIP).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ClassAware(nn.Module):
    """Prompts of k classes for one block: q = meta(t) [B, k, D], o = Wv softmax((Wq q)(Wk Y)ᵀ / √d) Y with Y = [stop-gradient(x); extra],
    prompts LN2(o + q) and class logits classifier(LN1(o)). One head; the values are mapped after they are weighted."""

    def __init__(self, classes: int, joint: int, width: int, inner: int = 32, extra: int = 10):
        super().__init__()
        self.meta = nn.Linear(joint, width)
        self.q, self.k = nn.Linear(width, inner, bias=False), nn.Linear(width, inner, bias=False)
        self.v = nn.Linear(width, width, bias=False)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.classifier = nn.Linear(width, classes, bias=False)
        self.extra = nn.Parameter(0.02 * torch.randn(extra, width))

    def forward(self, text: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """text [B, k, E], tokens x [B, L, D] → prompts [B, k, D], class logits [B, k, C], attention [B, k, L + extra]."""
        y = torch.cat([x.detach(), self.extra.to(x.dtype).expand(len(x), -1, -1)], 1)
        query = self.meta(text)
        pattern = (self.q(query) @ self.k(y).transpose(1, 2) * self.q.out_features**-0.5).softmax(-1)
        seen = self.v(pattern @ y)
        return self.ln_2(seen + query), self.classifier(self.ln_1(seen)), pattern


class TextToImage(nn.Module):
    """Multi-head cross-attention of class features over local features, four maps without bias, W_o zero at first."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        nn.init.zeros_(self.o.weight)

    def forward(self, text: Tensor, local: Tensor) -> tuple[Tensor, Tensor]:
        """text [C, E], local [B, M, E] → what each class found [B, C, E], attention [B, C, M] (mean over heads)."""
        q = self.q(text).unflatten(-1, (self.heads, -1)).transpose(0, 1)  # [H, C, d]
        k, v = (f(local).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.k, self.v))  # [B, H, M, d]
        pattern = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
        return self.o((pattern @ v).transpose(1, 2).flatten(2)), pattern.mean(1)


def matching_rows(logits: Tensor, chosen: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy of class-aware logits [B, k, C] over the rows whose chosen class [B, k] is the label [B]; 0 if there is none."""
    hit = chosen == target[:, None]
    if not hit.any():
        return logits.sum() * 0
    return F.cross_entropy(logits[hit], target[:, None].expand_as(chosen)[hit])
