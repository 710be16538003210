"""Flags made from knobs."""

from dataclasses import dataclass

import pytest

from promptlab.card import Train, knob, knobs
from promptlab.cli import flags
from promptlab.errors import BadHyper


@dataclass(frozen=True)
class Hyper(Train):
    n_ctx: int = knob(16, 1, 64, help="vectors")
    words: str | None = knob(None, help="initial words")
    deep: bool = knob(False, help="in every layer")
    layers: tuple = knob((1, 2), help="which")


@pytest.mark.parametrize(("name", "text", "value"), [
    ("n_ctx", "4", 4), ("lr", "1e-3", 1e-3), ("lr", "2", 2.0), ("words", "none", None),
    ("words", "a photo of a", "a photo of a"),
    ("deep", "true", True), ("deep", "off", False), ("layers", "0,3,5", (0, 3, 5)), ("layers", "7", (7,)), ("clip_norm", "none", None),
])
def test_parse(name, text, value):
    found = knobs(Hyper)[name].read(text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(("name", "text"), [("n_ctx", "four"), ("lr", "fast"), ("deep", "maybe")])
def test_parse_refuses_in_one_sentence(name, text):
    with pytest.raises(BadHyper, match=text):
        knobs(Hyper)[name].read(text)


@pytest.mark.parametrize(("choice", "presets", "backbone", "name"), [
    ("auto", {"demo": {}}, "pocket", "demo"), ("auto", {}, "pocket", None), ("auto", {"demo": {}}, "ViT-B-16", None),
    ("paper", {"demo": {}}, "pocket", None),
    ("demo", {"demo": {}}, "ViT-B-16", "demo"), ("paper-1shot", {"paper-1shot": {}}, "pocket", "paper-1shot"),
])
def test_preset_name(choice, presets, backbone, name):
    assert flags.preset_name(choice, presets, backbone) == name
