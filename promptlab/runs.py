"""A run: one fitted method in a folder (``run.json``, ``events.jsonl``, ``state.safetensors``, ``predictions.npz``, ``trace/``, ...).

Every file is written whole or not at all, so a killed process leaves a folder that can be read and resumed.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from promptlab import answers, metrics, registry
from promptlab.card import build_hyper
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.errors import BackboneLacks, BadData
from promptlab.evaluate import Report
from promptlab.files import read_tensors, replacing, write_arrays, write_json, write_tensors
from promptlab.fit.state import restore
from promptlab.fit.trace import Trace
from promptlab.method import Method

FINAL = ("done", "collapsed")  # such a run is found by an equal request; others are resumed


class Run:
    """A fit with its method, its reports and its files. ``path`` is None for a run that was opened from a single file."""

    def __init__(self, meta: dict[str, Any], path: Path | None = None, *, method: Method | None = None, clip: Any = None,
                 cls: type[Method] | None = None, reports: dict[str, Report] | None = None, state: dict[str, Any] | None = None,
                 log: list[dict[str, Any]] | None = None, frames: dict[int, dict[str, Any]] | None = None):
        self.meta, self.path, self._frames = meta, path, frames or {}
        self._method, self._clip, self._cls, self._reports, self._state, self._log = method, clip, cls, reports, state, log

    @property
    def id(self) -> str:
        return self.meta["id"]

    @property
    def key(self) -> str:
        """The method's id."""
        return self.meta["method"]

    @property
    def status(self) -> str:
        """"running", "done", "stopped", "budget", "memory", "collapsed" or "failed"."""
        return self.meta["status"]

    @property
    def classes(self) -> ClassSet:
        c = self.meta["task"]["classes"]
        listed = {k: {n: tuple(v) for n, v in c[k].items()} for k in ("descriptions", "tree")}
        return ClassSet(tuple(c["names"]), tuple(c["templates"]), topic=c["topic"], **listed)

    @property
    def method(self) -> Method:
        """The fitted method, rebuilt from the saved learnables when needed."""
        if self._method is None:
            self._method = self._rebuild()
        return self._method

    @property
    def reports(self) -> dict[str, Report]:
        """One report a test set ("test", or "base" and "new", ...); sets that the method cannot answer are missing."""
        if self._reports is None:
            arrays = self._arrays()
            self._reports = {name: Report(name, r["metrics"], r["seconds"], r["protocol"], arrays.get(name, {}))
                             for name, r in self.meta["reports"].items() if "metrics" in r}
        return self._reports

    @property
    def report(self) -> Report | None:
        """The report to look at first: the only one, or that of the base classes."""
        return next(iter(self.reports.values()), None)

    @property
    def summary(self) -> dict[str, Any]:
        """Headline numbers by test set, H of base and new where both are there, and what it cost."""
        scores = {name: r.headline for name, r in self.reports.items()}
        if {"base", "new"} <= set(scores):
            scores["H"] = metrics.harmonic(scores["base"], scores["new"])
        kept = ("id", "method", "status", "seed", "trainable", "seconds", "peak_mb")
        return {**{k: self.meta.get(k) for k in kept}, "scores": scores}

    @property
    def events(self) -> list[dict[str, Any]]:
        """The fit's events as plain data, in order."""
        if self._log is None:
            path = self.path and self.path / "events.jsonl"
            self._log = read_events(path) if path and path.is_file() else []
        return self._log

    @property
    def epochs(self) -> list[int]:
        """The epochs that can be gone back to (0: before the first step); empty for a run that kept no trace."""
        return Trace(self.path / "trace").epochs if self.path else sorted(self._frames)

    def at(self, epoch: int) -> Method:
        """The method as it was after an epoch, on the same backbone."""
        if epoch not in (there := self.epochs):
            kept = ", ".join(map(str, there)) or "none, since it took no epochs or its learnables are too large"
            raise BadData(f"run {self.id} has not kept its learnables after epoch {epoch}; it kept {kept}.")
        frame, last = self.frame(epoch), self.method.state_dict()
        if odd := next((k for k, v in frame.items() if k not in last or v.shape != last[k].shape), None):
            raise BadData(f"epoch {epoch} of run {self.id} holds '{odd[:60]}', which does not fit its learnables; fit it again.")
        return self._rebuild(frame)

    def frame(self, epoch: int) -> dict[str, Any]:
        """The learnables after a kept epoch, by name."""
        try:
            return Trace(self.path / "trace").state(epoch) if self.path else self._frames[epoch]
        except SafetensorError as error:
            raise BadData(f"epoch {epoch} of run {self.id} is damaged ({error}); fit it again.") from None

    def predict(self, images: Any, k: int | None = None) -> Any:
        """Names with probabilities, best first: a dict for one picture (path, PIL image, array or tensor), a list of dicts for a list
        of them; segmentation methods return a label map with names. ``k``: only the first k names."""
        return answers.predict(self.method, images, self.classes, k)

    def to_frame(self) -> Any:
        """One row a test set as a pandas frame, where pandas is installed; a list of plain dicts otherwise."""
        rows = [{"method": self.key, "set": n, "seed": self.meta["seed"], **answers.scalars(r.metrics), "seconds": r.seconds}
                for n, r in self.reports.items()]
        return answers.frame(rows)

    def save(self, file: str | Path) -> Path:
        """The run as one file (conventionally ``.plab``) that :func:`promptlab.open` reads on any machine with the same backbone."""
        from promptlab.archive import pack

        return pack(self, Path(file))

    def _repr_html_(self) -> str:
        return answers.run_html(self)

    def __repr__(self) -> str:
        scores = ", ".join(f"{n} {100 * v:.1f}" for n, v in self.summary["scores"].items() if v is not None)
        return f"<Run {self.id} {self.key} on {self.meta['task']['name']}: {self.status}{', ' + scores if scores else ''}>"

    def _rebuild(self, state: dict[str, Any] | None = None) -> Method:
        cls = self._cls or registry.get(self.key)
        if self._clip is None:
            raise BackboneLacks(f"run {self.id} needs its backbone {self.meta['backbone']['name']}; pass it as clip=.")
        hyper = build_hyper(self.key, cls.Hyper, self.meta["hyper"])
        task = Task(self.meta["task"]["kind"], self.classes, self.meta["task"]["name"])
        method = cls(self._clip, task, hyper).to(self._clip.device)
        state = self._state if state is None else state
        if state is None:
            file = self.path and self.path / "state.safetensors"
            if file is None or not file.is_file():
                raise BadData(f"run {self.id} has no saved learnables ({self.status}); fit it again.")
            state = read_tensors(file)
        restore(method, state, set(self.meta["learnable"]))
        return method.eval()

    def _arrays(self) -> dict[str, dict[str, np.ndarray]]:
        file = self.path and self.path / "predictions.npz"
        found: dict[str, dict[str, np.ndarray]] = {}
        if file and file.is_file():
            with np.load(file, allow_pickle=False) as stored:
                for name in stored.files:
                    part, array = name.rsplit("/", 1)
                    found.setdefault(part, {})[array] = stored[name]
        return found


