"""Every method yields every exhibit that its card exposes; the others are refused in one sentence; looking changes nothing."""

import json

import numpy as np
import pytest
import torch

from promptlab import inspect as look
from promptlab import registry
from promptlab.errors import PromptlabError
from promptlab.inspect.exhibit import KINDS, Exhibit
from promptlab.testing.subject import Subject, sentence

EXPECTED = {
    "words": "words",
    "transport": "transport",
    "memory": "memory",
    "pixels": "pixels",
    "views": "views",
    "mask": "masks",
    "shift": "conditioning",
}


@pytest.fixture(scope="module", params=registry.ids())
def fitted(request):
    subject = Subject(registry.get(request.param))
    method, _ = subject.fit()
    return method, next(subject.toy.episode.support.take([0]).batches(1))


def test_exposed_things_have_their_exhibit(fitted):
    method, picture = fitted
    found = look.available(method, picture)
    for e in method.card.exposes:
        name = EXPECTED.get(e.as_)
        assert name is None or isinstance(found[name], Exhibit), f"{method.card.id} exposes {e.name} as {e.as_}: {found.get(name)}"


def test_refusals_are_sentences_and_data_is_plain(fitted):
    method, picture = fitted
    for what, got in look.available(method, picture).items():
        if isinstance(got, str):
            sentence(PromptlabError(got))
            continue
        assert got.kind in KINDS and got.title and got.note and got.sanity, what
        assert all(isinstance(a, np.ndarray) for a in got.arrays.values()), what
        assert all(np.isfinite(s.value) for s in got.sanity), (what, got.sanity)
        back = Exhibit.from_json(json.dumps(json.loads(got.to_json())))
        assert all(np.array_equal(back.arrays[k], v, equal_nan=True) for k, v in got.arrays.items()), what
        assert got._repr_html_().startswith("<div>")


def test_looking_changes_no_answer(fitted):
    method, picture = fitted
    if method.card.stream:
        return
    with torch.no_grad():
        before = method(picture, method.bank()).pred
        look.available(method, picture)
        assert torch.equal(before, method(picture, method.bank()).pred)
