"""What `promptlab world` shows."""

from pathlib import Path
from typing import Any

import numpy as np

from promptlab.cli.common import emit_json, show_table


def list_world(as_json: bool) -> None:
    """The tasks and the styles."""
    from promptlab.world import SEEN_STYLES, TASKS, UNSEEN_STYLES, task_spec

    rows = []
    for name in TASKS:
        task = task_spec(name)
        rows.append({"task": name, "kind": task.kind, "classes": len(task.classes), "sizes": dict(task.sizes)})
    if as_json:
        return emit_json({"tasks": rows, "seen_styles": list(SEEN_STYLES), "unseen_styles": list(UNSEEN_STYLES)})
    show_table("Tasks of the world", ("task", "kind", "classes", "pictures a class"),
               [(r["task"], r["kind"], r["classes"], ", ".join(f"{k} {v}" for k, v in r["sizes"].items())) for r in rows], left=2)
    styles = [*((s, "yes") for s in SEEN_STYLES), *((s, "never") for s in UNSEEN_STYLES)]
    show_table("Styles", ("style", "pocket has seen it"), styles, left=2)


def describe_task(spec: str) -> dict[str, Any]:
    """Name, kind, classes and sizes of one task."""
    from promptlab.world import task_spec

    task = task_spec(spec.removeprefix("world:"))
    return {"task": task.name, "style": task.style, "kind": task.kind, "classes": list(task.classes), "templates": list(task.templates),
            "pictures a class": ", ".join(f"{k} {v}" for k, v in task.sizes.items())}


def write_sheet(spec: str, out: Path, count: int, size: int) -> Path:
    """A contact sheet of the first training pictures of a task."""
    from promptlab.plots.sheet import contact_sheet

    data = _opened(spec)
    rows = data.train.rows[:count]
    pictures = [np.asarray(data.train.source.image(row)) for row in rows]
    captions = [_caption(data, i) for i in range(len(rows))]
    out.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(pictures, captions, side=size).save(out)
    return out


def render_task(spec: str, folder: Path, each: int) -> int:
    """A task as a folder of pictures; how many."""
    from promptlab.data.write import write_folder

    return write_folder(_opened(spec), folder, each)


def _opened(spec: str) -> Any:
    from promptlab.data.sources import open_data

    return open_data(f"world:{spec.removeprefix('world:')}")


def _caption(data: Any, i: int) -> str:
    target, names = data.train.targets[i], data.classes.names
    if data.kind == "single":
        return names[int(target)]
    present = (target == 1).nonzero().flatten().tolist() if data.kind == "multi" else [c for c in target.unique().tolist() if c >= 0]
    return ", ".join(names[c] for c in present)
