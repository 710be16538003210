"""How episodes and test sets are drawn from data: few shots, base and new classes, other data sets, shifts, no labels, a stream.

Sampling is that of CoOp and Dassl (``DatasetBase.generate_fewshot_dataset``, ``OxfordPets.subsample_classes``): one stream of
Python's random numbers seeded by the run; labels in order of first appearance; the training shots first, then min(shots, 4)
for validation; base and new classes are parted after the sampling.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

import torch

from promptlab.data.batch import Batch, Split
from promptlab.data.dataset import DataSet
from promptlab.data.labels import columns, hide, holders, restrict
from promptlab.data.task import Episode, Task, TestSet
from promptlab.errors import BadData

VAL_SHOTS = 4
Drawn = tuple[Episode, list[TestSet]]


def sample(split: Split, kind: str, classes: int, shots: int | None, rng: Random, repeat: bool = False) -> list[int]:
    """Positions of ``shots`` pictures a class; None takes all.

    A class with fewer is kept whole, or, with ``repeat`` (Tip-Adapter and LP++), filled up by drawing with replacement.
    A picture that holds several classes counts for the first that draws it.
    """
    if shots is None:
        return list(range(len(split)))
    chosen: list[int] = []
    for _, items in holders(split, kind, classes):
        items = items if kind == "single" else [i for i in items if i not in set(chosen)]
        if len(items) >= shots:
            chosen += rng.sample(items, shots)
        else:
            chosen += rng.choices(items, k=shots) if repeat and items else items
    return chosen


def set_aside(data: DataSet, shots: int | None, seed: int) -> tuple[DataSet, str]:
    """Splits for data without any: a class gives ``shots`` pictures to train on and, of the rest, up to min(shots, 4, half) to
    validation and what remains to the test; without ``shots`` half, a fifth and the rest (CoOp's way). One picture at least is
    kept for the test where a class has two."""
    if data.test is not None or data.train is None:
        return data, ""
    rng, parts, single = Random(seed), ([], [], []), []
    taken: set[int] = set()
    for label, items in holders(data.train, data.kind, len(data.classes)):
        items = [i for i in items if i not in taken]
        rng.shuffle(items)
        n = len(items)
        train = min(max(1, n - 1), max(1, round(n / 2)) if shots is None else shots)
        val = max(0, min(round(n / 5), n - train - 1)) if shots is None else min(shots, VAL_SHOTS, (n - train) // 2)
        cuts = (items[:train], items[train:train + val], items[train + val:])
        for part, cut in zip(parts, cuts, strict=True):
            part += cut
        taken |= set(items)
        single += [data.classes.names[label]] if n == 1 else []
    train, val, test = (data.train.take(p) if p else None for p in parts)
    counts = "{} pictures train, {} validate and {} test".format(*map(len, parts))
    note = f"no splits came with {data.name}: {counts} (seed {seed})."
    if single:
        note += f" Class '{single[0]}' has 1 image; held-out check needs 2."
    return replace(data, train=train, val=val, test=test), note


def few_shot(data: DataSet, shots: int | None = 16, seed: int = 1, *, repeat: bool = False, known: float = 1.0) -> Drawn:
    """``shots`` pictures of every class to learn from, all test pictures to judge by.

    ``known``: share of the multi-label support's labels that is told (DualCoOp's partial labels).
    """
    _learnable(data, shots)
    data, note = set_aside(data, shots, seed)
    episode = _draw(data, shots, seed, repeat)
    if known < 1 and data.kind == "multi":
        episode = episode.replace(support=hide(episode.support, known, seed))
    return episode, _tests(data, episode.task, "test", note)


def base_to_new(data: DataSet, shots: int | None = 16, seed: int = 1, *, repeat: bool = False) -> Drawn:
    """Learn from the first half of the classes; test on both halves, each with its own names only ("base", "new")."""
    _learnable(data, shots)
    if len(data.classes) < 2:
        raise BadData(f"{data.name} has one class and cannot be parted into base and new; give it two or more.")
    data, note = set_aside(data, shots, seed)
    half = math.ceil(len(data.classes) / 2)
    base, new = range(half), range(half, len(data.classes))
    whole = _draw(data, shots, seed, repeat)  # before the parting, as CoOp does: the shots of a class do not depend on it
    episode = replace(whole, **{part: split and restrict(split, data.kind, base) for part, split in
                                (("support", whole.support), ("val", whole.val))},
                      task=Task(data.kind, data.classes.subset(base), f"{data.name} (base)"))
    pool = data.train and restrict(data.train, data.kind, base)
    episode = replace(episode, pool=pool and _unlabelled(pool, seed))
    tests = []
    for name, half_ in (("base", base), ("new", new)):
        split = data.test and restrict(data.test, data.kind, half_)
        part = replace(data, classes=data.classes.subset(half_), test=split)
        tests += _tests(part, Task(data.kind, part.classes, f"{data.name} ({name})"), name, note)
    return episode, tests


def cross_dataset(data: DataSet, targets: Sequence[DataSet], shots: int | None = 16, seed: int = 1, *, repeat: bool = False) -> Drawn:
    """Learn on all classes of one data set, test on it and on others, each with its own names and templates."""
    episode, tests = few_shot(data, shots, seed, repeat=repeat)
    tests = [replace(t, name=data.name) for t in tests]
    for target in targets:
        everything = target.test or target.train
        tests += _tests(replace(target, test=everything), Task(target.kind, target.classes, target.name), target.name, "")
    return episode, tests


def domain_shift(data: DataSet, targets: Sequence[DataSet], shots: int | None = 16, seed: int = 1, *, repeat: bool = False) -> Drawn:
    """As :func:`cross_dataset`, where the targets' classes are among the source's (in any order): ``notes["columns"]`` says
    which of the learned classes a target has, so that methods bound to their classes can answer too."""
    episode, tests = cross_dataset(data, targets, shots, seed, repeat=repeat)
    for test in tests:
        test.notes["columns"] = columns(data.classes, test.task.classes)
        if test.notes["columns"] is None:
            alien = next(n for n in test.task.classes.clean if n not in data.classes.clean)
            raise BadData(f"{test.name} has a class '{alien}' that {data.name} has not; use cross_dataset for other classes.")
    return episode, tests


def unlabelled(data: DataSet, seed: int = 1) -> Drawn:
    """No shots and no validation: the training pictures without their labels, in shuffled order."""
    data, note = set_aside(data, None, seed)
    if data.train is None:
        raise BadData(f"{data.name} is for testing only; give data with training pictures.")
    task = Task(data.kind, data.classes, data.name)
    others = tuple(unlabelled(o, seed)[0] for o in data.others)
    return Episode(task, None, None, _unlabelled(data.train, seed), None, seed, others), _tests(data, task, "test", note)


def stream(test: TestSet, seed: int | None = None) -> Iterator[Batch]:
    """The test pictures one by one without labels, shuffled when a seed is given."""
    split = Split(test.split.source, test.split.rows)
    order = None if seed is None else torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    yield from split.batches(1, order=order)


def _draw(data: DataSet, shots: int | None, seed: int, repeat: bool) -> Episode:
    rng, n = Random(seed), len(data.classes)
    support = data.train.take(sample(data.train, data.kind, n, shots, rng, repeat))
    few = None if shots is None else min(shots, VAL_SHOTS)
    val = data.val and data.val.take(sample(data.val, data.kind, n, few, rng, repeat))
    others = tuple(few_shot(o, o.shots or shots, seed, repeat=repeat)[0] for o in data.others)
    return Episode(Task(data.kind, data.classes, data.name), support, val, _unlabelled(data.train, seed), shots, seed, others)


def _unlabelled(split: Split, seed: int) -> Split:
    # shuffled, because the stored order is by class
    rows = list(split.rows)
    Random(seed).shuffle(rows)
    return Split(split.source, tuple(rows))


def _tests(data: DataSet, task: Task, name: str, note: str) -> list[TestSet]:
    if not data.test:
        return []
    return [TestSet(task, data.test, name, {"split": note} if note else {})]


def _learnable(data: DataSet, shots: int | None) -> None:
    if shots is not None and (not isinstance(shots, int) or shots < 1):
        raise BadData(f"shots must be a whole number from 1 up, or None for all pictures; got {shots!r}.")
    if data.train is None:
        raise BadData(f"{data.name} is for testing only; learn on another data set (imagenet) and give it as a target.")
