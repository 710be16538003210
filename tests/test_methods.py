"""Every method against every check of the public suite."""

import pytest

from promptlab import registry
from promptlab.testing import checks, names


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("key", registry.ids())
def test_method(key, name, request):
    next(c for c in checks(registry.get(key), device=request.config.getoption("--device")) if c.name == name)()


def test_there_are_checks_enough():
    assert len(names()) >= 19 and len(set(names())) == len(names())
