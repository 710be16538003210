"""inspect: look inside saved runs, and hold them against each other."""

from pathlib import Path
from typing import Annotated

import typer

from promptlab.cli.common import emit_json, fail, guarded, show_table, whole_numbers
from promptlab.cli.show import AsJson
from promptlab.cli.train import DATA_HELP

app = typer.Typer()
Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids of runs (or their beginnings), folders, or .plab files; several for "
                                                                  "reliability, confusion, gain and disagreement.", show_default=False)]
What = Annotated[str | None, typer.Option(help="The exhibit; without it, what the run yields is listed.")]
Of = Annotated[str, typer.Option("--of", help="With --what replay: the exhibit that is shown after each epoch.")]
Images = Annotated[list[Path] | None, typer.Option("--image", help="Picture to look at; several for some exhibits.", show_default=False)]
ClassName = Annotated[str | None, typer.Option("--class", help="The class to ask about (default: the predicted one).")]
Data = Annotated[str | None, typer.Option(help=f"Where --split comes from (default: the data of the run, where it is known by name). "
                                               f"{DATA_HELP}", show_default=False)]
SplitName = Annotated[str | None, typer.Option("--split", help="Pictures to measure on, or to show (without --image: "
                                                                     "val): support, val or test.")]
Knob = Annotated[str | None, typer.Option(help="With --what live: the live hyper-parameter.")]
Values = Annotated[str | None, typer.Option(help="With --what live: its values, with commas.")]
Epochs = Annotated[str | None, typer.Option(help="With --what replay: the epochs, with commas (0: the start).")]
Against = Annotated[str | None, typer.Option(help="Another run in place of zero-shot as what was before.")]
On = Annotated[str | None, typer.Option(help="The test set of a comparison: test, base, new, ...")]
Space = Annotated[str | None, typer.Option(help="With --what shift: pca or umap (needs umap-learn).")]
Out = Annotated[Path | None, typer.Option(help="File to write: .html, .png, .svg, .pdf or .json.")]
Dark = Annotated[bool, typer.Option("--dark", help="Light ink on a dark page.")]
Store = Annotated[Path, typer.Option("--store", help="Folder of the runs.")]


@app.command()
@guarded
def inspect(run: Runs, what: What = None, of: Of = "words", image: Images = None, name: ClassName = None, data: Data = None,
            split: SplitName = None, knob: Knob = None, values: Values = None, epochs: Epochs = None, against: Against = None,
            on: On = None, space: Space = None, out: Out = None, dark: Dark = False, store: Store = Path("runs"),
            as_json: AsJson = False) -> None:
    """Show what saved runs learned and do: a picture of it as a file, or the list of what can be shown."""
    from promptlab import api
    from promptlab.cli.looking import Asked, list_of, look

    if split not in (None, "support", "val", "test"):
        fail(f"--split takes support, val or test; got '{split}'.")
    opened = [api.open(r, store=store) for r in run]
    asked = Asked(what or "", of, image, name, data, split, knob, _numbers(values), None if epochs is None else whole_numbers(
        "--epochs", epochs), api.open(against, store=store) if against else None, on, space, store)
    if what is None:
        return _listed(list_of(opened[0], asked), opened[0].key, as_json)
    exhibit = look(opened, asked)
    if out is not None:
        from promptlab.plots import save

        save(exhibit, out, dark=dark)
    if as_json:
        import json

        return emit_json(json.loads(exhibit.to_json()))
    show_table(exhibit.title, ("check", "value", "control"), [(s.name, _number(s.value), _number(s.control)) for s in exhibit.sanity])
    typer.echo(exhibit.note)
    typer.echo(f"written to {out}." if out else "Give --out x.html or x.png for the picture.")


def _listed(rows: list[tuple[str, str, str]], key: str, as_json: bool) -> None:
    if as_json:
        keys = ("what", "needs", "available", "about")
        return emit_json([dict(zip(keys, (w, n, t.startswith("yes: "), t.removeprefix("yes: ")))) for w, n, t in rows])
    show_table(f"Exhibits of {key}", ("exhibit", "needs", "is there"), rows, left=3)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _numbers(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(v) for v in text.split(",")]
    except ValueError:
        fail(f"--values takes numbers with commas, as in 0.5,1,2; got '{text}'.")
    return None
