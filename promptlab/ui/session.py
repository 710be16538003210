"""What one browser session holds, and the shelf of all sessions."""

import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promptlab.ui.job import Job

TTL = 3600.0  # seconds without a call after which a session's files go


@dataclass
class Session:
    """``data``: the opened shots (episode and test sets); ``zero``: the zero-shot run on them, ``zero_val`` its
    accuracy on the validation shots; ``runs``: fitted runs, newest last."""

    folder: Path
    data: Any = None
    label: str = ""
    zero: Any = None
    zero_val: float | None = None
    runs: list[Any] = field(default_factory=list)
    curves: list[Any] = field(default_factory=list)
    job: Job | None = None
    tried: int = 0
    touched: float = field(default_factory=time.monotonic)

    @property
    def busy(self) -> bool:
        return self.job is not None and not self.job.finished

    def put(self, data: Any, label: str) -> None:
        """New shots: runs on other shots are not comparable, so they leave the table."""
        self.data, self.label, self.zero, self.runs, self.curves, self.job, self.tried = data, label, None, [], [], None, 0

    def room(self, name: str) -> Path:
        """A new empty folder of this session."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))


class Sessions:
    """Sessions by key; one is made when first asked for, and dropped with its files when its page closes or after an hour."""

    def __init__(self, root: Path | None = None):
        self.root, self._all, self._lock = root, {}, threading.Lock()

    def get(self, key: str) -> Session:
        self.sweep()
        with self._lock:
            if key not in self._all:
                self._all[key] = Session(Path(tempfile.mkdtemp(prefix="promptlab-session-", dir=self.root)))
            self._all[key].touched = time.monotonic()
            return self._all[key]

    def drop(self, key: str) -> None:
        """Stop what the session computes and delete its files."""
        with self._lock:
            session = self._all.pop(key, None)
        if session is not None:
            if session.job is not None:
                session.job.stop.set()
            shutil.rmtree(session.folder, ignore_errors=True)

    def sweep(self, now: float | None = None) -> None:
        """Drop sessions that nobody has used for an hour."""
        now = time.monotonic() if now is None else now
        with self._lock:
            old = [k for k, s in self._all.items() if now - s.touched > TTL and not s.busy]
        for key in old:
            self.drop(key)

    def __len__(self) -> int:
        return len(self._all)


SESSIONS = Sessions()
