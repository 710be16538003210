"""Compare: runs side by side, with everything linked. A row or bar chooses the method, a cell of its confusion the pictures."""

from collections.abc import Sequence
from typing import Any

import ipywidgets as ipw
import numpy as np
import traitlets

from promptlab import metrics
from promptlab.compare import Comparison, scores
from promptlab.errors import BadData
from promptlab.evaluate import Report
from promptlab.runs import Run
from promptlab.shots import shots_of
from promptlab.widgets import draw, pictures
from promptlab.widgets.base import Panel, choice, told
from promptlab.widgets.scene import Scene

SHOWN = 18  # pictures of one question


class Compare(Panel):
    """Traits: ``sort`` (column), ``down`` (largest first), ``chosen`` (row of the comparison), ``cell`` ((true, answer) or ()),
    ``test`` (name of the test set), ``against`` (row that the disagreement grid compares with).

    ``runs``: a comparison, or runs. ``task``: the data they were fitted on; without it, cells say numbers and show no pictures.
    """

    sort = traitlets.Unicode("")
    down = traitlets.Bool(True)
    chosen = traitlets.Int(0)
    against = traitlets.Int(0)
    cell = traitlets.Tuple()
    test = traitlets.Unicode("")

    def __init__(self, runs: Comparison | Sequence[Run], task: Any = None):
        self.comparison = runs if isinstance(runs, Comparison) else Comparison(tuple(runs))
        if not self.comparison.runs:
            raise BadData("there is nothing to compare yet; fit a method first.")
        self.task = None if task is None else shots_of(task)
        self._by_id = {r.id: r for r in self.comparison.runs}
        self.rows = self.comparison.rows
        super().__init__()
        self._build()
        self.test = next(iter(self.comparison.runs[0].reports), "")
        self.chosen = max(range(len(self.rows)), key=lambda i: self.rows[i].get(self.columns[0]) or 0) if self.columns else 0
        self.against = int(self.chosen == 0 and len(self.rows) > 1)  # zero-shot, or where that is the best, the next: never with itself
        self._draw(None)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.comparison.columns

    def _build(self) -> None:
        self._table, self._bars, self._matrix = Scene(label="comparison"), Scene(label="scores, a dot a seed"), Scene(label="confusion")
        self._grid, self._said = Scene(label="pictures"), ipw.HTML()
        names = [(r["method"], i) for i, r in enumerate(self.rows)]
        self._against, self._tests = choice("Against", names, 0), choice("Test set", list(self.comparison.runs[0].reports) or [""])
        ipw.link((self, "against"), (self._against, "value"))
        ipw.dlink((self._tests, "value"), (self, "test"))
        self._table.observe(self._table_picked, names="picked")
        self._bars.observe(lambda c: self._choose(c["new"]), names="picked")
        self._matrix.observe(self._cell_picked, names="picked")
        self.show(self._table, self._bars, ipw.HBox([self._tests, self._against]), self._said, self._matrix, self._grid)

    def _table_picked(self, change: Any) -> None:
        value = change["new"]
        if not value.startswith("sort:"):
            return self._choose(value)
        column = value.removeprefix("sort:")
        self.down = not self.down if column == self.sort else True
        self.sort = column
        self._table.picked = ""
        return None

    def _choose(self, value: str) -> None:
        if value:
            self.chosen = int(value)

    def _cell_picked(self, change: Any) -> None:
        self.cell = tuple(int(v) for v in change["new"].split(",")) if change["new"] else ()

    # ---- what follows from the traits -------------------------------------------------------------------------------

    def report(self, row: int) -> Report | None:
        """The report of a row's first seed on the chosen test set."""
        return self._by_id[self.rows[row]["runs"][0]].reports.get(self.test)

    def order(self) -> list[int]:
        """Rows as the table shows them."""
        head, body = self.comparison.cells()
        if self.sort not in head:
            return list(range(len(body)))
        place = head.index(self.sort)
        if place == 0:
            return sorted(range(len(body)), key=lambda i: body[i][0], reverse=not self.down)
        return sorted(range(len(body)), key=lambda i: _number(body[i][place]), reverse=self.down)

    def asked(self) -> tuple[np.ndarray, np.ndarray, str]:
        """(rows of the pictures, the chosen method's answers, what is asked), by the cell or else the disagreement."""
        ours, other = self.report(self.chosen), self.report(self.against)
        p = ours.predictions
        answer, names = p["pred"].argmax(1), self.names
        if self.cell:
            true, said = self.cell
            hit = (p["target"] == true) & (answer == said)
            return p["row"][hit], answer[hit], f"{names[true]} answered as {names[said]}: {int(hit.sum())} pictures"
        here, there = self.rows[self.chosen]["method"], self.rows[self.against]["method"]
        if other is None or not np.array_equal(other.predictions["row"], p["row"]):
            return p["row"][:0], answer[:0], f"{there} has no answers on this test set"
        hit = (answer == p["target"]) & (other.predictions["pred"].argmax(1) != p["target"])
        lost = (answer != p["target"]) & (other.predictions["pred"].argmax(1) == p["target"])
        both = f"{here} right and {there} wrong: {int(hit.sum())} pictures (the other way round: {int(lost.sum())})"
        return p["row"][hit], answer[hit], both

    @property
    def names(self) -> tuple[str, ...]:
        run = self._by_id[self.rows[self.chosen]["runs"][0]]
        if self.task is not None:
            found = next((t for t in self.task.draw(run.meta["seed"])[1] if t.name == self.test), None)
            if found is not None:
                return found.task.classes.names
        c = self.report(self.chosen).protocol["classes"]
        return run.classes.names if len(run.classes) == c else tuple(f"class {i}" for i in range(c))

    def split(self) -> Any:
        """The pictures of the chosen test set, where the task was given."""
        if self.task is None:
            return None
        tests = self.task.draw(self._by_id[self.rows[self.chosen]["runs"][0]].meta["seed"])[1]
        return next((t.split for t in tests if t.name == self.test), None)

    @traitlets.observe("sort", "down", "chosen", "against", "cell", "test")
    @told
    def _draw(self, change: Any) -> None:
        if not self.test:
            self._table.html = self.comparison._repr_html_()
            return
        head, body = self.comparison.cells()
        self._table.html = draw.table(head, [(i, body[i]) for i in self.order()], self.chosen, self.sort, self.down)
        self._table.html += f"<small>{draw.esc(self.comparison.legend)}</small>"
        column = self.test if self.test in self.columns else self.columns[0]
        self._bars.html = draw.bars([(r["method"], r[column] or 0.0, self._dots(r, column)) for r in self.rows], self.chosen)
        report = self.report(self.chosen)
        if report is None or report.predictions["pred"].ndim != 2 or report.predictions["target"].ndim != 1:
            self._matrix.html, self._grid.html, self._said.value = "", "", "No confusion for this method on this test set."
            return
        counts = metrics.confusion(report.predictions["pred"], report.predictions["target"]).numpy()
        self._matrix.html = draw.matrix(counts, self.names, self.cell or None)
        self._pictures()

    def _dots(self, row: dict[str, Any], column: str) -> list[float]:
        return [v for r in row["runs"] if (v := scores(self._by_id[r]).get(column)) is not None]

    def _pictures(self) -> None:
        rows, answer, question = self.asked()
        self._said.value = f"<b>{draw.esc(question)}</b>"
        split = self.split()
        if split is None:
            self._grid.html = "<p>Give the task to see the pictures.</p>"
            return
        place = {row: i for i, row in enumerate(split.rows)}
        found = [(place[int(r)], int(a)) for r, a in zip(rows[:SHOWN], answer[:SHOWN]) if int(r) in place]
        self._grid.html = draw.gallery([(pictures.address(split, i), self.names[a], "") for i, a in found])


def _number(text: str) -> float:
    """The number that a cell begins with; what has none comes last."""
    try:
        return float(text.split(" ")[0].replace(",", ""))
    except ValueError:
        return -np.inf
