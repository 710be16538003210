"""Files that are either whole or not there: written beside their place, then moved over it."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from torch import Tensor


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder that takes the place of ``path`` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Plain data as JSON; NaN and infinity become null, so that every reader can read it."""
    with replacing(path) as part:
        part.write_text(json.dumps(plain(value), indent=1, allow_nan=False), encoding="utf-8")


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Named arrays as a compressed ``.npz`` without pickled objects."""
    with replacing(path) as part, open(part, "wb") as file:  # an open file: numpy would append .npz to a path
        np.savez_compressed(file, **arrays)


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Named tensors as safetensors (copied to the CPU; storage is never shared)."""
    from safetensors.torch import save_file

    with replacing(path) as part:
        save_file({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, part, metadata)


def read_tensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def plain(value: Any) -> Any:
    """``value`` as JSON-able data: tuples and arrays to lists, NumPy scalars to numbers, NaN and infinity to None."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray | Tensor):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
