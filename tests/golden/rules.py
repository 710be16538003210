"""The sentences by which a golden case makes inputs that no single named tensor can say."""

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.golden import fill

NUMBER = r"[0-9.]+(?:e-?[0-9]+)?"
PICTURES = re.compile(rf"(?P<factor>{NUMBER})?\s*\*?\s*images\((?P<args>[^)]*)\)(?P<cut>\[[^\]]*\])?")


def apply(rule: str, known: Mapping[str, Tensor]) -> Tensor:
    """The tensor that ``rule`` describes; ``known`` holds the inputs listed before it."""
    for make in (_pictures, _unit_rows, _class_rows, _mean_softmax, _reordered, _walk):
        if (made := make(rule, known)) is not None:
            return made
    raise NotImplementedError(f"no rule of tests/golden/rules.py reads {rule!r}; teach it that sentence.")


def _pictures(rule: str, known: Mapping[str, Tensor]) -> Tensor | None:
    """``images(32, 64, 100) + 0.5 images(32, 64, 200)``, each with an optional ``[:, :, :64, :64]``."""
    if PICTURES.sub("", rule).strip(" +"):
        return None
    total = torch.zeros(())
    for found in PICTURES.finditer(rule):
        part = fill.images(*(int(a) for a in found["args"].split(",")))
        if found["cut"]:
            part = part[tuple(slice(*(int(e) if e.strip() else None for e in axis.split(":"))) for axis in found["cut"][1:-1].split(","))]
        total = total + (float(found["factor"]) if found["factor"] else 1.0) * part
    return total


def _unit_rows(rule: str, known: Mapping[str, Tensor]) -> Tensor | None:
    """``name[k] = raw[k] / ||raw[k]||``."""
    found = re.fullmatch(r"\S+\[(\w)\] = (\S+)\[\1\] / \|\|\2\[\1\]\|\|", rule.strip())
    return found and F.normalize(known[found[2]], dim=-1)


def of_the_model(rule: str) -> bool:
    """Whether a rule speaks of features that the case's model gives; its adapter makes those."""
    return "feature of" in rule


def _class_rows(rule: str, known: Mapping[str, Tensor]) -> Tensor | None:
    """``x[i] = 20 v_i / ||v_i|| with v_i = 0.1 a[y_i] + 1.5 b[y_i] + 1.0 noise[i] and y_i = floor(i / 4)``."""
    found = re.fullmatch(rf"\S+\[i\] = ({NUMBER} )?v_i / \|\|v_i\|\| with v_i = (.*) and y_i = floor\(i / (\d+)\)", rule.strip())
    if not found:
        return None
    terms = re.findall(rf"({NUMBER}) (\S+)\[(y_i|i)\]", found[2])
    rows = next(len(known[name]) for _, name, index in terms if index == "i")
    label = torch.arange(rows) // int(found[3])
    v = sum(float(factor) * (known[name] if index == "i" else known[name][label]) for factor, name, index in terms)
    return float(found[1] or 1) * F.normalize(v, dim=-1)


def _mean_softmax(rule: str, known: Mapping[str, Tensor]) -> Tensor | None:
    """``p = (softmax(logits.0) + softmax(logits.1)) / 2, softmax over classes``."""
    found = re.fullmatch(r"\S+ = \((.*)\) / (\d+), softmax over classes", rule.strip())
    return found and sum(known[name].softmax(-1) for name in re.findall(r"softmax\(([^)]+)\)", found[1])) / int(found[2])


def _reordered(rule: str, known: Mapping[str, Tensor]) -> Tensor | None:
    """``ordered_stream[i] = stream[order[i]]``."""
    found = re.fullmatch(r"\S+\[i\] = (\S+)\[(\S+)\[i\]\]", rule.strip())
    return found and known[found[1]][known[found[2]].long()]


def of_another_case(rule: str) -> str | None:
    """``the input texts of the case cupl``: the name of that input, which is an array of the same file."""
    found = re.fullmatch(r"the input (\S+) of the case \S+", rule.strip())
    return found and found[1]


def _walk(rule: str, known: Mapping[str, Tensor]) -> Tensor | None:
    """``x[k] = tensor("a", (4, 128), 0.1, 0) + sum over j = 0..k of tensor("b", (10, 4, 128), 0.02, 0)[j]``."""
    made = r'tensor\("(\S+)", \(([\d, ]+)\), ([0-9.e-]+), (\d+)\)'
    found = re.fullmatch(rf"\S+\[(\w)\] = {made} \+ sum over (\w) = 0\.\.\1 of {made}\[\6\]", rule.strip())
    if not found:
        return None
    start, steps = (fill.tensor(name, tuple(int(n) for n in shape.split(",") if n.strip()), float(scale), int(seed))
                    for name, shape, scale, seed in (found.group(2, 3, 4, 5), found.group(7, 8, 9, 10)))
    return start + steps.cumsum(0)
