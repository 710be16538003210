"""Every method yields every exhibit that its card exposes; the others are refused in one sentence; looking changes nothing."""

import json

import numpy as np
import pytest
import torch

from promptlab import inspect as look
from promptlab import registry
from promptlab.errors import PromptlabError
from promptlab.inspect.exhibit import Exhibit
from promptlab.plots.panels import panels, slides
from promptlab.testing.subject import Subject, sentence


@pytest.fixture(scope="module", params=registry.ids())
def fitted(request):
    subject = Subject(registry.get(request.param))
    method, _ = subject.fit()
    return method, next(subject.toy.episode.support.take([0]).batches(1))


def test_exposed_things_have_their_exhibit(fitted):
    method, picture = fitted
    found = look.available(method, picture)
    for e in method.card.exposes:
        assert e.as_ in look.SHOWS, f"{method.card.id} exposes {e.name} as {e.as_}; exhibits show {sorted(look.SHOWS)}"
        name = look.SHOWS[e.as_]
        assert look.of_runs(name) or isinstance(found[name], Exhibit), f"{method.card.id}, {e.name} as {e.as_}: {found.get(name)}"


def test_every_exhibit_or_one_sentence(fitted):
    method, picture = fitted
    found = look.available(method, picture)
    assert set(found) == {what for what in look.EXHIBITS if not look.of_runs(what)}
    for what, got in found.items():
        if isinstance(got, str):
            sentence(PromptlabError(got))
            continue
        assert got.title and got.note and got.sanity, what
        assert all(isinstance(a, np.ndarray) for a in got.arrays.values()), what
        assert all(np.isfinite(s.value) for s in got.sanity), (what, got.sanity)
        back = Exhibit.from_json(json.dumps(json.loads(got.to_json())))
        assert all(np.array_equal(back.arrays[k], v, equal_nan=True) for k, v in got.arrays.items()), what
        assert got.table_html().startswith("<div>")
        shown = panels(got)
        assert shown and all(len(f) == len(shown) for s in slides(got) for f in s.frames), what


def test_looking_changes_no_answer(fitted):
    method, picture = fitted
    if method.card.stream:
        return
    with torch.no_grad():
        before = method(picture, method.bank()).pred
        look.available(method, picture)
        assert torch.equal(before, method(picture, method.bank()).pred)
