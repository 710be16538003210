"""evaluate and predict: what a saved run answers."""

from pathlib import Path
from typing import Annotated, Any

import typer

from promptlab.cli.common import emit_json, guarded, show_table
from promptlab.cli.show import AsJson
from promptlab.cli.train import DATA_HELP

app = typer.Typer()
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id (or its beginning), its folder, or a .plab file.")]
Store = Annotated[Path, typer.Option("--out", help="Folder of the runs.")]


@app.command()
@guarded
def evaluate(run: RunName, data: Annotated[str, typer.Option(help=DATA_HELP, show_default=False)], out: Store = Path("runs"),
             as_json: AsJson = False) -> None:
    """Judge a saved run on all test pictures of some data."""
    from promptlab import api
    from promptlab.answers import scalars

    report = api.evaluate(api.open(run, store=out), data)
    if as_json:
        return emit_json(report.to_json())
    rows = [(name, f"{100 * value:.1f} %") for name, value in scalars(report.metrics).items()]
    show_table(f"{run} on {data}: {report.protocol['pictures']} pictures, {report.seconds:.1f} s", ("metric", "value"), rows)


Images = Annotated[list[Path], typer.Argument(help="Picture files.", show_default=False)]


@app.command()
@guarded
def predict(run: RunName, images: Images, out: Store = Path("runs"),
            top: Annotated[int, typer.Option(min=1, help="How many names to print.")] = 5, as_json: AsJson = False) -> None:
    """Answer for pictures with a saved run."""
    from promptlab import api

    found = api.open(run, store=out).predict([str(p) for p in images], k=top)
    if as_json:
        return emit_json([{"image": str(p), "answer": f} for p, f in zip(images, found, strict=True)])
    show_table("", ("picture", *(f"{i + 1}." for i in range(top))), [(p.name, *_names(f, top)) for p, f in zip(images, found, strict=True)],
               left=top + 1)


def _names(found: Any, top: int) -> list[str]:
    if "labels" in found:  # a label map: the share of the picture that each name covers
        total = found["labels"].size
        shares = {found["names"][i]: float((found["labels"] == i).sum()) / total for i in set(found["labels"].flatten().tolist())}
        found = dict(sorted(shares.items(), key=lambda item: -item[1]))
    texts = [f"{name} {100 * p:.0f} %" for name, p in list(found.items())[:top]]
    return texts + [""] * (top - len(texts))
