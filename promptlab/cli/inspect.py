"""inspect: look inside a saved run."""

from pathlib import Path
from typing import Annotated, Any

import typer

from promptlab.cli.answer import RunName
from promptlab.cli.common import emit_json, fail, guarded, show_table
from promptlab.cli.show import AsJson

app = typer.Typer()
Store = Annotated[Path, typer.Option("--store", help="Folder of the runs.")]


@app.command()
@guarded
def inspect(
    run: RunName,
    what: Annotated[str | None, typer.Option(help="The exhibit; without it, what the run yields is listed.")] = None,
    image: Annotated[list[Path] | None, typer.Option(help="The picture to look at; several for some exhibits.", show_default=False)] = None,
    name: Annotated[str | None, typer.Option("--class", help="The class to ask about (default: the predicted one).")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write: .html, .png, .svg, .pdf or .json.")] = None,
    dark: Annotated[bool, typer.Option("--dark", help="Light ink on a dark page.")] = False,
    store: Store = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Show what a saved run learned and does: a picture of it as a file, or the list of what can be shown."""
    from promptlab import api

    opened = api.open(run, store=store)
    if what is None:
        return _list(opened, image, as_json)
    exhibit = _make(opened, what, image, name)
    if out is not None:
        from promptlab.plots import save

        save(exhibit, out, dark=dark)
    if as_json:
        import json

        return emit_json(json.loads(exhibit.to_json()))
    show_table(exhibit.title, ("check", "value", "control"), [(s.name, _number(s.value), _number(s.control)) for s in exhibit.sanity])
    typer.echo(exhibit.note)
    typer.echo(f"written to {out}." if out else "Give --out x.html or x.png for the picture.")


def _make(run: Any, what: str, images: list[Path] | None, name: str | None) -> Any:
    from promptlab.inspect import show, takes

    settings = {}
    if name is not None:
        if what in takes("name"):
            settings["name"] = name
        else:
            fail(f"--class goes with {', '.join(takes('name'))}; '{what}' shows all classes.")
    pictures = _pictures(run, images) if what in takes("image", "images") else None
    return show(run, what, pictures, **settings)


def _pictures(run: Any, images: list[Path] | None) -> Any:
    """The files; files in folders that are named like classes bring their labels along, so that margins can be shown."""
    if not images:
        return None
    from promptlab.answers import batch_of

    batch = batch_of([str(p) for p in images], run.method.backbone.spec)[0]
    names = run.method.task.classes.names
    if run.method.task.kind == "single" and all(p.parent.name in names for p in images):
        import dataclasses

        import torch

        batch = dataclasses.replace(batch, target=torch.tensor([names.index(p.parent.name) for p in images]))
    return batch


def _list(run: Any, images: list[Path] | None, as_json: bool) -> None:
    """What the run yields; without a picture a grey one stands in, since only the shapes matter."""
    from promptlab.inspect import available, takes

    pictures = _pictures(run, images)
    if pictures is None:
        pictures = _grey(run)
    rows = [(what, "needs --image" if what in takes("image", "images") else "", got if isinstance(got, str) else f"yes: {got.title}")
            for what, got in available(run, pictures).items()]
    if as_json:
        keys = ("what", "needs", "available", "about")
        return emit_json([dict(zip(keys, (w, n, t.startswith("yes: "), t.removeprefix("yes: ")))) for w, n, t in rows])
    show_table(f"Exhibits of {run.key}", ("exhibit", "", "is there"), rows, left=3)


def _grey(run: Any) -> Any:
    import torch

    from promptlab.data.batch import Batch

    size = run.method.backbone.spec.size
    return Batch.of(torch.zeros(1, 3, size, size))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
