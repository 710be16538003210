"""What one visitor holds on the server, and the shelf of all sessions. A session goes by a token that only its browser knows."""

import re
import secrets
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promptlab.errors import PromptlabError
from promptlab.jobs import Jobs, Lane
from promptlab.runs import RunStore
from promptlab.ui import says
from promptlab.ui.draft import Draft

TTL = 3600.0  # seconds without a call after which a session's files go
TOKEN = re.compile(r"[A-Za-z0-9_-]{32,64}")
LANE = Lane(64)  # the one training lane of the process
FITTED = 6  # newest runs that keep their learnables in memory; others are read from their folder when asked
KEPT = ("families", "learn", "search", "wide", "backbone", "find", "diff")  # what other shots do not change on the screens
LINGER = 5.0  # seconds that an error stays, whatever else goes well


@dataclass
class Ticket:
    """One fit that was asked for. ``purpose``: "compare", or what it was made for beside the table ("novel", "shots")."""

    id: str
    method: str
    seed: int
    purpose: str = "compare"
    shots: int | None = None
    given: dict[str, Any] = field(default_factory=dict)
    run: Any = None
    error: str = ""
    bug: bool = False


@dataclass
class Session:
    """``data``: the opened shots; ``zero``: the zero-shot run on them, ``zero_val`` its accuracy on the validation shots;
    ``tickets``: fits that were asked for, oldest first; ``chosen``, ``knobs``: methods ticked on the Train screen and changed values."""

    key: str
    folder: Path
    draft: Draft = field(default_factory=Draft)
    data: Any = None
    zero: Any = None
    zero_val: float | None = None
    tickets: list[Ticket] = field(default_factory=list)
    chosen: list[str] = field(default_factory=list)
    knobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    view: dict[str, Any] = field(default_factory=dict)  # what is picked on the screens: picture, cell, runs, filters
    settings: dict[str, Any] = field(default_factory=lambda: {"backbone": "pocket", "device": "auto", "seed": 1, "name": "My project"})
    given: dict[str, Any] = field(default_factory=dict)  # backbones that Python handed over, by the name that they have on the page
    uploads: set[Path] = field(default_factory=set)
    pinned: str = ""
    failed: str = ""  # the last error, shown until it is dismissed or ``over``
    failed_by: str = ""
    failed_at: float = 0.0
    kept: dict[str, Any] = field(default_factory=dict)  # the settings that its browser was last told to keep
    returned: bool = False  # its browser knew the token and the server did not
    touched: float = field(default_factory=time.monotonic)
    lock: Any = field(default_factory=threading.RLock, repr=False)
    jobs: Jobs = field(init=False)

    def __post_init__(self) -> None:
        self.jobs = Jobs(RunStore(self.folder / "runs"), lane=LANE)

    @property
    def wide(self) -> int:
        """Pixels that the page has, as far as it has said so."""
        return self.view.get("wide", 1280)

    @property
    def open(self) -> list[Ticket]:
        """Fits that wait or run."""
        return [t for t in self.tickets if t.run is None and not t.error]

    @property
    def runs(self) -> list[Any]:
        """Runs of the table, oldest first; a stopped one counts, a failed one does not."""
        return [t.run for t in self.tickets if t.run is not None and t.purpose == "compare"]

    def fail(self, words: str, by: str = "") -> None:
        """Keep an error for the status line; ``by`` names the handler."""
        self.failed, self.failed_by, self.failed_at = words, by, time.monotonic()

    def over(self, by: str) -> bool:
        """Whether a success of the handler ``by`` ends the last error: it mends its own; another's may have been asked for before."""
        return not self.failed.startswith("A run") and (by == self.failed_by or time.monotonic() - self.failed_at > LINGER)

    def collect(self) -> None:
        """Take over what the lane has finished since the last call."""
        for t in self.open:
            job = self.jobs.job(t.id)
            if not job.done.is_set():
                continue
            t.run, t.bug = job.run, job.bug
            t.error = job.error or ("" if t.run is not None else says.STOPPED_EARLY)
            t.given["live"] = job.live
            job.request = None  # the pictures stay with the session, not with every job
            self.jobs.forget(t.id)
            if t.error and t.error != says.STOPPED_EARLY:
                self.fail(t.error)
        for run in [t.run for t in self.tickets if t.run is not None][:-FITTED]:
            run._method = None if run.path else run._method

    def put(self, data: Any) -> None:
        """New shots: runs on other shots are not comparable, so they leave the table."""
        self.data, self.zero, self.zero_val, self.tickets, self.pinned = data, None, None, [], ""
        self.view = {k: v for k, v in self.view.items() if k in KEPT}

    def room(self, name: str) -> Path:
        """A new empty folder of this session."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))

    def end(self) -> None:
        """Stop what it computes and delete its files."""
        self.jobs.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.data = self.zero = None
        self.tickets, self.draft = [], Draft()


class Sessions:
    """Sessions by token: made when first asked for, dropped with their files on request or after an hour without a call."""

    def __init__(self, root: Path | None = None, most: int = 64):
        self.root, self.most = root, most
        self._all: dict[str, Session] = {}
        self._issued: deque[str] = deque(maxlen=4096)  # tokens that nobody has come with yet
        self._lock = threading.Lock()

    def new(self) -> str:
        """A token that nobody can guess."""
        self._issued.append(token := secrets.token_urlsafe(24))
        return token

    def get(self, key: Any, back: bool = False) -> Session:
        """The session of a token; refused in a sentence where all places are taken, or where the token's session has ended. ``back``: a
        page that is opened with such a token begins anew."""
        if not isinstance(key, str) or not TOKEN.fullmatch(key):
            raise PromptlabError(says.NO_SESSION)
        self.sweep()
        with self._lock:
            if key not in self._all:
                first = key in self._issued
                if not (back or first):
                    raise PromptlabError(says.NO_SESSION)
                if len(self._all) >= self.most:
                    raise PromptlabError(says.FULL.format(self.most))
                self._all[key] = Session(key, Path(tempfile.mkdtemp(prefix="promptlab-session-", dir=self.root)))
                self._all[key].returned = not first
                if first:
                    self._issued.remove(key)
            session = self._all[key]
            session.touched = time.monotonic()
        return session

    def known(self, key: Any) -> bool:
        return isinstance(key, str) and key in self._all

    @contextmanager
    def using(self, key: Any, back: bool = False) -> Iterator[Session]:
        """The session, for one handler at a time, with the lane's results taken over."""
        session = self.get(key, back)
        with session.lock:
            session.collect()
            yield session

    def drop(self, key: str) -> None:
        """Stop what the session computes and delete its files, uploads that nobody else has sent too included."""
        with self._lock:
            session = self._all.pop(key, None)
            others = {p for s in self._all.values() for p in s.uploads}
        if session is None:
            return
        for path in session.uploads - others:
            path.unlink(missing_ok=True)
            if path.parent.name and path.parent.is_dir() and not any(path.parent.iterdir()):
                path.parent.rmdir()
        session.end()

    def sweep(self, now: float | None = None) -> None:
        """Drop sessions that nobody has used for an hour."""
        now = time.monotonic() if now is None else now
        with self._lock:
            old = [k for k, s in self._all.items() if now - s.touched > TTL and not s.open]
        for key in old:
            self.drop(key)

    def clear(self) -> None:
        for key in list(self._all):
            self.drop(key)

    def __len__(self) -> int:
        return len(self._all)


SESSIONS = Sessions()
