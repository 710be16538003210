"""compare and sweep: several methods, seeds and tasks."""

from pathlib import Path
from typing import Annotated, Any

import typer

from promptlab.cli.common import INTERRUPTED, console, emit_json, guarded, show_table, whole_numbers
from promptlab.cli.flags import preset_name
from promptlab.cli.show import AsJson
from promptlab.cli.train import BACKBONE_HELP, DATA_HELP, PRESET_HELP

app = typer.Typer()

Methods = Annotated[list[str], typer.Argument(help="Method ids, with knobs where wanted: coop maple coop:n_ctx=4", show_default=False)]
Shots = Annotated[int, typer.Option(min=1, help="Labelled pictures a class.")]
Seeds = Annotated[str, typer.Option(help="Seeds, with commas: 1,2,3.")]
Protocol = Annotated[str, typer.Option(help="base_to_new (learn on half of the classes, judge on both halves), few_shot, unlabelled, or, "
                                            "with --target, cross_dataset (other classes) or domain_shift (other style).")]
Target = Annotated[list[str] | None, typer.Option("--target", help="Data that is only tested on; may be given several times.")]
Backbone = Annotated[str, typer.Option(help=BACKBONE_HELP)]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Preset = Annotated[str, typer.Option(help=PRESET_HELP)]
Out = Annotated[Path, typer.Option(help="Folder of the runs; an equal run that is there is reused.")]
Refit = Annotated[bool, typer.Option("--refit/--reuse", help="Fit again even if equal runs are there.")]


def with_reference(methods: list[str]) -> list[str]:
    """The methods with zero-shot in front, which all others are compared with."""
    return methods if "zero_shot" in methods else ["zero_shot", *methods]


@app.command()
@guarded
def compare(
    methods: Methods,
    data: Annotated[str, typer.Option(help=DATA_HELP, show_default=False)],
    shots: Shots = 16,
    seeds: Seeds = "1",
    protocol: Protocol = "base_to_new",
    target: Target = None,
    backbone: Backbone = "pocket",
    device: Device = "auto",
    preset: Preset = "auto",
    out: Out = Path("runs"),
    refit: Refit = False,
    as_json: AsJson = False,
) -> None:
    """Fit several methods on the same shots and print one table; zero-shot is always in it."""
    from promptlab import api
    from promptlab.backbones.load import load
    from promptlab.fit.context import FitContext

    chosen = whole_numbers("--seeds", seeds)
    named = preset_name(preset, {"demo": {}}, backbone)
    say = console(err=True)
    say.print(f"{data}, {shots} shots a class, {protocol}, seeds {', '.join(map(str, chosen))}, {backbone}, "
              f"{f'preset {named} where a card has it' if named else 'the values of the papers'}.", style="dim")
    ctx, task = FitContext(), api.open_data(data, shots, protocol=protocol, targets=target or ())
    found = api.compare(with_reference(methods), task, seeds=chosen, preset=named, store=out,
                        clip=load(backbone, device=device), refit=refit, ctx=ctx)
    if as_json:
        emit_json({**found.to_json(), "preset": named, "shots": shots})
    else:
        console().print(found.table())
    if ctx.stop.is_set():
        raise typer.Exit(INTERRUPTED)


@app.command()
@guarded
def sweep(
    methods: Methods,
    data: Annotated[list[str], typer.Option(help=f"{DATA_HELP} May be given several times.", show_default=False)],
    shots: Annotated[str, typer.Option(help="Shots a class, with commas: 1,4,16.")] = "16",
    seeds: Seeds = "1,2,3",
    protocol: Protocol = "few_shot",
    backbone: Backbone = "pocket",
    preset: Preset = "auto",
    out: Out = Path("runs"),
    ray: Annotated[bool, typer.Option("--ray", help="Spread the fits over a Ray cluster (extra [ray]) instead of this process.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fit methods x data x shots x seeds; finished fits are reused, so an interrupted sweep goes on where it stopped."""
    from promptlab.scale import Grid, summarise, sweep

    named = preset_name(preset, {"demo": {}}, backbone)
    grid = Grid(tuple(methods), tuple(data), whole_numbers("--shots", shots), whole_numbers("--seeds", seeds), protocol, backbone, named,
                str(out))
    say, rows = console(err=True), []
    for done, row in enumerate(sweep(grid, ray=ray), 1):
        rows.append(row)
        say.print(f"{done} of {len(grid)}: {_words(row)}", style="dim", markup=False, soft_wrap=True)
    if as_json:
        return emit_json({"rows": rows, "summary": summarise(rows)})
    head, body = cells(summarise(rows))
    show_table(f"{len(rows)} fits", head, body, left=3)


def _words(row: dict[str, Any]) -> str:
    scores = ", ".join(f"{k} {100 * v:.1f}" for k, v in row["scores"].items() if v is not None)
    return f"{row['method']} on {row['data']}, {row['shots']} shots, seed {row['seed']}: {row['error'] or scores}"


def cells(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Titles and texts of the summary table."""
    names = list(dict.fromkeys(k for r in rows for k in r["scores"]))
    head = ["data", "shots", "method", *names, "seeds", "seconds"]
    body = []
    for r in rows:
        shown = [f"{100 * r['scores'][k]:.1f} ± {100 * r['spread'][k]:.1f}" if k in r["scores"] else "-" for k in names]
        body.append([r["data"], str(r["shots"]), r["method"], *shown, str(r["seeds"]), f"{r['seconds']:.1f}"])
    return head, body
