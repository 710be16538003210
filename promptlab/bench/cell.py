"""One training step, timed in a process of its own: ``python -m promptlab.bench.cell '{"method": "coop", "k": 100, "how": "plain"}'``.

``plain`` is the formulation of the public CoOp and CoCoOp code: 77 positions, images through the tower each step, one text batch an
image. ``cached`` and ``encoded`` are ours with image features kept, or encoded each step. All cells make the same random ViT-B-32.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.backbones.checkpoint import find, imagenet_names
from promptlab.backbones.load import wrap
from promptlab.backbones.points import TextInput

MODEL = "ViT-B-32-quickgelu"
SETTING = {"coop": (16, 32), "cocoop": (4, 4)}  # context vectors, batch


class Bench(nn.Module):
    """Learnables (context, CoCoOp's small network) over a frozen model, pictures and labels, all a function of the seed."""

    def __init__(self, method: str, k: int, device: str, dtype: str):
        super().__init__()
        torch.manual_seed(0)
        found = find(MODEL, "random")
        model = found.model.requires_grad_(False).to(device)
        self.frozen = {"model": model, "clip": wrap(model, found.tokenizer, name=MODEL, dtype=dtype)}
        self.method, self.device = method, device
        self.n, self.batch = SETTING[method]
        names = imagenet_names()
        names = [names[i * len(names) // k] for i in range(k)]
        clip = self.frozen["clip"]
        self.ids = clip.tokenize([" ".join(["X"] * self.n) + f" {name}." for name in names]).to(device)
        self.embedded, self.eot = clip.embed(self.ids), clip.ends(self.ids)
        width, joint = clip.text_width, clip.joint_dim
        self.ctx = nn.Parameter(torch.randn(self.n, width).mul(0.02).to(device))
        self.net = nn.Sequential(nn.Linear(joint, joint // 16), nn.ReLU(), nn.Linear(joint // 16, width)).to(device)
        self.pixels = torch.randn(self.batch, 3, clip.spec.size, clip.spec.size).to(device)
        self.labels = torch.randint(0, k, (self.batch,)).to(device)
        self.features = F.normalize(clip.encode_image(self.pixels).pooled, dim=-1)

    def image(self, how: str) -> Tensor:
        """Unit features [B, E]: kept, through our tower, or through open_clip's own code."""
        if how == "cached":
            return self.features
        with torch.no_grad() if how == "encoded" else torch.enable_grad():
            v = self.frozen["clip"].encode_image(self.pixels).pooled if how == "encoded" else self.frozen["model"].encode_image(self.pixels)
        return F.normalize(v, dim=-1)

    def context(self, v: Tensor) -> Tensor:
        """[1, n, D], or one an image [B, n, D]."""
        return self.ctx[None] if self.method == "coop" else self.ctx + self.net(v)[:, None]

    def plain_text(self, ctx: Tensor) -> Tensor:
        """Text features [K, E] of one context [n, D] as open_clip's modules compute them, at all 77 positions."""
        m = self.frozen["model"]
        x = torch.cat([self.embedded[:, :1], ctx.expand(len(self.ids), -1, -1), self.embedded[:, 1 + self.n :]], 1)
        x = m.ln_final(m.transformer(x + m.positional_embedding, attn_mask=m.attn_mask))
        return F.normalize(x[torch.arange(len(x), device=x.device), self.eot] @ m.text_projection, dim=-1)

    def text(self, ctx: Tensor) -> Tensor:
        """Text features [G, K, E] of G contexts, by the fast paths."""
        prefix = torch.cat([self.embedded[:1, :1].expand(len(ctx), -1, -1), ctx], 1)
        pooled = self.frozen["clip"].encode_text(TextInput(prefix, self.embedded[:, 1 + self.n :], self.eot)).pooled
        return F.normalize(pooled, dim=-1).unflatten(0, (len(ctx), -1))

    def loss(self, how: str, images: int) -> Tensor:
        """Mean cross-entropy of the first ``images`` pictures."""
        v = self.image(how)[:images]
        ctx = self.context(v)
        text = torch.stack([self.plain_text(c) for c in ctx]) if how == "plain" else self.text(ctx)
        logits = self.frozen["clip"].scale * torch.einsum("be,bke->bk", v, text.expand(len(v), -1, -1))
        return F.cross_entropy(logits, self.labels[:images])

    def step(self, how: str, images: int) -> tuple[float, Tensor]:
        """One forward and backward pass → loss, gradient of all learnables [P]."""
        self.zero_grad()
        half = how == "plain" and self.frozen["clip"].dtype != torch.float32
        with torch.autocast(self.device, torch.bfloat16, enabled=half):
            loss = self.loss(how, images)
        loss.backward()
        learned = [self.ctx] if self.method == "coop" else list(self.parameters())
        return float(loss.detach()), torch.cat([p.grad.flatten() for p in learned])


def needed_macs(b: Bench, attention: bool = True) -> float:
    """Multiply-adds of one step that the shared layout needs on the text side: real tokens only, no padding, no image tower.

    A frozen matrix costs its product once forward and once backward (no weight gradient); the first block's suffix queries, keys and
    values are made once and need no backward pass; the last block's queries, output and MLP are for the EOT rows only. Attention: two
    products forward, four backward.
    """
    clip = b.frozen["clip"]
    d, layers, g, p = clip.text_width, clip.text_layers, 1 if b.method == "coop" else b.batch, 1 + b.n
    lengths = [int(e) + 1 - p for e in b.eot]
    tokens, rows, suffix = g * (p + sum(lengths)), g * len(lengths), sum(lengths)
    matrices = 2 * 12 * d * d * tokens * (layers - 1) + 2 * (2 * tokens + 10 * rows) * d * d
    matrices -= 3 * d * d * suffix * (2 * g - 1)
    keys = g * (p * (p + 1) / 2 + sum(s * p + s * (s + 1) / 2 for s in lengths))
    last = g * sum(p + s for s in lengths)
    return matrices + (6 * d * (keys * (layers - 1) + last) if attention else 0) + 2 * rows * d * clip.joint_dim


def gemm_rate(device: str, dtype: str, n: int) -> tuple[float, float]:
    """Multiply-adds of an n x n x n product per second and per processor second of this process, best of six."""
    a, b = (torch.randn(n, n, device=device, dtype=getattr(torch, dtype)) for _ in range(2))
    wall, cpu = [], []
    for _ in range(6):
        start = time.process_time()
        wall.append(timed(lambda: a @ b, device)[0])
        cpu.append(time.process_time() - start)
    return n**3 / min(wall), n**3 / min(cpu)


def timed(work: Callable[[], Any], device: str) -> tuple[float, Any]:
    """Seconds (by events on CUDA) and the result."""
    if device != "cuda":
        start = time.perf_counter()
        return -start + (out := work(), time.perf_counter())[1], out
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    out = work()
    last.record()
    torch.cuda.synchronize()
    return first.elapsed_time(last) / 1e3, out


def measure(method: str, k: int, how: str, device: str = "cpu", dtype: str = "float32", images: int | None = None, steps: int = 5,
            out: str | None = None) -> dict[str, Any]:
    """Time steps and write the loss, the gradient and the text features to ``out`` (npz); times are the best of ``steps``."""
    b = Bench(method, k, device, dtype)
    images = images or b.batch
    side = 8192 if device == "cuda" else 2048
    rates = [gemm_rate(device, dtype, side)]
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds, cpu = [], []
    for i in range(steps + 1):
        before = time.process_time()
        spent, _ = timed(lambda: b.step(how, images), device)
        if i or spent > 10:  # the first step warms up, unless there is no time for that
            seconds.append(spent)
            cpu.append(time.process_time() - before)
        if sum(seconds) > 30:
            break
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 if device != "cuda" else torch.cuda.max_memory_allocated()
    rates.append(gemm_rate(device, dtype, side))
    first = b.step(how, 1 if method == "cocoop" else images)
    if out:
        with torch.no_grad():
            text = b.text(b.context(b.features))[0] if how != "plain" else b.plain_text(b.context(b.features)[0])
        np.savez(out, loss=first[0], gradient=first[1].cpu().numpy(), text=text.cpu().numpy())
    return {"method": method, "k": k, "how": how, "device": device, "dtype": dtype, "images": images, "batch": b.batch,
            "threads": torch.get_num_threads(), "seconds": min(seconds), "cpu_seconds": min(cpu), "steps": len(seconds),
            "peak_bytes": peak, "base_bytes": base * 1024,
            "gemm_macs": max(r[0] for r in rates), "gemm_cpu_macs": max(r[1] for r in rates), "needed_macs": needed_macs(b),
            "suffix_tokens": int((b.eot - b.n).sum())}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(**json.loads(sys.argv[1]))))
