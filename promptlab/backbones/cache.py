"""Frozen image encodings, kept: one entry a picture and view, bounded in bytes, optionally on disk as well."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor


class EncodingCache:
    """Least-recently-used rows {"pooled" [E], "tokens" [M, E]}, float32 on the CPU. Safe to use from several threads.

    ``folder``: also keep rows there, as safetensors files under the backbone's digest; rows are read back after a restart.
    """

    def __init__(self, limit: int = 2**30, folder: Path | None = None):
        self.limit, self.folder, self.bytes = limit, folder, 0
        self._rows: OrderedDict[Hashable, dict[str, Tensor]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: Hashable, tokens: bool) -> dict[str, Tensor] | None:
        """The row, or None if it (or its tokens, when asked for) is not there."""
        with self._lock:
            row = self._rows.get(key)
            if row is not None:
                self._rows.move_to_end(key)
        if row is None and self.folder is not None and (file := self._file(key)).is_file():
            row = load_file(file)
            self._keep(key, row)
        return row if row is not None and (not tokens or "tokens" in row) else None

    def put(self, key: Hashable, row: dict[str, Tensor]) -> None:
        """Keep a row; the oldest ones go when the limit is reached."""
        self._keep(key, row)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            part = self._file(key).with_suffix(f".{threading.get_ident()}.part")
            save_file({k: v.contiguous() for k, v in row.items()}, part)
            part.replace(self._file(key))

    def clear(self) -> None:
        with self._lock:
            self._rows.clear()
            self.bytes = 0

    def _keep(self, key: Hashable, row: dict[str, Tensor]) -> None:
        with self._lock:
            self.bytes -= _size(self._rows.pop(key, {}))
            self._rows[key] = row
            self.bytes += _size(row)
            while self.bytes > self.limit and len(self._rows) > 1:
                self.bytes -= _size(self._rows.popitem(last=False)[1])

    def _file(self, key: Hashable) -> Path:
        return self.folder / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}.safetensors"


def _size(row: dict[str, Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in row.values())
