"""``promptlab bench speed``: one training step of CoOp and CoCoOp, plain and by the fast paths, on the same weights, in one run.

Each cell runs in a process of its own, so that its peak memory is its own; losses and gradients are compared afterwards.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from promptlab.errors import PromptlabError

COLUMNS = ("method", "K", "how", "precision", "s/step", "ratio", "CPU ratio", "peak GB", "loss diff", "grad diff", "text diff",
           "share of GEMM", "CPU share")


def cells(methods: Sequence[str], ks: Sequence[int], device: str, skip_plain: bool) -> Iterator[dict[str, Any]]:
    """What to measure. On CUDA the plain step also in bfloat16 (autocast), as the public code runs in half precision. Plain CoCoOp runs
    one picture of the batch (its step is linear in the pictures); plain K = 1000 is left out unless asked for on CUDA, as one step
    needs tens of gigabytes."""
    for method in methods:
        for k in ks:
            if not skip_plain and k * (1 if method == "coop" else 4) <= 4000 and (k < 1000 or device == "cuda"):
                plain = {"method": method, "k": k, "how": "plain", "steps": 3, **({"images": 1} if method == "cocoop" else {})}
                yield from [plain, {**plain, "dtype": "bfloat16"}] if device == "cuda" else [plain]
            for how in ("encoded", "cached"):
                yield {"method": method, "k": k, "how": how}
            yield {"method": method, "k": k, "how": "cached", "dtype": "bfloat16"}


def speed(device: str = "cpu", ks: Sequence[int] = (10, 100, 1000), methods: Sequence[str] = ("coop", "cocoop"),
          skip_plain: bool = False, threads: int | None = None) -> Iterator[dict[str, Any]]:
    """Measured cells, one by one. ``ratio``: seconds of plain (in the same precision where that was measured) over these; differences
    are relative to the plain cell, or, where that was left out, to the first of ours; ``share``: of the machine's rate of large products,
    by the multiply-adds that the layout needs. ``cpu_ratio`` and ``cpu_share`` are the same by processor seconds of the process
    (meaningful with one thread, on a busy machine)."""
    with tempfile.TemporaryDirectory() as folder:
        plain: dict[tuple, dict[str, Any]] = {}
        truth: dict[tuple, Path] = {}
        for i, cell in enumerate(cells(methods, ks, device, skip_plain)):
            out = Path(folder) / f"{i}.npz"
            row = run({**cell, "device": device, "out": str(out)}, threads)
            key = (row["method"], row["k"])
            row["batch_seconds"] = row["seconds"] * row["batch"] / row["images"] if row["method"] == "cocoop" else row["seconds"]
            if row["how"] == "plain":
                plain[(*key, row["dtype"])] = row
            against = plain.get((*key, row["dtype"]), plain.get((*key, "float32")))
            yield {**row, **compare(out, truth.setdefault(key, out)), **figures(row, against)}


def run(cell: dict[str, Any], threads: int | None = None) -> dict[str, Any]:
    """One cell in a process of its own."""
    env = {**os.environ, "OMP_WAIT_POLICY": "passive", **({"OMP_NUM_THREADS": str(threads)} if threads else {})}
    done = subprocess.run([sys.executable, "-m", "promptlab.bench.cell", json.dumps(cell)], capture_output=True, text=True, env=env)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["it was ended, as a rule for want of memory"])[-1]
        raise PromptlabError(f"measuring {cell['method']} K={cell['k']} {cell['how']} failed: {why}")
    return json.loads(done.stdout)


def compare(out: Path, truth: Path) -> dict[str, float]:
    """Differences of loss (relative), gradient and text features (of the largest entry)."""
    a, b = np.load(out), np.load(truth)

    def off(name: str) -> float:
        return float(np.abs(a[name] - b[name]).max() / np.abs(b[name]).max())

    return {"loss_diff": off("loss"), "gradient_diff": off("gradient"), "text_diff": off("text")}


def figures(row: dict[str, Any], plain: dict[str, Any] | None) -> dict[str, float | None]:
    """Ratio to the plain cell, and share of the rate of large products (only where the step is all text)."""
    clocks = (("seconds", "gemm_macs"), ("cpu_seconds", "gemm_cpu_macs"))
    share, cpu_share = (row["needed_macs"] / row[t] / row[rate] if row["how"] == "cached" else None for t, rate in clocks)
    if plain is None:
        return {"ratio": None, "cpu_ratio": None, "share": share, "cpu_share": cpu_share}
    per_batch = plain["cpu_seconds"] * plain["batch_seconds"] / plain["seconds"]
    return {"ratio": plain["batch_seconds"] / row["batch_seconds"], "cpu_ratio": per_batch / row["cpu_seconds"],
            "share": share, "cpu_share": cpu_share}


def cells_of(row: dict[str, Any]) -> tuple[str, ...]:
    """A row as text, under :data:`COLUMNS`."""
    def small(x: float) -> str:
        return f"{x:.0e}" if x else "-"

    how = row["how"] + (f" ({row['images']} of {row['batch']} pictures, scaled)" if row["images"] != row["batch"] else "")
    ratio = f"{row['ratio']:.1f}x" if row["ratio"] and row["how"] != "plain" else "-"
    cpu_ratio = f"{row['cpu_ratio']:.1f}x" if row["cpu_ratio"] and row["how"] != "plain" else "-"
    share, cpu_share = (f"{100 * row[s]:.0f} %" if row[s] else "-" for s in ("share", "cpu_share"))
    peak = f"{row['peak_bytes'] / 1e9:.2f}"
    return (row["method"], str(row["k"]), how, row["dtype"], f"{row['batch_seconds']:.3f}", ratio, cpu_ratio, peak,
            small(row["loss_diff"]), small(row["gradient_diff"]), small(row["text_diff"]), share, cpu_share)
