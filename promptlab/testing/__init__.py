"""The public check suite: what every method must hold, ours and yours, on tiny backbones in seconds.

    @pytest.mark.parametrize("check", checks(MyMethod), ids=lambda c: c.name)
    def test_my_method(check):
        check()
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from promptlab.backbones.tiny import hollow_backbone, tiny_backbone
from promptlab.data.kinds import kind_of
from promptlab.data.kinds.toy import Toy
from promptlab.method import Method
from promptlab.testing import answering, declared, fitting
from promptlab.testing.subject import Subject

CHECKS = (*declared.CHECKS, *fitting.CHECKS, *answering.CHECKS)
__all__ = ["Check", "Subject", "checks", "hollow_backbone", "names", "tiny_backbone", "toy"]


@dataclass(frozen=True)
class Check:
    """One check of one method: call it; an AssertionError says what is wrong."""

    name: str
    run: Callable[[Subject], None] = field(repr=False)
    subject: Subject = field(repr=False)

    def __call__(self) -> None:
        self.run(self.subject)


def checks(cls: type[Method], *, backbone: Any = None, kind: str | None = None, hyper: dict[str, Any] | None = None,
           device: str = "cpu") -> list[Check]:
    """All checks of a method class. ``backbone``: instead of the tiny one on ``device``; ``kind``: instead of the card's first;
    ``hyper``: values on top of its preset "tiny" or "demo"."""
    subject = Subject(cls, backbone, kind, hyper, device)
    return [Check(run.__name__, run, subject) for run in CHECKS]


def names() -> list[str]:
    """The names of the checks, in order."""
    return [run.__name__ for run in CHECKS]


def toy(kind: str = "single", **sizes: int) -> Toy:
    """A toy episode and test set of a kind (``size``, ``classes``, ``shots``, ``seed``)."""
    return kind_of(kind).toy(**sizes)
