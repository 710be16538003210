"""Sweeps over methods x data x shots x seeds: in this process, or spread over a Ray cluster (extra ``[ray]``) with the same code."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from statistics import fmean, pstdev
from typing import Any

from promptlab.errors import PromptlabError


@dataclass(frozen=True)
class Grid:
    """Every combination is one fit; ``store``: the folder of runs, which all workers must see."""

    methods: tuple[str, ...]
    data: tuple[str, ...]
    shots: tuple[int, ...] = (16,)
    seeds: tuple[int, ...] = (1,)
    protocol: str = "few_shot"
    backbone: str = "pocket"
    preset: str | None = None
    store: str = "runs"

    def cells(self) -> Iterator[dict[str, Any]]:
        """The fits as plain data, those on the same data next to one another, so that its encodings are reused."""
        for data, shots, seed, method in product(self.data, self.shots, self.seeds, self.methods):
            yield {"method": method, "data": data, "shots": shots, "seed": seed, "protocol": self.protocol, "backbone": self.backbone,
                   "preset": self.preset, "store": self.store}

    def __len__(self) -> int:
        return len(self.methods) * len(self.data) * len(self.shots) * len(self.seeds)


class Worker:
    """Runs cells one after another and keeps the backbone and the opened data between them."""

    def __init__(self) -> None:
        self._clips: dict[str, Any] = {}
        self._data: dict[str, Any] = {}

    def run(self, cell: dict[str, Any]) -> dict[str, Any]:
        """The cell with its scores, or with the sentence that says why there are none."""
        from promptlab import api

        nothing = {**cell, "run": None, "scores": {}, "seconds": None, "trainable": None}
        try:
            task = api.Shots(self._opened(cell["data"]), cell["shots"], None, cell["protocol"])
            found = api.compare([cell["method"]], task, seeds=[cell["seed"]], clip=self._clip(cell["backbone"]), preset=cell["preset"],
                                store=cell["store"], progress=False)
        except PromptlabError as error:
            return {**nothing, "error": str(error)}
        if not found.runs:
            return {**nothing, "error": next(iter(found.errors.values()), "stopped")}
        run = found.runs[0]
        return {**cell, "run": run.id, "scores": run.summary["scores"], "seconds": run.meta["seconds"], "trainable": run.meta["trainable"],
                "error": None}

    def _clip(self, spec: str) -> Any:
        from promptlab.backbones.load import load

        if spec not in self._clips:
            self._clips[spec] = load(spec)
        return self._clips[spec]

    def _opened(self, spec: str) -> Any:
        from promptlab.data.sources import open_data

        if spec not in self._data:
            self._data[spec] = open_data(spec)
        return self._data[spec]


def sweep(grid: Grid, *, ray: bool = False) -> Iterator[dict[str, Any]]:
    """Yield one finished cell after another; with ``ray`` in the order in which they finish."""
    yield from _on_ray(grid) if ray else map(Worker().run, grid.cells())


def _on_ray(grid: Grid) -> Iterator[dict[str, Any]]:
    try:
        import ray
    except ImportError:
        raise PromptlabError('a sweep on Ray needs pip install "promptlab-vlm[ray]"; without --ray it runs here.') from None
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False)
    count = max(1, min(len(grid), int(ray.cluster_resources().get("CPU", 1))))
    remote = ray.remote(num_cpus=1)(Worker)
    pool = ray.util.ActorPool([remote.remote() for _ in range(count)])
    yield from pool.map_unordered(lambda actor, cell: actor.run.remote(cell), grid.cells())


def summarise(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a (data, shots, method): mean and population standard deviation of each score over the seeds."""
    groups: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for row in rows:
        if row["error"] is None:
            groups.setdefault((row["data"], row["shots"], row["method"]), []).append(row)
    out = []
    for (data, shots, method), found in groups.items():
        values = {k: [r["scores"][k] for r in found if r["scores"].get(k) is not None] for k in found[0]["scores"]}
        values = {k: v for k, v in values.items() if v}
        out.append({"data": data, "shots": shots, "method": method, "seeds": len(found), "scores": {k: fmean(v) for k, v in values.items()},
                    "spread": {k: pstdev(v) for k, v in values.items()}, "seconds": fmean(r["seconds"] for r in found)})
    return out
