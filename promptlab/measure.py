"""Seconds and peak memory of a block of work."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass
class Cost:
    """``seconds`` of wall clock; ``peak_mb``: largest growth of the process (CPU) or of torch's allocations (CUDA)."""

    seconds: float = 0.0
    peak_mb: float | None = None


@contextmanager
def cost(device: torch.device) -> Iterator[Cost]:
    """Measure the block; the result is complete when it ends. One block at a time a process."""
    found = Cost()
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    before, start = torch.cuda.memory_allocated(device) if cuda else _reset_rss(), time.perf_counter()
    try:
        yield found
    finally:
        if cuda:
            torch.cuda.synchronize(device)
        peak = torch.cuda.max_memory_allocated(device) if cuda else _peak_rss()
        found.seconds = time.perf_counter() - start
        found.peak_mb = None if peak is None or before is None else max(0.0, (peak - before) / 2**20)


def _reset_rss() -> int | None:
    """Set the kernel's high-water mark back to now (Linux) and return the resident bytes."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return _peak_rss()  # without a reset the growth is a lower bound
    return _status("VmRSS")


def _peak_rss() -> int | None:
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(field: str) -> int | None:
    path = Path("/proc/self/status")
    if not path.is_file():
        return None
    lines = [line.split() for line in path.read_text().splitlines() if line.startswith(field + ":")]
    return int(lines[0][1]) * 1024 if lines else None
