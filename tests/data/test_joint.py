"""Several tasks as one: where their pictures and labels go, and how a spec with ``+`` is read."""

import pytest
import torch

from promptlab.data.batch import PixelSpec
from promptlab.data.joint import group_of, join, offsets, own_classes
from promptlab.data.protocols import few_shot
from promptlab.data.sources import open_data
from promptlab.errors import BadData

SPEC = PixelSpec(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_a_joined_spec_has_the_first_as_its_task() -> None:
    data = open_data("world:vehicles@photo + world:faces@night")
    assert data.name == "vehicles@photo" and [o.name for o in data.others] == ["faces@night"]
    episode, tests = few_shot(data, 2, seed=3)
    assert [o.task.name for o in episode.others] == ["faces@night"] and len(tests) == 1
    alone, _ = few_shot(open_data("world:vehicles@photo"), 2, seed=3)
    assert alone.support.rows == episode.support.rows  # tasks that come along change no shot of the first


def test_a_joined_task_may_have_shots_of_its_own() -> None:
    data = open_data("world:vehicles@photo + world:faces@night[5] + world:food@night")
    episode, _ = few_shot(data, 1)
    counts = [len(e.support) // len(e.task.classes) for e in (episode, *episode.others)]
    assert counts == [1, 5, 1]


def test_joined_pictures_and_labels_are_those_of_the_tasks() -> None:
    episode, _ = few_shot(open_data("world:vehicles@photo+world:faces@night"), 1)
    tasks = [episode, *episode.others]
    whole = join(tasks)
    sizes = [len(t.task.classes) for t in tasks]
    first, second = (t.support for t in tasks)
    assert len(whole) == len(first) + len(second) and offsets(sizes) == [0, sizes[0]]
    assert whole.targets.tolist() == [*first.targets.tolist(), *(second.targets + sizes[0]).tolist()]
    mixed = whole.take([len(first) + 1, 0])
    got = mixed.source.pixels(mixed.rows, SPEC)
    assert torch.equal(got[0], second.source.pixels([second.rows[1]], SPEC)[0])
    assert torch.equal(got[1], first.source.pixels([first.rows[0]], SPEC)[0])
    assert group_of(mixed.targets, sizes).tolist() == [1, 0]
    assert own_classes(mixed.targets, sizes).sum(1).tolist() == [sizes[1], sizes[0]]


@pytest.mark.parametrize("spec,why", [("world:animals@photo+world:scenes@photo", "one kind"),
                                      ("world:animals@photo+world:animals@photo", "twice"),
                                      ("world:animals@photo[4]+world:faces@photo", "given by --shots"),
                                      ("world:animals@photo+world:faces@photo[0]", "asks for no shots")])
def test_tasks_that_cannot_be_joined_are_refused(spec: str, why: str) -> None:
    with pytest.raises(BadData, match=why):
        open_data(spec)
