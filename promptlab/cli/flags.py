"""Flags made from cards: a command's signature is put together from its fixed options and the knobs of one method."""

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Optional

import typer

from promptlab.card import Knob, Train, auto_preset, knobs


def command_for(body: Callable[..., Any], hyper: type, fixed: Mapping[str, inspect.Parameter], doc: str) -> Callable[..., Any]:
    """A function with the ``fixed`` parameters and one option per knob of ``hyper``.

    It calls ``body(values, **fixed arguments)`` with the knobs that the user gave (typer reads its signature).
    """
    known = {name: knob for name, knob in knobs(hyper).items() if name not in fixed}

    def command(**given: Any) -> Any:
        values = {name: _value(known[name], given[name]) for name in known if given.get(name) is not None}
        return body(values, **{name: value for name, value in given.items() if name not in known})

    extra = {name: _option(knob, name in knobs(Train)) for name, knob in known.items()}
    parameters = [*fixed.values(), *extra.values()]
    command.__signature__ = inspect.Signature(parameters)
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = doc
    return command


def preset_name(choice: str, presets: Mapping[str, Mapping[str, Any]], backbone: str) -> str | None:
    """The preset that ``--preset`` means: "auto" is that of the backbone (:func:`auto_preset`), "paper" none."""
    if choice == "auto":
        return auto_preset(presets, backbone)
    return None if choice == "paper" and "paper" not in presets else choice


def _value(knob: Knob, value: Any) -> Any:
    return knob.read(value) if isinstance(value, str) else value


def _option(knob: Knob, training: bool) -> inspect.Parameter:
    kind = {int: int, float: float}.get(knob.type, str)
    span = f" [{'' if knob.low is None else f'{knob.low:g}'}..{'' if knob.high is None else f'{knob.high:g}'}]"
    limits = f" [{'|'.join(map(str, knob.choices))}]" if knob.choices else span if (knob.low, knob.high) != (None, None) else ""
    help_text = f"{knob.help}{limits} (paper: {knob.default})"
    panel = "Training" if training else "Method"
    option = typer.Option(f"--{knob.name.replace('_', '-')}", help=help_text, show_default=False, rich_help_panel=panel)
    return inspect.Parameter(knob.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[Optional[kind], option])  # noqa: UP007, UP045
