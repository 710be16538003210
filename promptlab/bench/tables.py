"""The measured rows of ``docs/measured.json`` as the tables of ``docs/results.md``.

    python -m promptlab.bench.tables docs/results.md
"""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from promptlab.bench.jobs import JOB_COLUMNS, STEP_COLUMNS, job_cells, step_cells
from promptlab.docs import replace_between
from promptlab.metrics import harmonic

MEASURED = "measured.json"


def markdown(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A markdown table; bars in cells are escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(str(c).replace("|", "\\|") for c in line) + " |" for line in lines)


def base_new_table(rows: Sequence[dict[str, Any]]) -> str:
    """Methods down, tasks across: base / new, then the mean over tasks with the spread over seeds of that mean, and H."""
    tasks = list(dict.fromkeys(r["task"] for r in rows))
    by = {(r["method"], r["task"]): r["values"] for r in rows}
    body = []
    for method in dict.fromkeys(r["method"] for r in rows):
        cells = [by.get((method, t)) for t in tasks]
        shown = ["-" if c is None else f"{100 * fmean(c['base']):.1f} / {100 * fmean(c['new']):.1f}" for c in cells]
        body.append((method, *shown, *_means([c for c in cells if c], len(tasks))))
    body.sort(key=lambda r: r[-1], reverse=True)
    return markdown(("method", *(t.removeprefix("world:") for t in tasks), "mean base", "mean new", "H"), body)


def _means(cells: Sequence[dict[str, list[float]]], wanted: int) -> tuple[str, str, str]:
    """Mean over tasks of base and new with the spread over seeds, and H of the two means; dashes where a task is missing."""
    if len(cells) < wanted:
        return "-", "-", "-"
    seeds = range(min(len(c["base"]) for c in cells))
    base, new = ([fmean(c[part][s] for c in cells) for s in seeds] for part in ("base", "new"))
    text = [f"{100 * fmean(v):.1f} ± {100 * pstdev(v):.1f}" for v in (base, new)]
    return text[0], text[1], f"{100 * harmonic(fmean(base), fmean(new)):.1f}"


def render(text: str, found: dict[str, list[dict[str, Any]]]) -> str:
    """``docs/results.md`` with its measured tables made new."""
    text = replace_between(text, "jobs", markdown(JOB_COLUMNS, map(job_cells, found.get("jobs", []))))
    text = replace_between(text, "steps", markdown(STEP_COLUMNS, map(step_cells, found.get("steps", []))))
    return replace_between(text, "base-new", base_new_table(found.get("base_new", [])))


def main(argv: list[str]) -> int:
    """Rewrite the results page given; the rows lie beside it."""
    path = Path(argv[0] if argv else "docs/results.md")
    found = json.loads((path.parent / MEASURED).read_text(encoding="utf-8"))
    path.write_text(render(path.read_text(encoding="utf-8"), found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
