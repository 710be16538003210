"""bench: measure this machine."""

from typing import Annotated

import typer

from promptlab.cli.common import console, emit_json, fail, guarded, show_table, whole_numbers
from promptlab.cli.show import AsJson

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
    pictures: Annotated[int, typer.Option(min=1, help="Most pictures of each set.")] = 200,
    as_json: AsJson = False,
) -> None:
    """How often evidence maps point at the thing, beside controls, on the pocket backbone; seconds of each exhibit."""
    from promptlab.backbones.load import load
    from promptlab.bench.insight import COLUMNS, SETS, TIMED, pointing, timing

    clip = load("pocket", device="cpu")
    points, times = [pointing(clip, which, pictures) for which in SETS], timing(clip)
    if as_json:
        return emit_json({"pointing": points, "exhibits": times})
    rows = [[f"{100 * r[c]:.1f} %" if isinstance(r[c], float) else r[c] for c in COLUMNS] for r in points]
    show_table("Peak of the map in the object's box, photo style, test pictures", COLUMNS, rows)
    show_table("Seconds per exhibit on pocket", TIMED, [[f"{r[c]:.2f}" if isinstance(r[c], float) else r[c] for c in TIMED] for r in times])
