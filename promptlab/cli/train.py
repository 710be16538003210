"""fit: one command a method, its flags made from the method's knobs."""

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlab.cli.common import INTERRUPTED, console, emit_json, guarded, percent
from promptlab.cli.flags import command_for, preset_name

DATA_HELP = "A folder with one folder of pictures a class, a zip of it, a data set in the CoOp layout, or world:TASK@STYLE."
PRESET_HELP = "auto (the card's demo values on pocket, else the paper's), paper, or a preset of the card."
BACKBONE_HELP = "pocket (offline), or any open_clip model as NAME or NAME:TAG (ViT-B-16:openai)."


def _parameter(name: str, kind: Any, default: Any, *flags: str, **options: Any) -> inspect.Parameter:
    annotation = Annotated[kind, typer.Option(*flags, rich_help_panel="Run", **options)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


FIXED = {p.name: p for p in (
    inspect.Parameter("data", inspect.Parameter.KEYWORD_ONLY,
                      annotation=Annotated[str, typer.Option("--data", help=DATA_HELP, rich_help_panel="Run", show_default=False)]),
    _parameter("shots", int, 16, "--shots", min=1, help="Labelled pictures a class."),
    _parameter("protocol", str, "few_shot", "--protocol",
               help="few_shot, base_to_new, unlabelled, captions, taxonomy; with --target cross_dataset, domain_shift."),
    _parameter("target", list[str] | None, None, "--target", help="Data that is only tested on; may be given several times."),
    _parameter("backbone", str, "pocket", "--backbone", help=BACKBONE_HELP),
    _parameter("device", str, "auto", "--device", help="auto, cpu or cuda."),
    _parameter("preset", str, "auto", "--preset", help=PRESET_HELP),
    _parameter("seed", int, 1, "--seed", min=0, help="Seed of shots, initialisation and order."),
    _parameter("keep", str, "last", "--keep", help="last (the papers' way) or best (on validation)."),
    _parameter("seconds", float | None, None, "--seconds", min=0, help="End the fit after so many seconds."),
    _parameter("out", Path, Path("runs"), "--out", help="Folder of the runs."),
    _parameter("save", Path | None, None, "--save", help="Also write the run as one file (coop.plab)."),
    _parameter("refit", bool, False, "--refit/--reuse", help="Fit again even if an equal run is there."),
    _parameter("as_json", bool, False, "--json", help="Print one JSON document instead of words."),
)}


def fit_app() -> typer.Typer:
    """The group ``fit`` with one command a method."""
    from promptlab import registry
    from promptlab.docs import found_cards

    app = typer.Typer(no_args_is_help=True, help="Fit a method on data and judge it. `promptlab fit METHOD --help` lists its flags.",
                      subcommand_metavar="METHOD [OPTIONS]")
    for card in found_cards()[0]:
        cls = registry.get(card.id)

        def body(values: dict[str, Any], key: str = card.id, presets: Any = card.presets, **fixed: Any) -> None:
            run_fit(key, presets, values, **fixed)

        doc = f"{card.name} ({card.venue} {card.year}): {card.difference}. Presets: {', '.join(card.presets) or 'none'}."
        command = command_for(guarded(body), cls.Hyper, FIXED, doc)
        app.command(card.id, short_help=f"{card.name}: {card.difference}")(command)
    return app


def run_fit(key: str, presets: Any, values: dict[str, Any], *, data: str, shots: int, protocol: str, target: list[str] | None,
            backbone: str, device: str, preset: str, seed: int, keep: str, seconds: float | None, out: Path, save: Path | None,
            refit: bool, as_json: bool) -> None:
    """Fit, judge, and say how it compares with zero-shot."""
    from promptlab import api
    from promptlab.backbones.load import load

    clip = load(backbone, device=device)
    name = preset_name(preset, presets, backbone)
    say = console(err=True)
    used = f"preset {name}" if name else "the values of the paper"
    say.print(f"{key} on {data}, {shots} shots a class, {backbone}, {used}.", style="dim", soft_wrap=True, markup=False)
    task = api.open_data(data, shots, protocol=protocol, targets=target or ())
    for problem in task.data.report.problems:
        say.print(problem, style="yellow", markup=False)
    found = api.fit(key, clip, task, preset=name, keep=keep, seconds=seconds, store=out, refit=refit, seed=seed, **values)
    zero = None
    if key != "zero_shot" and found.status != "stopped":
        zero = api.fit("zero_shot", clip, task, store=out, seed=seed, progress=False)
    if save:
        found.save(save)
    summary = found.summary
    if as_json:
        emit_json({**summary, "preset": name, "zero_shot": zero.summary["scores"] if zero else None, "folder": found.path, "saved": save})
    else:
        console().print(final_line(summary, zero.summary["scores"] if zero else None), markup=False, soft_wrap=True)
    if found.status == "stopped":
        raise typer.Exit(INTERRUPTED)


def final_line(summary: dict[str, Any], zero: dict[str, float] | None) -> str:
    """Accuracy, zero-shot for comparison, seconds, run id."""
    scores = ", ".join(f"{name} {percent(value)} %" + (f" (zero-shot {percent(zero.get(name))} %)" if zero and name in zero else "")
                       for name, value in summary["scores"].items())
    status = "" if summary["status"] == "done" else f" [{summary['status']}]"
    return (f"{summary['method']}{status}: {scores or 'no test pictures'} · {summary['trainable']:,} trainable · "
            f"{summary['seconds']:.1f} s · run {summary['id']}")