class RunStore:
    """A folder of runs."""

    def __init__(self, root: str | Path = "runs"):
        self.root = Path(root)

    def find(self, **filters: Any) -> list[Run]:
        """Runs whose values equal the filters, newest last: ``find(method="coop", status="done", seed=1, backbone="pocket",
        task="world:animals")``; a hyper-parameter goes by its own name."""
        return sorted((r for r in self if _matches(r.meta, filters)), key=lambda r: r.meta["started"])

    def open(self, id: str, clip: Any = None, *, method: type[Method] | None = None) -> Run:
        """The run of an id or of its unambiguous beginning; ``clip``: the backbone to answer with."""
        found = list(self.root.glob(f"{id}*/run.json")) if id.isalnum() else []
        if len(found) != 1:
            what = f"{len(found)} runs begin with" if found else "there is no run"
            raise BadData(f"{what} '{id}' in {self.root}; RunStore.find() lists them.")
        meta = json.loads(found[0].read_text(encoding="utf-8"))
        if clip is not None:
            check_backbone(meta, clip)
        return Run(meta, found[0].parent, clip=clip, cls=method)

    def __iter__(self) -> Iterator[Run]:
        for path in self.root.glob("*/run.json"):
            yield Run(json.loads(path.read_text(encoding="utf-8")), path.parent)

    def write(self, run: Run) -> None:
        """Save what the run holds in memory."""
        folder = self.root / run.id
        (folder / "exhibits").mkdir(parents=True, exist_ok=True)
        if run._method is not None:
            write_tensors(folder / "state.safetensors", run._method.state_dict())
        if run._reports:
            write_arrays(folder / "predictions.npz", {f"{n}/{k}": v for n, r in run._reports.items() for k, v in r.predictions.items()})
        write_json(folder / "run.json", run.meta)
        run.path = folder


def check_backbone(meta: dict[str, Any], clip: Any) -> None:
    """Refuse to put learnables on a backbone that they were not fitted on."""
    want = meta["backbone"]
    if clip.digest() != want["digest"]:
        raise BackboneLacks(f"run {meta['id']} was fitted on {want['name']} with weights {want['digest'][:12]}; the given backbone "
                            f"{clip.name} has {clip.digest()[:12]}, so load the same weights.")


def read_events(path: Path) -> list[dict[str, Any]]:
    """The whole lines of an events file; a line cut by a kill is left out."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines if line]


def cut_after_last_epoch(path: Path) -> int:
    """Before resuming: drop the steps after the last epoch, which will be taken again. The number of epochs that stay."""
    if not path.is_file():
        return 0
    events: Sequence[dict[str, Any]] = read_events(path)
    last = max((i for i, e in enumerate(events) if e["event"] == "epoch"), default=-1)
    with replacing(path) as part:
        part.write_text("".join(json.dumps(e) + "\n" for e in events[: last + 1]), encoding="utf-8")
    return sum(e["event"] == "epoch" for e in events[: last + 1])


def _matches(meta: dict[str, Any], filters: dict[str, Any]) -> bool:
    flat = {**meta["hyper"], **meta, "backbone": meta["backbone"]["name"], "task": meta["task"]["name"]}
    return all(flat.get(k) == v for k, v in filters.items())
