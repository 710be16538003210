"""TransportExplorer and AttentionExplorer: point at a place of the picture and see where its mass, or its attention, goes."""

import math
from typing import Any

import ipywidgets as ipw
import numpy as np
import torch
import traitlets

from promptlab.inspect import attention
from promptlab.inspect.subject import method_of
from promptlab.inspect.transport import local_cost, marginal_error
from promptlab.parts.transport import sinkhorn, uniformity
from promptlab.widgets import draw, pictures
from promptlab.widgets.base import Panel, choice, told
from promptlab.widgets.scene import Scene

PREDICTED = "(predicted)"
SIDE = 190


class _Explorer(Panel):
    """A method, pictures to choose from, and the one that is looked at (``index``)."""

    index = traitlets.Int(0)

    def __init__(self, run: Any, images: Any):
        self.run, self.method, self.split = run, method_of(run), pictures.split_of(images)
        self.order = pictures.spread(self.split, 16)
        self.classes = self.method.task.classes.names
        super().__init__()
        labels = pictures.captions(self.split, self.classes, self.order)
        self._gallery = Scene(label="pictures", html=draw.gallery(
            [(pictures.address(self.split, i, 44), n, str(i)) for i, n in zip(self.order, labels)], side=44))
        self._gallery.observe(lambda c: setattr(self, "index", int(c["new"])), names="picked")
        self._build()
        self.index = self.order[0]
        self._look(None)

    def _look(self, change: Any) -> None:
        raise NotImplementedError

    def _build(self) -> None:
        raise NotImplementedError

    def batch(self) -> Any:
        return next(self.split.take([self.index]).batches(1))


class TransportExplorer(_Explorer):
    """Traits: ``patch`` (region that is looked at), ``eps``, ``iterations``, ``name`` (class, "" = predicted), ``index`` (picture).

    ``plan`` [M, N] is the transport of the picture's regions to the prompts of the class; hovering over a region shows its row.
    """

    patch = traitlets.Int(0)
    eps = traitlets.Float(0.1)
    iterations = traitlets.Int(100)
    name = traitlets.Unicode("")

    def _build(self) -> None:
        self.plan: np.ndarray | None = None
        self.eps = float(getattr(self.method.hyper, "eps", 0.1))
        self.iterations = int(getattr(self.method.hyper, "max_iter", 100))
        self._class = choice("Class", [(PREDICTED, ""), *((n, n) for n in self.classes)])
        self._eps = ipw.FloatLogSlider(min=-3, max=1, step=0.05, value=self.eps, description="eps", readout_format=".3g")
        self._sweeps = ipw.IntSlider(min=1, max=200, value=min(200, self.iterations), description="sweeps")
        self._scene, self._row = Scene(label="where the mass of each prompt goes"), Scene(label="row of the plan")
        ipw.link((self, "name"), (self._class, "value"))
        ipw.link((self, "eps"), (self._eps, "value"))
        self._sweeps.observe(lambda c: setattr(self, "iterations", c["new"]), names="value")
        for event in ("hovered", "picked"):
            self._scene.observe(lambda c: setattr(self, "patch", int(c["new"].split("/")[-1])), names=event)
        self._cost: tuple[Any, ...] | None = None
        self.show(ipw.HBox([self._class, self._eps, self._sweeps]), self._scene, self._row, self._gallery)

    @traitlets.observe("index", "name")
    @told
    def _look(self, change: Any) -> None:
        self._cost = local_cost(self.method, self.batch(), self.name or None)
        self._transport()

    @traitlets.observe("eps", "iterations")
    @told
    def _again(self, change: Any) -> None:
        if getattr(self, "_cost", None) is not None:
            self._transport()

    def _transport(self) -> None:
        cost, grid, c, picture = self._cost
        done = sinkhorn(cost[None, None], self.eps, self.iterations, float(getattr(self.method.hyper, "thresh", 0.0)))
        plan = done.plan[0, 0]
        self.plan, self.grid = plan.cpu().numpy(), grid
        said = (f"'{draw.esc(self.classes[c])}': {int(done.sweeps[0])} sweeps, largest error of a marginal {marginal_error(plan):.2g}, "
                f"entropy {uniformity(plan):.4f} of the uniform plan's (1 = transport decided nothing).")
        self._picture, self._note = draw.uri(picture, SIDE), f"<p><small>{said}</small></p>"
        self._point(None)

    @traitlets.observe("patch")
    def _point(self, change: Any) -> None:
        if self.plan is None:
            return
        m = min(max(self.patch, 0), len(self.plan) - 1)
        shares = self.plan / self.plan.sum(0)
        maps = "".join(draw.overlay(self._picture, shares[:, n].reshape(self.grid), m, SIDE, f"prompt {n + 1}", tag=f"{n}/")
                       for n in range(shares.shape[1]))
        self._scene.html = f"<div>{maps}</div>{self._note}"
        row = self.plan[m] / max(float(self.plan[m].sum()), 1e-30)
        i, j = divmod(m, self.grid[1])
        self._row.html = (f"<small>region in row {i + 1}, column {j + 1}: share of its mass that goes to each prompt</small>"
                          + draw.bars([(f"prompt {n + 1}", float(v), []) for n, v in enumerate(row)], width=420))


