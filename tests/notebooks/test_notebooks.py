"""The course's notebooks: what each must hold, and that each runs within the minutes that it states."""

import importlib.util
import re
from pathlib import Path

import pytest

from promptlab.course import EXERCISES

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("notebooks_build", ROOT / "notebooks" / "build.py")
builder = importlib.util.module_from_spec(spec)
spec.loader.exec_module(builder)
SOURCES = builder.sources()
IDS = [p.stem for p in SOURCES]


def cells(path, kind):
    return [c.source for c in builder.read(path).cells if c.cell_type == kind]


def test_there_are_twelve_of_them():
    assert [p.name[:2] for p in SOURCES] == [f"{i:02d}" for i in range(12)]


@pytest.mark.parametrize("path", SOURCES, ids=IDS)
def test_each_has_its_parts(path):
    text, code = "\n".join(cells(path, "markdown")), "\n".join(cells(path, "code"))
    number = path.name[:2]
    assert text.startswith(f"# {number} · ") and "**Goals.**" in text and "## References" in text and 0 < builder.minutes(path) <= 3
    assert len(re.findall(r"\*\*Before you (run|look)", text)) >= (1 if number == "11" else 2), "a question before each experiment"
    asked = re.findall(r'check\("([\d.]+)", answer\)', code)
    assert asked == [f"{number}.{i}" for i in (1, 2, 3)] and set(asked) <= set(EXERCISES)
    assert "shown." in code or "Compare(" in code, "a picture"


@pytest.mark.parametrize("path", SOURCES, ids=IDS)
def test_sources_hold_no_outputs_and_ask_no_network(path):
    source = path.read_text(encoding="utf-8")
    assert all(not c.get("outputs") for c in builder.read(path).cells)
    assert 'pl.load("pocket")' in source or path.name[:2] == "05" and "pocket" in source
    for line in source.split("\n"):
        assert not re.match(r'[^#]*pl\.load\("ViT', line), "real models are named in comments only"


@pytest.mark.parametrize("path", SOURCES, ids=IDS)
def test_sentences_about_results_are_computed(path):
    """A measured share in the text could not follow its output; numbers of the text are settings and counts."""
    for text in cells(path, "markdown"):
        for found in re.findall(r"\d+(?:\.\d+)? %", text):
            assert found in ("2.5 %", "80 %"), f"'{found}' in the text of {path.stem}: print it from the numbers instead"


@pytest.mark.slow
@pytest.mark.parametrize("path", SOURCES, ids=IDS)
def test_each_runs_within_its_minutes(path):
    """Processor time, so that a busy machine does not fail it; the wall clock has the builder's slack."""
    notebook, _, busy = builder.execute(path)
    assert busy <= 60 * builder.minutes(path)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            assert output.output_type != "error" and "Traceback" not in str(output.get("text", "")), output
            assert output.get("name") != "stderr", output.text
