"""describe: have a language model of your choice write descriptions of classes."""

import os
from pathlib import Path
from typing import Annotated

import typer

from promptlab.cli.common import console, emit_json, fail, guarded
from promptlab.cli.show import AsJson

app = typer.Typer()


@app.command()
@guarded
def describe(
    out: Annotated[Path, typer.Option(help="JSON file to write; classes that it already describes are left alone.")],
    endpoint: Annotated[str, typer.Option(help="Address of an OpenAI-compatible server, such as http://localhost:8000/v1.")],
    model: Annotated[str, typer.Option(help="The model's name there.")],
    classes: Annotated[str | None, typer.Option(help="Class names with commas between them.", show_default=False)] = None,
    data: Annotated[str | None, typer.Option(help="Or the data whose classes are described, such as world:animals or a folder.")] = None,
    kind: Annotated[str, typer.Option(help="descriptors, sentences or both.")] = "both",
    samples: Annotated[int, typer.Option(min=1, max=100, help="Answers to each question.")] = 1,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="Of the answers.")] = 0.7,
    key_env: Annotated[str | None, typer.Option(help="Environment variable that holds the server's key; it is never stored.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a language model what classes look like, and write the answers for cupl, vcd and waffleclip."""
    from promptlab.data.asking import KINDS, Endpoint
    from promptlab.data.asking import describe as asked

    if kind not in (*KINDS, "both"):
        fail(f"--kind is descriptors, sentences or both; got '{kind}'.")
    if key_env and not os.environ.get(key_env):
        fail(f"the environment variable {key_env} is empty; put the key of {endpoint} into it, or leave --key-env out.")
    names = _names(classes, data)
    server = Endpoint(endpoint, model, os.environ.get(key_env) if key_env else None, temperature, samples=samples)
    screen = console()
    for i, (name, store) in enumerate(asked(names, server, kinds=KINDS if kind == "both" else (kind,), path=out), start=1):
        found = {k: store.of([name], k)[0] for k in KINDS}
        if as_json:
            emit_json({"class": name, **{k: list(v) for k, v in found.items()}}, line=True)
        else:
            screen.print(f"{i:>4} of {len(names)}  {name}: {len(found['descriptors'])} descriptors, {len(found['sentences'])} sentences",
                         markup=False)
    if not as_json:
        screen.print(f"written to {out}; use it as --descriptions {out}.", markup=False)


def _names(classes: str | None, data: str | None) -> list[str]:
    if (classes is None) == (data is None):
        fail("give either --classes 'fox, owl' or --data.")
    if classes is not None:
        names = [n.strip() for n in classes.split(",") if n.strip()]
        return names or fail("--classes holds no name.")
    from promptlab.data.sources import open_data

    return list(open_data(data).classes.names)
