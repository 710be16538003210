"""One run of a tower: which edits and taps apply where, the weights as edited, and what was seen."""

import fnmatch
from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor

from promptlab.backbones.points import Edit, report, resolve, watched
from promptlab.errors import BadData

NOT_LINEAR = (".token", ".pos", ".cls", ".reg")  # two-dimensional weights that are tables


TABLES = (".token", ".pos", ".cls", ".reg")  # two-dimensional weights that are no linear maps


class Session:
    """Resolved once, used for one run, then dropped: nothing is registered on a tower, so nothing can leak.

    Edits at one name run in list order. An edited weight is computed once, here, in float32, and cast to what the tower computes in.
    """

    def __init__(self, points: Mapping[str, str], weights: Mapping[str, Tensor], edits: Sequence[Edit] = (), taps: Sequence[str] = ()):
        self._weights, self._edits, self._made = weights, {}, {}
        names = [*points, *weights]
        for edit in edits:
            for name in resolve(edit.at, names):
                self._edits.setdefault(name, []).append(edit)
        self.taps = {name for tap in taps for name in resolve(tap, points)}
        for glob in watched():
            self.taps.update(fnmatch.filter(points, glob))
        self.seen: dict[str, Tensor] = {}
        for name in [n for n, found in self._edits.items() if n in weights and not all(e.branch for e in found)]:
            self._made[name] = self._edited_weight(name)
        for name in [n for n, found in self._edits.items() if any(e.branch for e in found)]:
            if name not in weights or weights[name].ndim != 2 or name.endswith(TABLES):
                raise BadData(f"an edit with branch=True adds to the output of a linear map; '{name}' is not the weight of one.")

    def _edited_weight(self, name: str) -> Tensor:
        frozen = self._weights[name]
        w = frozen.float()
        for edit in self._edits[name]:
            w = w if edit.branch else edit.do(w)
        if w.shape != frozen.shape:
            raise BadData(f"the edit at '{name}' returned shape {list(w.shape)}; a weight keeps its shape {list(frozen.shape)}.")
        return w.to(frozen.dtype)

    def edits(self, name: str) -> list[Edit]:
        """Edits at a point or weight, in the order given."""
        return self._edits.get(name, [])

    def edited_points(self) -> dict[str, list[Edit]]:
        """All edits of values (not of weights)."""
        return {name: edits for name, edits in self._edits.items() if name not in self._weights}

    def at(self, name: str, x: Tensor) -> Tensor:
        """Fire a point: apply its edits, keep the value if it is tapped or watched."""
        for edit in self._edits.get(name, ()):
            x = edit(x).to(x.dtype)
        if name in self.taps:
            self.seen[name] = x
            report(name, x)
        return x

    def w(self, name: str) -> Tensor | None:
        """The weight as edited; None where the tower has none of that name (a linear map without bias)."""
        return self._made[name] if name in self._made else self._weights.get(name)

    def linear(self, name: str, x: Tensor) -> Tensor:
        """x [..., in] → [..., out] in the weight's own precision, plus what branch edits of the weight make of x."""
        w = self.w(name)
        y = F.linear(x.to(w.dtype), w, self.w(f"{name}.bias"))
        for edit in self._edits.get(name, ()):
            y = y + edit.do(x).to(y.dtype) if edit.branch else y
        return y

    def norm(self, name: str, x: Tensor, eps: float) -> Tensor:
        """Layer norm over the last axis, in float32; the identity where the tower has none of that name."""
        w = self.w(name)
        return x if w is None else F.layer_norm(x.float(), x.shape[-1:], w, self.w(f"{name}.bias"), eps)
