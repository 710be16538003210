"""State of a fit on disk: learnables, optimiser, random generators, epoch. Written whole or not at all; no pickle."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from promptlab.errors import BadData
from promptlab.files import read_tensors, replacing, write_json, write_tensors


@dataclass
class Checkpoint:
    """One slot a phase of the fit, in ``folder``; only the newest epoch of each is kept.

    The JSON names its tensor file, so a kill between the two writes leaves the older pair in force.
    """

    folder: Path

    def save(self, stage: int, epoch: int, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        name = f"stage{stage}-{epoch}.safetensors"
        write_tensors(self.folder / name, dict(tensors))
        write_json(self.folder / f"stage{stage}.json", {"epoch": epoch, "tensors": name, "meta": meta})
        for old in self.folder.glob(f"stage{stage}-*.safetensors"):
            if old.name != name:
                old.unlink()

    def load(self, stage: int) -> tuple[int, dict[str, Tensor], dict[str, Any]] | None:
        """(epochs done, tensors, meta) of a phase, or None if it never finished an epoch."""
        path = self.folder / f"stage{stage}.json"
        if not path.is_file():
            return None
        slot = json.loads(path.read_text(encoding="utf-8"))
        return slot["epoch"], read_tensors(self.folder / slot["tensors"]), slot["meta"]

    def clear(self) -> None:
        """Forget everything (the run is complete)."""
        for path in [*self.folder.glob("stage*.safetensors"), *self.folder.glob("stage*.json")]:
            path.unlink()


def snapshot(method: nn.Module) -> dict[str, Tensor]:
    """A copy of the learnables."""
    return {k: v.detach().clone() for k, v in method.state_dict().items()}


def restore(method: nn.Module, state: Mapping[str, Tensor], learnable: set[str] | None = None) -> None:
    """Put ``state`` into a method, in place where names and shapes agree; names that do not exist yet (state that is born in
    ``fit``: caches, ranks) are created, as parameters when listed in ``learnable``, else as buffers. Others are removed."""
    device = getattr(method.backbone, "device", torch.device("cpu"))
    current = method.state_dict()
    for name in set(current) - set(state):
        owner, leaf = _owner(method, name)
        (owner._parameters if leaf in owner._parameters else owner._buffers)[leaf] = None
    for name, value in state.items():
        if name in current and current[name].shape == value.shape:
            with torch.no_grad():
                current[name].copy_(value)
            continue
        owner, leaf = _owner(method, name)
        value = value.detach().clone().to(device)
        is_learnable = leaf in owner._parameters or (name in learnable if learnable is not None else value.is_floating_point())
        owner._parameters.pop(leaf, None)
        owner._buffers.pop(leaf, None)
        if is_learnable and leaf not in owner._buffers:
            owner.register_parameter(leaf, nn.Parameter(value))
        else:
            owner.register_buffer(leaf, value)


def _owner(method: nn.Module, name: str) -> tuple[nn.Module, str]:
    *path, leaf = name.split(".")
    owner = method
    for part in path:
        if part not in owner._modules:
            owner.add_module(part, nn.Module())
        owner = owner._modules[part]
    return owner, leaf


def save_optimiser(optimiser: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The optimiser's state as (tensors, plain data)."""
    state = optimiser.state_dict()
    tensors, scalars = {}, {}
    for i, entry in state["state"].items():
        for key, value in entry.items():
            if isinstance(value, Tensor):
                tensors[f"optimiser/{i}/{key}"] = value
            elif value is not None:
                scalars[f"{i}/{key}"] = value
    return tensors, {"scalars": scalars, "groups": [{k: v for k, v in g.items() if k != "params"} for g in state["param_groups"]]}


def load_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """The inverse of :func:`save_optimiser`, for an optimiser over the same parameters."""
    state: dict[int, dict[str, Any]] = {}
    found = {k.removeprefix("optimiser/"): v for k, v in tensors.items() if k.startswith("optimiser/")}
    for name, value in {**found, **meta["scalars"]}.items():
        i, key = name.split("/", 1)
        state.setdefault(int(i), {})[key] = value
    now = optimiser.state_dict()
    if len(meta["groups"]) != len(now["param_groups"]):
        raise BadData("the checkpoint belongs to another optimiser; delete its folder or fit with refit=True.")
    groups = [{**g, **{k: tuple(v) if isinstance(v, list) else v for k, v in old.items()}}
              for g, old in zip(now["param_groups"], meta["groups"], strict=True)]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def save_random() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The states of the generators of torch, Python and NumPy as (tensors, plain data)."""
    version, words, gauss = random.getstate()
    kind, keys, pos, has_gauss, cached = np.random.get_state()
    tensors = {"random/torch": torch.get_rng_state(), "random/numpy": torch.from_numpy(keys.astype(np.int64)),
               "random/python": torch.tensor(words, dtype=torch.int64)}
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    # gauss is None or a float: JSON keeps floats exactly (shortest round-trip form)
    return tensors, {"python": [version, gauss], "numpy": [kind, pos, has_gauss, cached]}


def load_random(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """The inverse of :func:`save_random`."""
    version, gauss = meta["python"]
    kind, pos, has_gauss, cached = meta["numpy"]
    torch.set_rng_state(tensors["random/torch"])
    random.setstate((version, tuple(tensors["random/python"].tolist()), gauss))
    np.random.set_state((kind, tensors["random/numpy"].numpy().astype(np.uint32), pos, has_gauss, cached))
    if "random/cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random/cuda"])


__all__ = ["Checkpoint", "load_optimiser", "load_random", "replacing", "restore", "save_optimiser", "save_random", "snapshot"]
