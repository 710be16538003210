"""Protocols: CoOp's sampling to the letter, no test picture in an episode, no label in a pool."""

import random
from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.data import protocols, sources
from promptlab.data.batch import Pixels, PixelSpec, Split, View
from promptlab.data.classes import ClassSet
from promptlab.data.dataset import DataSet
from promptlab.data.labels import columns, hide, restrict
from promptlab.errors import BadData


def split_of(labels, offset=0, key="s"):
    n = len(labels)
    return Split(Pixels(torch.zeros(offset + n, 1), key), tuple(range(offset, offset + n)), torch.tensor(labels))


def dataset(train, val=None, test=None, kind="single", classes=None):
    parts = [None if p is None else split_of(p, 1000 * i) for i, p in enumerate((train, val, test))]
    n = classes or max(train) + 1
    return DataSet("toy", ClassSet(tuple(f"c{i}" for i in range(n))), kind, *parts)


def dassl(labels, shots, repeat=False):
    """Dassl's ``generate_fewshot_dataset`` on positions, with the global generator."""
    tracker = defaultdict(list)
    for i, label in enumerate(labels):
        tracker[label].append(i)
    chosen = []
    for items in tracker.values():
        if len(items) >= shots:
            chosen += random.sample(items, shots)
        else:
            chosen += random.choices(items, k=shots) if repeat else items
    return chosen


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.integers(1, 8), st.integers(0, 10**6), st.booleans())
def test_sampling_is_dassls(seed, shots, order, repeat):
    shuffle = random.Random(order)
    train = [c for c in range(7) for _ in range(shuffle.randint(1, 12))]
    val = [c for c in range(7) for _ in range(shuffle.randint(1, 6))]
    shuffle.shuffle(train), shuffle.shuffle(val)
    data = dataset(train, val, [0, 1])
    random.seed(seed)  # the run's seed, then train, then val, from one stream
    want_train, want_val = dassl(train, shots, repeat), dassl(val, min(shots, 4), repeat)
    episode, _ = protocols.few_shot(data, shots, seed, repeat=repeat)
    assert episode.support.rows == tuple(want_train)
    assert episode.val.rows == tuple(1000 + i for i in want_val)
    assert episode.support.targets.tolist() == [train[i] for i in want_train]


def test_known_draws_of_seeds_one_to_three():
    data = dataset([c for c in (2, 0, 1) for _ in range(20)], [c for c in (1, 0, 2) for _ in range(9)], [0])
    rows = {seed: protocols.few_shot(data, 2, seed)[0] for seed in (1, 2, 3)}
    assert {s: e.support.rows for s, e in rows.items()} == {
        1: (4, 18, 22, 28, 43, 55), 2: (1, 2, 22, 31, 45, 49), 3: (7, 18, 37, 24, 51, 55)}
    assert rows[1].val.rows != rows[2].val.rows


def test_base_and_new_are_parted_after_sampling():
    train = [c for c in (4, 1, 0, 3, 2) for _ in range(6)]
    data = dataset(train, train, [0, 1, 2, 3, 4, 4, 3])
    whole, _ = protocols.few_shot(data, 3, 2)
    episode, tests = protocols.base_to_new(data, 3, 2)
    base = [i for i, y in enumerate(whole.support.targets.tolist()) if y < 3]  # ceil(5 / 2) classes
    assert episode.support.rows == tuple(whole.support.rows[i] for i in base)
    assert episode.task.classes.names == ("c0", "c1", "c2") and set(episode.support.targets.tolist()) == {0, 1, 2}
    assert [t.name for t in tests] == ["base", "new"]
    assert tests[0].split.targets.tolist() == [0, 1, 2] and tests[0].task.classes.names == ("c0", "c1", "c2")
    assert tests[1].split.targets.tolist() == [0, 1, 1, 0] and tests[1].task.classes.names == ("c3", "c4")
    assert tests[1].split.rows == (2003, 2004, 2005, 2006)
    assert set(episode.pool.rows) == {i for i, y in enumerate(train) if y < 3}


