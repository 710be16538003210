"""Commands that look and change nothing: methods, world, doctor."""

from pathlib import Path
from typing import Annotated

import typer

from promptlab.cli.common import amount, console, emit_json, fail, guarded, show_table

app = typer.Typer()
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]


@app.command()
@guarded
def methods(
    method: Annotated[str | None, typer.Argument(help="Show one method's card and knobs.")] = None,
    family: Annotated[str | None, typer.Option(help="Only this family (text prompt, visual prompt, ...).")] = None,
    as_json: AsJson = False,
) -> None:
    """List the methods, or show the card and the knobs of one."""
    from promptlab import registry
    from promptlab.assets import golden_cases
    from promptlab.card import FAMILIES, knobs
    from promptlab.docs import found_cards

    if method:
        return _one(registry.get(method), as_json)
    if family and family not in FAMILIES:
        fail(f"'{family}' is no family; the families are {', '.join(FAMILIES)}.")
    cards, golden = [c for c in found_cards()[0] if family in (None, c.family)], golden_cases()
    if as_json:
        return emit_json([{**_plain(c), "golden": golden.get(c.id, 0), "knobs": list(knobs(registry.get(c.id).Hyper))} for c in cards])
    rows = [(c.id, f"{c.venue} {c.year}", c.family, c.supervision, c.difference, c.trains, amount(c.params_b16_k100), golden.get(c.id, "-"))
            for c in cards]
    show_table("Methods", ("id", "paper", "family", "learns from", "difference from zero-shot", "trains", "trainable*", "golden"), rows,
               left=6)
    console().print("* at ViT-B/16 with 100 classes; '-' where the data decides. golden: cases in which the numbers of the original "
                    "implementation are met. `promptlab methods ID` shows one.", style="dim")


def _plain(card) -> dict:
    import dataclasses

    return dataclasses.asdict(card)


def _one(cls, as_json: bool) -> None:
    from promptlab.card import knobs

    card, known = cls.card, knobs(cls.Hyper)
    if as_json:
        fields = ("name", "default", "low", "high", "choices", "live", "help")
        return emit_json({**_plain(card), "knobs": [{f: getattr(k, f) for f in fields} for k in known.values()]})
    out = console()
    out.print(f"[bold]{card.name}[/bold] ({card.id}), {card.venue} {card.year}, {card.paper}")
    out.print(f"{card.family}, {card.supervision}: {card.difference}. Trains: {card.trains}.", markup=False)
    out.print(f"Needs {', '.join(card.needs) or 'nothing special'} of the backbone; tasks: {', '.join(card.kinds)}; presets: "
              f"{', '.join(card.presets) or 'none'}.", markup=False)
    for line in card.departs:
        out.print(f"Departs from its public code: {line}", markup=False)
    rows = [(k.name, k.type.__name__, k.default, _span(k), "live" if k.live else "", k.help) for k in known.values()]
    show_table("Knobs", ("knob", "type", "paper", "allowed", "", "what"), rows, left=6)


def _span(knob) -> str:
    if knob.choices:
        return " | ".join(map(str, knob.choices))
    if (knob.low, knob.high) == (None, None):
        return ""
    return f"{'' if knob.low is None else f'{knob.low:g}'} .. {'' if knob.high is None else f'{knob.high:g}'}"


@app.command()
@guarded
def doctor(as_json: AsJson = False) -> None:
    """Say what is installed, which device is used and why, what is there offline, and what is missing and how to get it."""
    from promptlab.doctor import diagnose

    found = diagnose()
    if as_json:
        emit_json(found.to_json())
    else:
        marks = {True: "ok", False: "missing", None: ""}
        rows = [(f.group, f.what, f.value, marks[f.ok], f.todo if f.ok is False else "") for f in found.findings]
        show_table("promptlab doctor", ("", "what", "found", "", "what to do"), rows, left=5)
        console().print("Everything that promptlab needs is there." if found.healthy else "Something that promptlab needs is missing.")
    if not found.healthy:
        raise typer.Exit(2)


@app.command()
@guarded
def world(
    task: Annotated[str | None, typer.Argument(help="TASK@STYLE (animals@night); without it the tasks and styles are listed.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write a contact sheet to this picture file.")] = None,
    count: Annotated[int, typer.Option(min=1, max=400, help="How many pictures the sheet shows.")] = 48,
    size: Annotated[int, typer.Option(min=16, max=512, help="Side of a picture of the sheet in px.")] = 96,
    render: Annotated[Path | None, typer.Option(help="Write the task's pictures into this new folder, as --data takes it.")] = None,
    each: Annotated[int, typer.Option(min=1, max=1000, help="How many pictures a class and split --render writes.")] = 16,
    as_json: AsJson = False,
) -> None:
    """Show the picture world: its tasks, or a contact sheet of one; or render a task into a folder of pictures."""
    from promptlab.cli.sheets import describe_task, list_world, render_task, write_sheet

    if task is None:
        return list_world(as_json)
    info = describe_task(task)
    if out is not None:
        info["sheet"] = str(write_sheet(task, out, count, size))
    if render is not None:
        info |= {"folder": str(render), "written": render_task(task, render, each)}
    if as_json:
        return emit_json(info)
    for name, value in info.items():
        console().print(f"[bold]{name}[/bold]: {value}" if not isinstance(value, list) else f"[bold]{name}[/bold]: {', '.join(value)}")
    if out is None and render is None:
        console().print("Give --out sheet.png to see pictures, or --render FOLDER to have them as files.", style="dim")
