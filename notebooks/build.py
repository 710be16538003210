"""Notebooks from their sources: ``python notebooks/build.py`` executes each ``NN_*.py`` (jupytext, py:percent) into an ``.ipynb``.

    python notebooks/build.py                      # all that changed (they, the backbone or the world) since they were built
    python notebooks/build.py 05 06 --force        # those, whether they changed or not
    python notebooks/build.py --plain --out here   # without outputs, to work through them

The outputs go to build/notebooks. It knows nothing of the library: it reads, executes in a fresh kernel and an empty folder, and says how
long each took.
"""

import argparse
import hashlib
import re
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
MINUTES = re.compile(r"\*\*Minutes:\*\* about ([\d.]+)")
SLACK = 8.0  # a busy machine may take so many times the stated minutes before a cell is given up


def sources(wanted: list[str] | None = None) -> list[Path]:
    """The sources in order, or those whose names begin with one of ``wanted``."""
    found = sorted(HERE.glob("[0-9][0-9]_*.py"))
    return [p for p in found if not wanted or p.name.startswith(tuple(wanted))]


def read(path: Path) -> nbformat.NotebookNode:
    """The notebook of a source, without outputs."""
    notebook = jupytext.read(path, fmt="py:percent")
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata.pop("jupytext", None)
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i}"  # repeatable, so that two builds differ in outputs only
    return notebook


def minutes(path: Path) -> float:
    """What the notebook says it takes."""
    found = MINUTES.search(path.read_text(encoding="utf-8"))
    if not found:
        raise SystemExit(f"{path.name} does not say how long it takes ('**Minutes:** about N').")
    return float(found.group(1))


def execute(path: Path) -> tuple[nbformat.NotebookNode, float, float]:
    """The notebook with its outputs, the seconds it took, and the processor seconds (what it would take alone on one core)."""
    notebook = read(path)
    notebook.cells.append(nbformat.v4.new_code_cell("import time; print(time.process_time())"))
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=int(60 * minutes(path) * SLACK), kernel_name="python3", store_widget_state=False,
                                resources={"metadata": {"path": folder}})
        start = time.perf_counter()
        client.execute()
        seconds = time.perf_counter() - start
    busy = float(notebook.cells.pop().outputs[0].text)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # time stamps of this run
    return notebook, seconds, busy


def stamp(path: Path) -> str:
    """Digest of a source, the shipped backbone and the picture world: with equal ones it was built already."""
    root = HERE.parent
    drawn = [root / "promptlab" / "world" / f"{name}.py" for name in ("scene", "styles", "tasks")]
    digest = hashlib.sha256(path.read_bytes())
    for part in sorted([*(root / "assets").glob("*.safetensors"), *(root / "assets").glob("sprites.*"), *drawn]):
        digest.update(part.read_bytes())
    return digest.hexdigest()[:16]


def build(path: Path, out: Path, plain: bool = False, force: bool = False) -> float | None:
    """Write one notebook; its seconds, or None where nothing had to be done."""
    target = out / f"{path.stem}.ipynb"
    source = stamp(path)  # before it runs: a source that is edited meanwhile must be built again
    if not plain and not force and target.is_file() and nbformat.read(target, 4).metadata.get("source") == source:
        return None
    notebook, seconds, busy = (read(path), 0.0, 0.0) if plain else execute(path)
    notebook.metadata.update(source=source, seconds=round(seconds, 1), cpu_seconds=round(busy, 1))
    out.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
    return seconds


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="beginnings of names, such as 05")
    parser.add_argument("--out", type=Path, default=HERE.parent / "build" / "notebooks")
    parser.add_argument("--plain", action="store_true", help="without outputs")
    parser.add_argument("--force", action="store_true", help="also those that did not change")
    asked = parser.parse_args(argv)
    for path in sources(asked.names):
        seconds = build(path, asked.out, asked.plain, asked.force)
        told = "unchanged" if seconds is None else "written" if asked.plain else f"{seconds:.0f} s (says {minutes(path):g} min)"
        print(f"{path.stem}: {told}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
