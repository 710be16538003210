"""Where the shipped files (pocket weights, sprite atlas) lie: beside the package in a checkout, inside it in an installed wheel."""

import json
from pathlib import Path

from promptlab.errors import BadData


def assets_dir() -> Path:
    """The folder of shipped files."""
    here = Path(__file__).resolve().parent
    for folder in (here / "assets", here.parent / "assets"):
        if (folder / "sprites.json").is_file():
            return folder
    raise BadData(f"The shipped assets were not found in {here / 'assets'} or {here.parent / 'assets'}; reinstall promptlab-vlm.")


def asset(name: str) -> Path:
    """The path of one shipped file; an error that lists what is there if it is missing."""
    path = assets_dir() / name
    if not path.is_file():
        there = ", ".join(sorted(p.name for p in path.parent.iterdir() if p.is_file()))
        raise BadData(f"No shipped file {name!r}; there are: {there}.")
    return path


def golden_cases() -> dict[str, int]:
    """Method id → number of cases in which the tests hold it to numbers of its original implementation."""
    return json.loads(asset("golden.json").read_text(encoding="utf-8"))