def test_an_episode_knows_no_test_picture_and_its_pool_no_label():
    data = dataset([0, 1] * 6, [0, 1] * 3, [0, 1] * 5)
    for make in (protocols.few_shot, protocols.base_to_new):
        episode, tests = make(data, 2, 1)
        seen = {(p.source.key, r) for p in (episode.support, episode.val, episode.pool) for r in p.rows}
        held = {r for t in tests for r in t.split.rows}
        assert not {r for _, r in seen} & held
        assert episode.pool.targets is None and all(b.target is None for b in episode.pool.batches(4))
    order = protocols.few_shot(data, 2, 1)[0].pool.rows
    assert set(order) == set(range(12)) and list(order) != sorted(order)  # the stored order would give the labels away


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.one_of(st.none(), st.integers(1, 9)), st.integers(1, 3))
def test_data_without_splits_is_parted_without_overlap(counts, shots, seed):
    data = dataset([c for c, n in enumerate(counts) for _ in range(n)])
    episode, tests = protocols.few_shot(data, shots, seed)
    parts = [set(episode.support.rows), set(episode.val.rows) if episode.val else set(), {r for t in tests for r in t.split.rows}]
    assert sum(map(len, parts)) == len(set().union(*parts))  # disjoint
    labels = episode.support.targets.tolist()
    assert set(labels) == set(range(len(counts)))  # every class has something to learn from
    for label, n in enumerate(counts):
        tested = sum(t.split.targets.tolist().count(label) for t in tests)
        assert tested >= 1 or n == 1
        assert shots is None or labels.count(label) == (min(shots, n - 1) if n > 1 else 1)
    again, _ = protocols.few_shot(data, shots, seed)
    assert again.support.rows == episode.support.rows
    assert all("no splits came with toy" in t.notes["split"] for t in tests)


def test_a_single_picture_is_told():
    _, tests = protocols.few_shot(dataset([0, 1, 1, 1]), 2, 1)
    assert "Class 'c0' has 1 image; held-out check needs 2." in tests[0].notes["split"]


def test_all_pictures_without_shots():
    data = dataset([0, 1] * 5, [0, 1] * 9, [0, 1])
    episode, _ = protocols.few_shot(data, None, 1)
    assert episode.support.rows == tuple(range(10)) and len(episode.val) == 18


@pytest.mark.parametrize("shots", [0, -1, 2.5, "4"])
def test_bad_shots(shots):
    with pytest.raises(BadData, match="shots must be a whole number from 1 up"):
        protocols.few_shot(dataset([0, 1], None, [0]), shots, 1)


def test_one_class_has_no_halves():
    with pytest.raises(BadData, match="one class and cannot be parted"):
        protocols.base_to_new(dataset([0, 0], None, [0]), 1, 1)


def test_cross_dataset_tests_each_on_its_own_names():
    source, other = dataset([0, 1] * 4, None, [0, 1]), dataset([0, 1, 2], None, [2, 1, 0]).named("other")
    plain = dataset([0, 1]).named("plain")
    episode, tests = protocols.cross_dataset(source, [other, plain], 2, 1)
    assert [(t.name, len(t.split), len(t.task.classes)) for t in tests] == [("toy", 2, 2), ("other", 3, 3), ("plain", 2, 2)]
    assert episode.task.name == "toy"


def test_domain_shift_says_which_classes_are_there():
    source = dataset([0, 1, 2] * 3, None, [0, 1, 2])
    shifted = DataSet("sketch", ClassSet(("c2", "c0")), "single", None, None, split_of([0, 1, 1]))
    _, tests = protocols.domain_shift(source, [shifted], 1, 1)
    assert tests[1].notes["columns"] == [2, 0] and tests[0].notes["columns"] == [0, 1, 2]
    alien = DataSet("alien", ClassSet(("c2", "zebra")), "single", None, None, split_of([0, 1]))
    with pytest.raises(BadData, match="alien has a class 'zebra' that toy has not"):
        protocols.domain_shift(source, [alien], 1, 1)
    assert columns(ClassSet(("red_panda", "cat")), ClassSet(("red panda",))) == [0]


