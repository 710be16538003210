"""What handlers hand to a screen."""

from typing import Any

NARROW = 520  # px; a page below it is a phone: panels stand under one another


class Up(dict):
    """Properties of a component, such as ``Up(choices=[...], value=...)``; a plain value sets only the value."""


View = dict[str, Any]


def tab(name: str) -> View:
    """Go to a screen."""
    return {"tabs": Up(selected=name)}
