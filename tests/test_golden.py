"""Our methods against numbers of the originals: ``pytest tests/test_golden.py [--golden DIR]``."""

import pytest
import torch

from tests.golden import harness


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Own cases: all of them, adapter or not. Another folder's: those whose method has an adapter (the header names the rest)."""
    if "case" in metafunc.fixturenames:
        folder = metafunc.config.getoption("--golden")
        cases = harness.load(folder or harness.CASES)
        cases = [c for c in cases if not folder or harness.has_adapter(c.method)]
        metafunc.parametrize("case", cases, ids=[c.id for c in cases])


def test_golden(case: harness.Case) -> None:
    assert harness.has_adapter(case.method), f"no tests/golden/adapters/{case.method}.py for the case {case.id}"
    torch.manual_seed(0)
    wrong = harness.problems(case, harness.run(case))
    assert not wrong, f"{case.id}:\n  " + "\n  ".join(wrong)
