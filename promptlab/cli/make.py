"""Commands that run for long: pretrain."""

from pathlib import Path
from typing import Annotated

import typer

from promptlab.cli.common import console, emit_json, fail, guarded
from promptlab.cli.show import AsJson

app = typer.Typer()


@app.command()
@guarded
def pretrain(
    out: Annotated[Path, typer.Option(help="Folder of the checkpoint and of pocket.safetensors; a run there goes on.")],
    minutes: Annotated[float | None, typer.Option(min=0, help="Minutes of training time; the schedule follows the clock.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Exactly this many steps instead; same seed, same numbers.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the pictures and the weights.")] = 0,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in the folder.")] = True,
    as_json: AsJson = False,
) -> None:
    """Train the pocket backbone on the picture world; prints zero-shot accuracy per style as it goes."""
    from promptlab.pretrain import pretrain as events

    if (minutes is None) == (steps is None):
        fail("give either --minutes or --steps.")
    screen = console()
    for event in events(out, minutes=minutes, steps=steps, device=device, seed=seed, resume=resume):
        if as_json:
            emit_json(event, line=True)
        else:
            words = [f"{k} {v}" for k, v in event.items() if k != "kind"]
            screen.print(f"[bold]{event['kind']:>9}[/bold]  {'  '.join(words)}", soft_wrap=True)
