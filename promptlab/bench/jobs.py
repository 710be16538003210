"""``promptlab bench methods``: each method at its own job on the world, against its own baseline, and one step at K = 100.

The rows are kept in a JSON file, so that one method can be measured again alone; the tables of ``docs/results.md`` are made from it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from promptlab import api, registry
from promptlab.card import Card, Job
from promptlab.compare import compare
from promptlab.data.kinds import kind_of
from promptlab.errors import BadData
from promptlab.files import write_json
from promptlab.runs import Run, RunStore
from promptlab.shots import shots_of

JOB_COLUMNS = ("method", "task", "judged by", "baseline", "its score", "score", "gain", "beyond spread", "seconds")
STEP_COLUMNS = ("method", "what", "s", "plain s", "ratio", "peak GB", "plain peak GB")


def job_row(key: str, clip: Any, seeds: Sequence[int], store: RunStore) -> dict[str, Any]:
    """Mean, spread (population standard deviation) and values over seeds of the method and of its baseline, on the same draws."""
    job = registry.card(key).job
    data = api.open_data(job.data, job.shots, protocol=job.protocol, targets=job.targets)
    ours, baseline = (_runs(id_, hyper, data, clip, seeds, store) for id_, hyper in ((key, job.hyper), (job.against, job.against_hyper)))
    found = {"method": key, "data": job.data, "shots": job.shots, "protocol": job.protocol, "test": job.test,
             "metric": _metric(job, ours[0]), "against": _label(job.against, job.against_hyper), "hyper": dict(job.hyper), "note": job.note,
             "targets": list(job.targets), "seeds": list(seeds), "date": date.today().isoformat(),
             "seconds": fmean(r.meta["seconds"] for r in ours)}
    for name, runs in (("ours", ours), ("baseline", baseline)):
        values = [_score(job, r) for r in runs]
        found |= {name: fmean(values), f"{name}_spread": pstdev(values), f"{name}_values": values}
    gain = found["ours"] - found["baseline"]
    return {**found, "gain": gain, "clear": gain > max(found["ours_spread"], found["baseline_spread"])}


def _runs(key: str, hyper: Any, data: Any, clip: Any, seeds: Sequence[int], store: RunStore) -> list[Run]:
    found = compare([(key, dict(hyper))], clip, data, seeds=seeds, preset="demo", store=store)
    if found.errors:
        raise BadData(f"{key} was not measured: {next(iter(found.errors.values()))}")
    return list(found.runs)


def _score(job: Job, run: Run) -> float:
    """The number that decides: the metric on the job's test set, "H" being the harmonic mean of base and new."""
    if job.metric and job.test in run.reports:
        return float(run.reports[job.test].metrics[job.metric])
    found = run.summary["scores"]
    if job.test == "targets" and job.targets:
        return fmean(run.reports[t.removeprefix("world:")].headline for t in job.targets)
    if job.test not in found:
        raise BadData(f"the job of {run.key} is judged by '{job.test}', but its protocol has only {', '.join(found)}.")
    return float(found[job.test])


def _metric(job: Job, run: Run) -> str:
    return job.metric or kind_of(run.meta["task"]["kind"]).headline


def _label(key: str, hyper: Any) -> str:
    return key + (f" ({', '.join(f'{k}={v}' for k, v in hyper.items())})" if hyper else "")


def step_row(key: str, threads: int | None = None) -> dict[str, Any]:
    """Seconds and peak memory of one step at K = 100, ViT-B-32, batch 8, by the fast paths, and plainly where that differs."""
    card = registry.card(key)
    fast = step_cell(key, "fast", threads)
    plain = step_cell(key, "plain", threads) if fast_path(card) else None
    return {"method": key, "what": fast["what"], "fast": fast, "plain": plain, "date": date.today().isoformat()}


def fast_path(card: Card) -> bool:
    """Whether steps go through the shared text layout (the method runs the text tower while it learns)."""
    return "text" in card.needs and card.supervision != "training-free"


def step_cell(key: str, how: str, threads: int | None = None) -> dict[str, Any]:
    """One measurement in a process of its own; {"why": ...} where it failed, as a rule for want of memory."""
    env = {**os.environ, "OMP_WAIT_POLICY": "passive", **({"OMP_NUM_THREADS": str(threads)} if threads else {})}
    done = subprocess.run([sys.executable, "-m", "promptlab.bench.step", key, how], capture_output=True, text=True, env=env)
    if done.returncode:
        return {"what": "-", "seconds": None, "peak_gb": None, "why": (done.stderr.strip().splitlines() or ["ended by the system"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def keep(path: Path, part: str, row: dict[str, Any], key: str = "method") -> None:
    """Put a row into the file, in place of an older one of the same method."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    rows = [r for r in found.get(part, []) if r[key] != row[key]] + [row]
    write_json(path, {**found, part: sorted(rows, key=lambda r: r[key])})


def job_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row under :data:`JOB_COLUMNS`."""
    def shown(name: str) -> str:
        return f"{100 * row[name]:.1f} ± {100 * row[name + '_spread']:.1f}"

    shots = "all pictures" if row["shots"] is None else f"{row['shots']} shots"
    verdict = ("yes" if row["clear"] else "no") + (f": {row['note']}" if row["note"] else "")
    method = _label(row["method"], row["hyper"])
    data = " to ".join(filter(None, (row["data"], ", ".join(row.get("targets", ()))))).replace("world:", "")
    return (method, f"{data}, {shots}, {row['protocol']}", f"{row['metric']}, {row['test']}", row["against"],
            shown("baseline"), shown("ours"), f"{100 * row['gain']:+.1f}", verdict, f"{row['seconds']:.1f}")


def step_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row under :data:`STEP_COLUMNS`."""
    fast, plain = row["fast"], row["plain"] or {}

    def number(found: dict[str, Any], name: str, digits: int) -> str:
        return "-" if found.get(name) is None else f"{found[name]:.{digits}f}"

    both = fast.get("seconds") and plain.get("seconds")
    ratio = f"{plain['seconds'] / fast['seconds']:.1f}x" if both else "-"
    return (row["method"], row["what"], number(fast, "seconds", 3), number(plain, "seconds", 2), ratio, number(fast, "peak_gb", 2),
            number(plain, "peak_gb", 2))


def base_new_row(key: str, task: str, seeds: Sequence[int], clip: Any, store: RunStore) -> dict[str, Any]:
    """Base, new and H of one method on one task, one value a seed: 16 shots, demo preset."""
    runs = _runs(key, {}, shots_of(task, 16, "base_to_new"), clip, seeds, store)
    values = {name: [r.summary["scores"].get(name) for r in runs] for name in ("base", "new", "H")}
    return {"id": f"{task} {key}", "task": task, "method": key, "seeds": list(seeds), "values": values, "date": date.today().isoformat(),
            "seconds": fmean(r.meta["seconds"] for r in runs)}
