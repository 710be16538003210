"""The documents are true: the generated table is current, the examples run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from promptlab import docs
from promptlab.errors import BadData

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def code(text: str) -> str:
    """The first fenced Python block of a text."""
    return re.search(r"```python\n(.*?)```", text, re.S).group(1)


def test_every_method_loads():
    assert docs.found_cards()[1] == {}


def test_the_table_of_methods_is_current():
    assert docs.render(README) == README, "run `make docs`"


def test_every_method_is_in_the_table():
    from promptlab import registry

    table = docs.between(README, "methods")
    assert all(f"`{key}`" in table for key in registry.ids())


def test_missing_markers_are_an_error():
    with pytest.raises(BadData, match="markers"):
        docs.between("nothing here", "methods")


def test_replacing_keeps_the_rest():
    text = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb"
    assert docs.replace_between(text, "x", r"new \1") == "a\n<!-- x:begin -->\nnew \\1\n<!-- x:end -->\nb"


def test_links_of_the_documents_lead_somewhere():
    for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)[^)]*\)", text):
            assert (ROOT / target).exists(), f"{name} links to {target}"


@pytest.mark.slow
def test_the_python_example_runs(tmp_path):
    example = code(README)
    assert len([line for line in example.splitlines() if line.strip()]) <= 12
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def write_package(folder: Path) -> Path:
    """The example method of CONTRIBUTING as an installed distribution with an entry point."""
    source = code(docs.between(CONTRIBUTING, "example-method"))
    package = folder / "example_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "feature_gain.py").write_text(source)
    info = folder / "example_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: example-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[promptlab.methods]\nfeature_gain = example_package.feature_gain\n")
    return folder


CHECKS = """
import sys
from promptlab import registry
from promptlab.testing import checks
assert "feature_gain" in registry.ids()
found = checks(registry.get("feature_gain"))
for check in found:
    check()
assert len(found) >= 15, len(found)
print(len(found), "checks")
"""


def test_the_example_method_of_contributing_passes_every_check(tmp_path):
    path = write_package(tmp_path / "site")
    program = f"import sys; sys.path.insert(0, {str(path)!r})\n{CHECKS}"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len((path / "example_package" / "feature_gain.py").read_text().splitlines()) <= 150


def test_the_example_method_is_a_command_too(tmp_path):
    path = write_package(tmp_path / "site")
    program = (f"import sys; sys.path.insert(0, {str(path)!r})\nfrom promptlab.cli import main\n"
               "sys.argv = ['promptlab', 'fit', 'feature_gain', '--help']\nmain()")
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "--amount" in done.stdout


def test_golden_status_is_true():
    from promptlab.assets import golden_cases
    from tests.golden import status

    assert golden_cases() == status.found(), "python -m tests.golden.status"