class AttentionExplorer(_Explorer):
    """Traits: ``layer``, ``head`` (-1 = mean over heads), ``token`` (0 = the class token, then the patches, then learned tokens),
    ``when`` ("after" or "before" tuning), ``index`` (picture). ``row`` [T] is what the token attends to."""

    layer = traitlets.Int(0)
    head = traitlets.Int(-1)
    token = traitlets.Int(0)
    when = traitlets.Unicode("after")

    def _build(self) -> None:
        self.exhibit: Any = None
        self._when = choice("Tower", [("tuned", "after"), ("zero-shot", "before")])
        self._scene, self._grid, self._said = Scene(label="attention over the picture"), Scene(label="all layers and heads"), ipw.HTML()
        self._class_token = ipw.Button(description="class token", tooltip="show what the class token attends to")
        self._mean = ipw.Button(description="mean of heads")
        ipw.link((self, "when"), (self._when, "value"))
        self._class_token.on_click(lambda _: setattr(self, "token", 0))
        self._mean.on_click(lambda _: setattr(self, "head", -1))
        self._scene.observe(lambda c: setattr(self, "token", int(c["new"])), names="hovered")
        self._scene.observe(lambda c: setattr(self, "token", int(c["new"])), names="picked")
        self._grid.observe(self._cell, names="picked")
        self.show(ipw.HBox([self._when, self._class_token, self._mean]), self._said, ipw.HBox([self._scene, self._grid]), self._gallery)

    def _cell(self, change: Any) -> None:
        if change["new"]:
            layer, head = map(int, change["new"].split(","))
            with self.hold_trait_notifications():
                self.layer, self.head = layer, head

    @traitlets.observe("index")
    @told
    def _look(self, change: Any) -> None:
        self.exhibit = attention(self.method, self.batch())
        self.layer = min(self.layer, len(self.exhibit.arrays["after"]) - 1)
        self._picture = draw.uri(self.split.source.image(self.split.rows[self.index]), 260)
        self._draw(None)

    @property
    def pattern(self) -> np.ndarray:
        """[L, H, T, T], rows sum to one."""
        return self.exhibit.arrays[self.when]

    @property
    def row(self) -> np.ndarray:
        """What the token attends to in the chosen layer and head, [T]."""
        rows = self.pattern[self.layer, :, min(self.token, self.pattern.shape[-1] - 1)]
        return rows.mean(0) if self.head < 0 else rows[self.head]

    @traitlets.observe("layer", "head", "token", "when")
    @told
    def _draw(self, change: Any) -> None:
        if self.exhibit is None:
            return
        grid, lead = self.exhibit.settings["grid"], self.exhibit.settings["lead"]
        m = grid[0] * grid[1]
        row, token = self.row, self.token
        picked = token - lead if lead <= token < lead + m else None
        body = draw.overlay(self._picture, row[lead : lead + m].reshape(grid), picked, 260, pick=True, first=lead)
        extra = [(0, "class token"), *((lead + m + i, f"learned {i + 1}") for i in range(len(row) - lead - m))]
        body += draw.table(("token", "its share"), [(i, (n, f"{100 * row[i]:.1f} %")) for i, n in extra])
        self._scene.html = f'<div style="max-width:280px">{body}</div>'
        self._grid.html = self._heads(min(token, self.pattern.shape[-1] - 1), lead, m, grid)
        patch = f"patch {token - lead + 1}" if token < lead + m else f"learned token {token - lead - m + 1}"
        who = "the class token" if token < lead else patch
        head = "mean of heads" if self.head < 0 else f"head {self.head + 1}"
        self._said.value = f"<small>Layer {self.layer + 1}, {head}: what {who} attends to.</small>"

    def _heads(self, token: int, lead: int, m: int, grid: list[int]) -> str:
        """All layers (rows) and heads (columns) for this token, small, to choose from."""
        layers, heads = self.pattern.shape[:2]
        cell = max(20, min(44, math.floor(300 / max(layers, heads))))
        body = []
        for i, h in np.ndindex(layers, heads):
            values = torch.from_numpy(self.pattern[i, h, token, lead : lead + m].reshape(grid))
            grey = (255 * (1 - values / values.max().clamp_min(1e-12))).numpy().astype(np.uint8)
            edge = "#0072B2" if (i, h) == (self.layer, self.head) else draw.FAINT
            where = f'x="{h * (cell + 3) + 2}" y="{i * (cell + 3) + 2}" width="{cell}" height="{cell}"'
            picture = draw.uri(np.repeat(grey[..., None], 3, 2))
            said = f"<title>layer {i + 1}, head {h + 1}</title>"
            body.append(f'<g data-pick="{i},{h}"><image href="{picture}" {where} style="image-rendering:pixelated"/>'
                        f'<rect {where} fill="transparent" stroke="{edge}" stroke-width="2">{said}</rect></g>')
        return draw.svg(heads * (cell + 3) + 4, layers * (cell + 3) + 4, "".join(body), "layers by heads")
