"""Texts that look at a picture: a transformer decoder whose queries are class features and whose memory is the picture's features.

q [B, K, E], memory [B, N, E] → [B, K, E]: x = Linear(LN(q)); m = LN(Linear(LN(memory))); per layer x += SA(LN(x)); x += CA(LN(x), m);
x += MLP(LN(x)); out = Linear(LN(x)). Queries, keys and values have no bias, output projections have one.
Source: DenseCLIP, arXiv:2112.01518 (``raoyongming/DenseCLIP: segmentation/denseclip/models.py``, ``ContextDecoder``).
"""

import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention of queries [B, K, D] over keys and values [B, N, D], then an output projection."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.drop = heads, dropout
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.proj = nn.Linear(width, width)

    def forward(self, q: Tensor, memory: Tensor) -> Tensor:
        parts = (self.q_proj(q), self.k_proj(memory), self.v_proj(memory))
        split = [x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in parts]
        out = F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2)
        return F.dropout(self.proj(out), self.drop, self.training)


class DecoderLayer(nn.Module):
    """Pre-norm self-attention, cross-attention (the memory is not normed again) and MLP."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.self_attn, self.cross_attn = (Attention(width, heads, dropout) for _ in range(2))
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * width, width))
        self.drop = dropout

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.self_attn(y, y)
        x = x + self.cross_attn(self.norm2(x), memory)
        return x + F.dropout(self.mlp(self.norm3(x)), self.drop, self.training)


class ContextDecoder(nn.Module):
    """``layers`` decoder layers of ``width`` between features of size ``joint``; linear maps N(0, 0.02²) cut at two deviations."""

    def __init__(self, joint: int, width: int = 256, heads: int = 4, layers: int = 3, dropout: float = 0.1):
        super().__init__()
        self.memory_proj = nn.Sequential(nn.LayerNorm(joint), nn.Linear(joint, width), nn.LayerNorm(width))
        self.text_proj = nn.Sequential(nn.LayerNorm(joint), nn.Linear(joint, width))
        self.decoder = nn.ModuleList(DecoderLayer(width, heads, dropout) for _ in range(layers))
        self.out_proj = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, joint))
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.trunc_normal_(m.weight, std=0.02, a=-0.04, b=0.04)
                if m.bias is not None:
                    nn.init.zeros_(m.bias)

    def forward(self, text: Tensor, memory: Tensor) -> Tensor:
        """``text`` [B, K, E], ``memory`` [B, N, E] → what the picture adds to each text [B, K, E]."""
        x, memory = self.text_proj(text), self.memory_proj(memory)
        for layer in self.decoder:
            x = layer(x, memory)
        return self.out_proj(x)
