"""bench: measure this machine."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import typer

from promptlab.cli.common import console, emit_json, fail, guarded, show_table, whole_numbers
from promptlab.cli.show import AsJson
from promptlab.errors import PromptlabError

BASE_NEW_TASKS = ("world:animals@pixel-art", "world:food@thermal", "world:vehicles@pixel-art", "world:faces@sketch",
                  "world:textures@embroidery", "world:animals@grayscale")

app = typer.Typer(no_args_is_help=True, help="Measure this machine.")


@app.callback()
def _bench() -> None:
    """Measure this machine."""


@app.command()
@guarded
def speed(
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    k: Annotated[str, typer.Option(help="Numbers of classes, comma-separated.")] = "10,100,1000",
    methods: Annotated[str, typer.Option(help="coop, cocoop or both, comma-separated.")] = "coop,cocoop",
    skip_plain: Annotated[bool, typer.Option("--skip-plain", help="Leave the plain formulation out (it takes minutes).")] = False,
    threads: Annotated[int | None, typer.Option(help="Threads of each measurement (default: all).")] = None,
    as_json: AsJson = False,
) -> None:
    """Time one training step in the plain formulation against the fast paths, on the same weights."""
    from promptlab.bench.speed import COLUMNS, cells_of
    from promptlab.bench.speed import speed as measure

    keys = [m.strip() for m in methods.split(",")]
    if not set(keys) <= {"coop", "cocoop"}:
        fail(f"--methods takes coop and cocoop; got '{methods}'.")
    rows = []
    for row in measure(device, whole_numbers("--k", k), keys, skip_plain, threads):
        rows.append(row)
        if not as_json:
            console().print(" · ".join(cells_of(row)), style="dim", markup=False)
    if as_json:
        return emit_json(rows)
    show_table("One training step, ViT-B-32 with random weights", COLUMNS, [cells_of(row) for row in rows], left=4)


@app.command()
@guarded
def insight(
    ids: Annotated[list[str] | None, typer.Argument(help="Methods; all when empty.")] = None,
    pictures: Annotated[int, typer.Option(min=1, help="Most pictures of each set.")] = 200,
    as_json: AsJson = False,
) -> None:
    """How often evidence maps point at the thing, beside controls, on the pocket backbone; what each method yields, and its seconds."""
    from promptlab.backbones.load import load
    from promptlab.bench import insight as look

    clip = load("pocket", device="cpu")
    points, made = [look.pointing(clip, which, pictures) for which in look.SETS], look.yields(clip, tuple(ids or ()))
    times = look.timing(clip, rows=made)
    if as_json:
        return emit_json({"pointing": points, "exhibits": times, "methods": made})
    rows = [[_share(r[c], c) for c in look.COLUMNS] for r in points]
    show_table("Peak of the map in the object's box, photo style, test pictures", look.COLUMNS, rows)
    show_table("Seconds per exhibit on pocket", look.TIMED,
               [[f"{r[c]:.2f}" if isinstance(r[c], float) else r[c] for c in look.TIMED] for r in times])
    show_table("What each method yields on pocket", look.YIELDS, [look.yield_cells(r) for r in made], left=2)


def _share(value: object, column: str) -> object:
    if not isinstance(value, float):
        return value
    return f"{value:.3f}" if column.startswith("deletion") else f"{100 * value:.1f} %"


@app.command()
@guarded
def methods(
    ids: Annotated[list[str] | None, typer.Argument(help="Methods; all when empty.")] = None,
    part: Annotated[str, typer.Option(help="jobs (what each is for, on the world), steps (one step at K = 100) or all.")] = "all",
    seeds: Annotated[str, typer.Option(help="Seeds of the jobs, comma-separated.")] = "1,2,3",
    store: Annotated[Path, typer.Option(help="Folder of the runs; equal ones are found there.")] = Path("runs"),
    threads: Annotated[int | None, typer.Option(help="Threads of each step measurement (default: all).")] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file that the rows are kept in, as docs/measured.json.")] = None,
    as_json: AsJson = False,
) -> None:
    """Each method at its own job on the picture world against its own baseline, and time and memory of one step."""
    from promptlab import registry
    from promptlab.bench import jobs

    if part not in ("jobs", "steps", "all"):
        fail(f"--part takes jobs, steps or all; got '{part}'.")
    keys, found = ids or registry.ids(), {}
    if part != "steps":
        from promptlab.backbones.load import load
        from promptlab.runs import RunStore

        clip, runs, numbers = load("pocket", device="cpu"), RunStore(store), whole_numbers("--seeds", seeds)
        found["jobs"] = _measured(keys, lambda key: jobs.job_row(key, clip, numbers, runs), "jobs", out, jobs.job_cells, as_json)
    if part != "jobs":
        found["steps"] = _measured(keys, lambda key: jobs.step_row(key, threads), "steps", out, jobs.step_cells, as_json)
    if as_json:
        return emit_json(found)
    if "jobs" in found:
        show_table("At their own jobs, pocket, demo presets", jobs.JOB_COLUMNS, [jobs.job_cells(r) for r in found["jobs"]], left=4)
    if "steps" in found:
        show_table("One step: ViT-B-32, K = 100, batch 8", jobs.STEP_COLUMNS, [jobs.step_cells(r) for r in found["steps"]], left=2)


@app.command("base-new")
@guarded
def base_new(
    ids: Annotated[list[str], typer.Argument(help="Methods.")],
    tasks: Annotated[str, typer.Option(help="World tasks, comma-separated.")] = ",".join(BASE_NEW_TASKS),
    seeds: Annotated[str, typer.Option(help="Seeds, comma-separated.")] = "1,2,3",
    store: Annotated[Path, typer.Option(help="Folder of the runs; equal ones are found there.")] = Path("runs"),
    out: Annotated[Path | None, typer.Option(help="JSON file that the rows are kept in.")] = None,
    as_json: AsJson = False,
) -> None:
    """Base and new classes over several world tasks: which methods learn the shots, and which keep what the backbone knew."""
    from promptlab.backbones.load import load
    from promptlab.bench import jobs
    from promptlab.bench.tables import base_new_table
    from promptlab.runs import RunStore

    clip, runs, numbers = load("pocket", device="cpu"), RunStore(store), whole_numbers("--seeds", seeds)
    cells = [f"{task.strip()} {key}" for task in tasks.split(",") for key in ids]

    def work(cell: str) -> dict:
        task, _, key = cell.partition(" ")
        return jobs.base_new_row(key, task, numbers, clip, runs)

    rows = _measured(cells, work, "base_new", out, lambda r: (r["task"], r["method"], str(r["values"])), as_json, key="id")
    if as_json:
        return emit_json(rows)
    console().print(base_new_table(rows), markup=False)


def _measured(keys: Iterable[str], work: Callable[[str], dict], part: str, out: Path | None, cells: Callable[[dict], tuple], quiet: bool,
              key: str = "method") -> list[dict]:
    """Rows one by one, each kept and shown at once; what cannot be measured says why and stops nothing else."""
    from promptlab.bench.jobs import keep

    rows = []
    for name in keys:
        try:
            row = work(name)
        except PromptlabError as error:
            console(err=True).print(f"{name}: {error}", markup=False)
            continue
        rows.append(row)
        if out:
            keep(out, part, row, key)
        if not quiet:
            console().print(" · ".join(cells(row)), style="dim", markup=False)
    return rows


@app.command("app")
@guarded
def app_(
    repeats: Annotated[int, typer.Option(min=1, help="Visits; medians are shown.")] = 3,
    as_json: AsJson = False,
) -> None:
    """How long a visitor of the app waits: first paint, zero-shot bars, first point after Train (needs chromium and playwright)."""
    from promptlab.bench.app import measure

    found = measure(repeats)
    if as_json:
        return emit_json(found)
    show_table("Seconds a visitor waits (pocket)", ("what", "seconds"), [[k, f"{v:.2f}"] for k, v in found.items()])