def test_unlabelled_and_stream():
    data = dataset([0, 1] * 4, [0, 1], [0, 1, 0])
    episode, tests = protocols.unlabelled(data, 1)
    assert episode.support is None and episode.val is None and episode.pool.targets is None and len(episode.pool) == 8
    batches = list(protocols.stream(tests[0]))
    assert [b.rows for b in batches] == [(2000,), (2001,), (2002,)] and all(b.target is None for b in batches)
    assert sorted(b.rows for b in protocols.stream(tests[0], 3)) == sorted(b.rows for b in batches)


def multi_data():
    targets = torch.zeros(40, 4, dtype=torch.long)
    targets[torch.arange(40), torch.arange(40) % 4] = 1
    targets[::3, 1] = 1
    split = Split(Pixels(torch.zeros(40, 1), "m"), tuple(range(40)), targets)
    return DataSet("many", ClassSet(tuple("abcd")), "multi", split, None, split.take(range(8)))


def test_multi_label_shots_and_halves():
    episode, _ = protocols.few_shot(multi_data(), 3, 1)
    assert len(set(episode.support.rows)) == len(episode.support) == 12 and (episode.support.targets == 1).sum(0).min() >= 3
    episode, tests = protocols.base_to_new(multi_data(), 3, 1)
    assert episode.support.targets.shape[1] == 2 and (episode.support.targets == 1).any(1).all()
    assert [t.split.targets.shape[1] for t in tests] == [2, 2]


def test_partial_labels_hide_the_asked_share():
    split = multi_data().train
    hidden = hide(split, 0.5, 1)
    share = (hidden.targets == -1).float().mean()
    assert 0.35 < share < 0.65 and (hidden.targets[hidden.targets >= 0] == split.targets[hidden.targets >= 0]).all()
    episode, _ = protocols.few_shot(multi_data(), 3, 1, known=0.5)
    assert (episode.support.targets == -1).any() and not (protocols.few_shot(multi_data(), 3, 1)[0].support.targets == -1).any()


def test_dense_halves_do_not_judge_the_other_half():
    masks = torch.randint(0, 4, (6, 5, 5), generator=torch.Generator().manual_seed(0))
    masks[5] = 3
    split = Split(Pixels(torch.zeros(6, 1), "d"), tuple(range(6)), masks)
    new = restrict(split, "dense", [2, 3])
    assert set(new.targets.unique().tolist()) == {-1, 0, 1} and ((new.targets == 1) == (masks[list(new.rows)] == 3)).all()
    assert 5 not in restrict(split, "dense", [0, 1]).rows


def test_arrays_go_through_the_same_door():
    images = np.random.default_rng(0).integers(0, 255, (12, 8, 8, 3), np.uint8)
    data = sources.arrays(images, [0, 1, 2] * 4, ["a", "b", "c"])
    episode, tests = protocols.few_shot(data, 2, 1)
    assert len(episode.support) == 6 and len(tests[0].split) == 3 and len(episode.val) == 3


@pytest.mark.parametrize("spec, kind", [
    ("world:animals@pixel-art", "single"), ("world:scenes", "multi"), ("world:scenes-masks@sketch", "dense"),
])
def test_world_tasks_are_data_sets(spec, kind):
    data, pixel_spec = sources.open_data(spec), PixelSpec(16, (0.5,) * 3, (0.5,) * 3)
    assert data.kind == kind and data.test is not None and data.val is not None
    episode, tests = protocols.base_to_new(data, 2, 1)
    again, _ = protocols.base_to_new(sources.open_data(spec), 2, 1)
    assert episode.support.rows == again.support.rows and torch.equal(episode.support.targets, again.support.targets)
    assert [t.name for t in tests] == ["base", "new"]
    batch = next(episode.support.batches(4))
    plain, crop = batch.pixels(pixel_spec), batch.with_view(View(1)).pixels(pixel_spec)
    assert plain.shape == crop.shape == (4, 3, 16, 16) and not torch.equal(plain, crop)
    assert torch.equal(plain, next(again.support.batches(4)).pixels(pixel_spec)) and batch.keys == next(again.support.batches(4)).keys
    assert episode.support.source.key != tests[0].split.source.key  # one row number, two pictures: never one cache entry
    assert episode.support.source.image(batch.rows[0]).size[0] > 100
