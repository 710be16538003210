"""Options of the test run."""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", type=Path, default=None, metavar="DIR", help="run tests/test_golden.py on another folder of cases")
    parser.addoption("--device", default="cpu", help="where tests/test_methods.py runs its checks: cpu or cuda")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Which methods of the folder given by ``--golden`` have no adapter, so that none is left out in silence."""
    from tests.golden import harness

    folder = config.getoption("--golden")
    if not folder:
        return []
    cases = harness.load(folder)
    missing = sorted({c.method for c in cases if not harness.has_adapter(c.method)})
    return [f"golden: {len(cases)} cases in {folder}; not implemented yet: {', '.join(missing) or 'none'}"]
