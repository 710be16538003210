"""Golden cases: what an original implementation computed, read from ``<any>.json`` + ``<any>.npz`` and compared with ours.

All that varies comes from the JSON. The adapter of a case is found by its ``method`` (a registry key), never by a file name.
"""

import functools
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.golden import fill, rules

HERE = Path(__file__).parent
CASES = HERE / "cases"


@functools.lru_cache(maxsize=8)
def open_clip_model(arguments: str, seed: int) -> torch.nn.Module:
    """An open_clip model (constructor arguments as JSON) with the weights of ``seed``; shared, so never write to it."""
    from open_clip.model import CLIP

    return fill.fill(CLIP(**json.loads(arguments)).eval(), seed)


@functools.lru_cache(maxsize=8)
def wrapped(arguments: str, seed: int) -> Any:
    """The same model as a promptlab backbone."""
    return wrap(open_clip_model(arguments, seed))


def wrap(model: torch.nn.Module) -> Any:
    """A promptlab backbone over an open_clip model that the caller made."""
    from promptlab.backbones.load import wrap as wrap_model

    return wrap_model(model)


@dataclass(frozen=True)
class Case:
    """One entry of ``cases``. ``settings``, ``classnames``, ``prompt`` and ``outputs`` are as written in the JSON."""

    method: str
    source: str
    entry: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray] = field(repr=False)

    @property
    def name(self) -> str:
        return self.entry["name"]

    @property
    def id(self) -> str:
        return f"{self.source}-{self.name}"

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.entry.get("settings", {})

    @property
    def classnames(self) -> tuple[str, ...]:
        return tuple(self.entry["classnames"])

    @property
    def prompt(self) -> str | None:
        return self.entry.get("prompt")

    @property
    def labels(self) -> Tensor | None:
        """Class ids, int64."""
        labels = self.entry.get("labels")
        labels = self.array(labels["array"]) if isinstance(labels, Mapping) else labels
        return None if labels is None else torch.as_tensor(labels).long()

    @property
    def outputs(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(self.entry["outputs"])

    @property
    def wanted(self) -> tuple[str, ...]:
        """Names of the arrays that the adapter must give."""
        return tuple(o["array"] for o in self.outputs)

    def wants(self, name: str) -> bool:
        """Whether an array of that name, or one that ends in ``.name``, is asked for."""
        return any(w == name or w.endswith(f".{name}") for w in self.wanted)

    def named(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """``values`` under the names of ``wanted``: "logits" serves "logits", "end.logits" and whatever else ends in ".logits".

        The longest key that fits wins, so "grad.ctx" is not served by "ctx". A value may be a function, called only when asked for.
        """
        out = {}
        for array in self.wanted:
            fits = [k for k in values if array == k or array.endswith(f".{k}")]
            if fits:
                value = values[max(fits, key=len)]
                out[array] = value() if callable(value) else value
        return out

    def array(self, name: str) -> Any:
        """An array of the npz file as a tensor; texts stay an array of NumPy."""
        stored = self.arrays[name]
        return stored if stored.dtype.kind in "US" else torch.from_numpy(stored)

    @property
    def arguments(self) -> dict[str, Any] | None:
        """open_clip's constructor arguments; None for a case that needs no model."""
        about = self.entry["backbone"]
        if about["kind"] not in ("vit", "args", "none"):
            raise NotImplementedError(f"the harness knows no backbone kind {about['kind']!r}.")
        return {"vit": fill.VIT, "args": about.get("args"), "none": None}[about["kind"]]

    def open_clip(self, seed: int | None = None, **other: Any) -> torch.nn.Module:
        """A fresh open_clip model of the case (with other constructor arguments, another seed), free to be changed."""
        from open_clip.model import CLIP

        seed = self.entry["backbone"].get("seed", 0) if seed is None else seed
        return fill.fill(CLIP(**{**(self.arguments or fill.VIT), **other}).eval(), seed)

    def backbone(self, seed: int | None = None, **other: Any) -> Any:
        """The case's backbone as a :class:`Clip`; for the kind "none" a stand-in of the small ViT (``embed_dim=...`` fits it)."""
        seed = self.entry["backbone"].get("seed", 0) if seed is None else seed
        return wrapped(json.dumps({**(self.arguments or fill.VIT), **other}, sort_keys=True), seed)

    def images(self) -> Tensor:
        """Normalised pixels [B, 3, H, W]."""
        about = self.entry["images"]
        return self.array(about["array"]) if "array" in about else fill.images(about["batch"], about["size"], about.get("seed", 0))

    @property
    def learnables(self) -> dict[str, Tensor]:
        """The original's learnables; those that the JSON only describes in words ("init") are the adapter's to make."""
        return self._made("learnables")

    @property
    def inputs(self) -> dict[str, Tensor]:
        return self._made("inputs")

    def _made(self, group: str) -> dict[str, Tensor]:
        made: dict[str, Tensor] = {}
        for item in self.entry.get(group, ()):
            how = item.get("make", {"array": item["name"]})
            if "tensor" in how:
                made[item["name"]] = fill.tensor(how["tensor"], tuple(item["shape"]), how["scale"], how["seed"]) + how.get("plus", 0.0)
            elif "array" in how or (other := rules.of_another_case(how.get("rule", ""))) in self.arrays:
                made[item["name"]] = self.array(how["array"] if "array" in how else other)
            elif "rule" in how and not rules.of_the_model(how["rule"]):
                made[item["name"]] = rules.apply(how["rule"], made)
            if item["name"] in made and list(made[item["name"]].shape) != list(item["shape"]):
                raise AssertionError(f"{self.id}: {item['name']} came out as {list(made[item['name']].shape)}, not {item['shape']}.")
        return made


def load(folder: Path) -> list[Case]:
    """Every case of every JSON file of a folder that has a ``cases`` list."""
    found = []
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and "cases" in content:
            with np.load(path.with_suffix(".npz"), allow_pickle=False) as stored:
                arrays = dict(stored)
            found += [Case(content["method"], path.stem, entry, arrays) for entry in content["cases"]]
    return found


def has_adapter(method: str) -> bool:
    return (HERE / "adapters" / f"{method}.py").is_file()


def run(case: Case) -> dict[str, Any]:
    """What the adapter of the case's method computes."""
    return importlib.import_module(f"tests.golden.adapters.{case.method}").run(case)


def problems(case: Case, got: Mapping[str, Any]) -> list[str]:
    """One line for every array of the case that is missing, of another shape, or too far off."""
    return [line for about in case.outputs if (line := _problem(about, got.get(about["array"]), case.arrays[about["array"]]))]


def _problem(about: Mapping[str, Any], got: Any, want: np.ndarray) -> str | None:
    name = about["array"]
    if got is None:
        return f"{name}: the adapter gives no such array"
    got = got.detach().cpu().numpy() if isinstance(got, Tensor) else np.asarray(got)
    if got.shape != want.shape:
        return f"{name}: shape {list(got.shape)} instead of {list(want.shape)}"
    if want.dtype.kind in "US":
        wrong = np.argwhere(got.astype(want.dtype.kind) != want)
        return f"{name}: {len(wrong)} texts differ, the first at {wrong[0].tolist()}" if len(wrong) else None
    got, want = got.astype(np.float64), want.astype(np.float64)
    with np.errstate(invalid="ignore"):
        off = np.where((got == want) | (np.isnan(got) & np.isnan(want)), 0.0, np.abs(got - want))
    over = off / (about["atol"] + about["rtol"] * np.abs(want) + 1e-300)
    if np.all(over <= 1.0):  # false for nan as well
        return None
    at = np.unravel_index(np.argmax(np.nan_to_num(over, nan=np.inf)), over.shape)
    return (f"{name}: {int(np.sum(~(over <= 1.0)))} of {over.size} values too far off; worst at {[int(i) for i in at]}: "
            f"got {got[at]:.8g}, want {want[at]:.8g}, {over[at]:.3g} times the tolerance (rtol {about['rtol']:g}, atol {about['atol']:g})")
