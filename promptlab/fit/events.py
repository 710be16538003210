"""What a fit says while it runs: frozen, JSON-able values."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    def to_json(self) -> dict[str, Any]:
        """The event as plain data, with its type's name under ``event``."""
        return {"event": type(self).__name__.lower(), **asdict(self)}


@dataclass(frozen=True)
class Started(Event):
    method: str
    hyper: dict[str, Any]
    trainable: int
    total_steps: int = 0


@dataclass(frozen=True)
class Step(Event):
    i: int
    of: int
    terms: dict[str, float]
    lr: float
    seconds: float = 0.0


@dataclass(frozen=True)
class Epoch(Event):
    i: int
    of: int
    train: dict[str, float] = field(default_factory=dict)
    val: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress(Event):
    what: str
    done: int
    of: int


@dataclass(frozen=True)
class Labelled(Event):
    count: int
    confidence: float
    per_class: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Shown(Event):
    name: str
    exhibit: dict[str, Any]


@dataclass(frozen=True)
class Note(Event):
    text: str


@dataclass(frozen=True)
class Finished(Event):
    seconds: float
    why: str = "done"  # "done" | "stopped" | "budget" | "memory" | "collapsed"
