"""From the words of `promptlab inspect` to exhibits: which pictures, which runs, which settings. Nothing is printed here."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptlab.errors import BadData

FLAGS = {"name": "--class", "split": "--split", "knob": "--knob", "values": "--values", "versus": "--against", "space": "--space",
         "on": "--on"}


@dataclass(frozen=True)
class Asked:
    """What was typed; None where nothing was."""

    what: str
    of: str
    images: Sequence[Path] | None
    name: str | None
    data: str | None
    split: str | None
    knob: str | None
    values: Sequence[float] | None
    epochs: Sequence[int] | None
    against: Any
    on: str | None
    space: str | None
    store: Path


def look(runs: Sequence[Any], asked: Asked) -> Any:
    """The exhibit that was asked for."""
    from promptlab.inspect import COMPARISONS, compare, looks_at_pictures, replay, show

    what = asked.what
    if what in COMPARISONS:
        extra = {"baseline": _baseline(runs, asked)} if what == "gain" and len(runs) == 1 else {}
        return compare(runs, what, **_settings(what, asked, None), **extra)
    if len(runs) > 1:
        raise BadData(f"the exhibit '{what}' is of one run and {len(runs)} came; several go with {', '.join(COMPARISONS)}.")
    run = runs[0]
    inner = asked.of if what == "replay" else what
    if looks_at_pictures(inner) and not asked.images and asked.split is None:
        asked = dataclasses.replace(asked, split="val")  # whoever names no picture sees the held-out ones
    split = split_of(run, asked) if asked.split else None
    pictures = _pictures(run, asked, inner, split)
    settings = _settings(inner, asked, split)
    if what == "replay":
        return replay(run, inner, pictures, epochs=asked.epochs, **settings)
    if asked.epochs is not None:
        raise BadData("--epochs goes with --what replay.")
    return show(run, what, pictures, **settings)


def _settings(what: str, asked: Asked, split: Any) -> dict[str, Any]:
    """The flags that the exhibit takes; one sentence for a flag that it does not."""
    from promptlab.inspect import looks_at_pictures, takes

    given = {"name": asked.name, "split": split, "knob": asked.knob, "values": asked.values, "versus": asked.against, "on": asked.on,
             "space": asked.space}
    for parameter, value in list(given.items()):
        if value is None:
            del given[parameter]
        elif what not in takes(parameter):
            if parameter == "split" and looks_at_pictures(what):
                del given[parameter]  # the pictures themselves come from it
                continue
            goes = takes(parameter)
            more = "; it shows all classes" if parameter == "name" else ""
            raise BadData(f"{FLAGS[parameter]} goes with {', '.join(goes)}, not with '{what}'{more}.")
    return given


def data_of(run: Any, asked: Asked) -> Any:
    """The data that a run was fitted on, with the same shots: ``--data``, or the run's own where its name says how to draw it."""
    from promptlab import api
    from promptlab.world import TASKS

    task = run.meta["task"]
    named = task["name"].removesuffix(" (base)")
    known = f"world:{named}" if named.partition("@")[0] in TASKS else None
    if asked.data is None and known is None:
        raise BadData(f"the data of run {run.id} is '{task['name']}', which its name does not find again; give it with --data, or "
                      "pictures with --image.")
    protocol = run.meta["protocol"] if run.meta["protocol"] in ("few_shot", "base_to_new", "unlabelled") else "few_shot"
    return api.open_data(asked.data or known, task["shots"], task["seed"], protocol)


def split_of(run: Any, asked: Asked) -> Any:
    """Labelled pictures: the shots, the held-out ones, or the test set with the run's classes."""
    episode, tests = data_of(run, asked).draw(run.meta["task"]["seed"] or 0)
    if episode.task.classes.names != run.classes.names:
        raise BadData(f"the data has other classes than run {run.id}; give the data that the run was fitted on.")
    test = next((t.split for t in tests if t.task.classes.names == run.classes.names), None)
    found = {"support": episode.support, "val": episode.val, "test": test}[asked.split]
    if found is None or not len(found):
        raise BadData(f"the data of run {run.id} has no pictures for --split {asked.split}; try another one.")
    return found


def _baseline(runs: Sequence[Any], asked: Asked) -> Any:
    """The run of zero-shot on the same pictures: one of the store, or a new one."""
    from promptlab import api
    from promptlab.runs import RunStore

    meta = runs[0].meta
    for found in RunStore(asked.store).find(method="zero_shot", status="done"):
        if found.meta["tests"] == meta["tests"] and found.meta["backbone"] == meta["backbone"]:
            return found
    return api.fit("zero_shot", runs[0].method.backbone, data_of(runs[0], asked), store=asked.store, progress=False, seed=meta["seed"])


def _pictures(run: Any, asked: Asked, what: str, split: Any) -> Any:
    """The files, or else the split's pictures (the first one, or as many as exhibits of many pictures show)."""
    from promptlab.inspect import looks_at_pictures, pictures_for

    if not looks_at_pictures(what):
        return None
    if asked.images:
        return batch_of_files(run, asked.images)
    return None if split is None else pictures_for(what, split)


def batch_of_files(run: Any, images: Sequence[Path]) -> Any:
    """The files; files in folders that are named like classes bring their labels along, so that margins can be shown."""
    from promptlab.answers import batch_of

    batch = batch_of([str(p) for p in images], run.method.backbone.spec)[0]
    names = run.method.task.classes.names
    if run.method.task.kind == "single" and all(p.parent.name in names for p in images):
        import torch

        batch = dataclasses.replace(batch, target=torch.tensor([names.index(p.parent.name) for p in images]))
    return batch


def list_of(run: Any, asked: Asked) -> list[tuple[str, str, str]]:
    """(exhibit, what it needs, "yes: title" or why not); without a picture a grey one stands in, since only the shapes matter."""
    from promptlab.inspect import COMPARISONS, available, takes

    pictures = batch_of_files(run, asked.images) if asked.images else _grey(run)
    needs = {"image": "--image", "images": "--image", "split": ""}
    rows = []
    for what, got in available(run, pictures).items():
        asks = "--split" if what == "live" else next((f for p, f in needs.items() if what in takes(p)), "")
        rows.append((what, asks, got if isinstance(got, str) else f"yes: {got.title}"))
    if len(run.epochs) > 1:
        rows.append(("replay", "--of", f"yes: any of these after each of {len(run.epochs) - 1} epochs"))
    judged = run.meta["task"]["kind"] == "single" and bool(run.reports)
    for what in COMPARISONS:
        asks = "two or more runs" if what == "disagreement" else "one or more runs"
        rows.append((what, asks, "yes: from the saved predictions" if judged else "no: the run was not judged on one label a picture."))
    return rows


def _grey(run: Any) -> Any:
    import torch

    from promptlab.data.batch import Batch

    size = run.method.backbone.spec.size
    return Batch.of(torch.zeros(1, 3, size, size))
