"""Making a method from a key, a backbone and class names: the one place that seeds before construction."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from promptlab import registry
from promptlab.card import Train, build_hyper, knobs
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.errors import BadHyper
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


def inner(owner: str, key: str, clip: Any, task: Task, training: Train, settings: str = "") -> Method:
    """The method inside a wrapper: any id of the registry, trained by the wrapper's own training knobs.

    ``settings``: values of the inner method's knobs as text, ``"n_ctx=4,ctx_init=a photo of a"``; they win over ``training``.
    """
    if key == owner:
        raise BadHyper(f"{owner} cannot be its own inner method; choose another, such as coop.")
    cls = method_class(key)
    known = knobs(cls.Hyper)
    values = {f.name: getattr(training, f.name) for f in dataclasses.fields(Train) if f.name in known}
    for part in filter(None, (p.strip() for p in settings.split(","))):
        name, sign, text = part.partition("=")
        if not sign or name.strip() not in known:
            raise BadHyper(f"settings of {owner} must be knob=value pairs of {key} with commas between; got {part!r}.")
        values[name.strip()] = known[name.strip()].read(text.strip())
    return build(cls, clip, task, values)
