"""Making a method from a key, a backbone and class names: the one place that seeds before construction."""

from collections.abc import Mapping, Sequence
from typing import Any

from promptlab import registry
from promptlab.card import build_hyper
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.fit.context import seed_all
from promptlab.method import Method


def method_class(key: str | type[Method]) -> type[Method]:
    """The class of a key; a Method class passes through."""
    return registry.get(key) if isinstance(key, str) else key


def build(key: str | type[Method], clip: Any, task: Task, hyper: Mapping[str, Any] | None = None, preset: str | None = None) -> Method:
    """An unfitted method for ``task``; generators are seeded from its ``seed`` so that equal requests start equal."""
    cls = method_class(key)
    checked = build_hyper(cls.card.id, cls.Hyper, hyper or {}, cls.card.presets, preset)
    seed_all(checked.seed)
    method = cls(clip, task, checked).to(clip.device)
    return method.eval()


def create(key: str | type[Method], clip: Any, classnames: Sequence[str] | ClassSet, templates: Sequence[str] | None = None, *,
           kind: str | None = None, preset: str | None = None, **hyper: Any) -> Method:
    """An unfitted method over ``classnames``: ``state_dict()`` holds exactly its learnables and ``logits(images)``
    [B, 3, H, W] → float32 [B, C] is differentiable. ``kind`` defaults to the first kind of the method's card."""
    cls = method_class(key)
    classes = classnames if isinstance(classnames, ClassSet) else ClassSet(tuple(classnames))
    if templates:
        classes = ClassSet(classes.names, tuple(templates), classes.descriptions, classes.tree, classes.topic)
    return build(cls, clip, Task(kind or cls.card.kinds[0], classes, name="classnames"), hyper, preset)
