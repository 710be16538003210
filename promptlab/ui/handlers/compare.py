"""Screen 4, Compare: what differs more than by luck, where methods are confused, where they disagree, and what new classes cost."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from promptlab.compare import Comparison
from promptlab.errors import BadData
from promptlab.inspect import confusion
from promptlab.plots import linked
from promptlab.ui import core, says
from promptlab.ui.handlers import checks, frame
from promptlab.ui.handlers.shots import source_thumb
from promptlab.ui.handlers.views import Up, View
from promptlab.ui.pieces import act, chip, empty, grid, note, percent, points, t, table
from promptlab.ui.session import Session

MOST = 24  # pictures of a cell or of a disagreement
COLUMNS = {
    "accuracy": "accuracy %",
    "gain": "over zero-shot",
    "macro": "macro F1 %",
    "ece": "ECE %",
    "trainable": "trainable",
    "seconds": "seconds",
    "peak": "peak MB",
    "seeds": "seeds",
}


def show(session: Session) -> View:
    """The whole screen."""
    if session.zero is None or session.zero.report is None:
        return {
            "compare_table": empty(says.GATE, act("Choose shots", "go", kind="pl-main", to="shots")),
            "compare_bars": None,
            "compare_more": Up(visible=False),
            "compare_next": "",
        }
    own = session.runs
    nudge = {
        0: empty(says.NO_RUN, act("Train a method", "go", kind="pl-main", to="train")),
        1: note(says.ONE_RUN) + act("Train another", "go", kind="pl-small", to="train"),
    }.get(len({r.key for r in own}), "")
    options = frame.choices(session)
    a, b = frame.picked(session, "a"), session.zero if session.view.get("b") is None else frame.picked(session, "b")
    return {
        "compare_table": overview(session),
        "compare_bars": figure(session),
        "compare_next": nudge,
        "compare_more": Up(visible=True),
        "run_a": Up(choices=options, value=_id(session, a)),
        "run_b": Up(choices=options, value=_id(session, b)),
        "true_class": Up(choices=list(session.data.names)),
        "said_class": Up(choices=list(session.data.names)),
        **pair(session, None, None),
        **checks.show(session),
    }


def _id(session: Session, run: Any) -> str:
    return "zero" if run is session.zero else run.id


def groups(session: Session) -> list[dict[str, Any]]:
    """One row a method with the same settings: its runs over seeds, beside zero-shot on the same draws."""
    zero = [session.zero, *(x.run for x in session.tickets if x.purpose == "zero" and x.run is not None)]
    runs = [*zero, *(r for r in session.runs if r.report is not None)]
    labels = ["zero_shot" if r in zero else _settings(r) for r in runs]
    rows = Comparison(tuple(runs), tuple(labels)).rows
    first = {label: i - len(zero) for i, label in reversed(list(enumerate(labels)))}
    for row in rows:
        mine = [r for r, label in zip(runs, labels, strict=True) if label == row["method"]]
        row.update(
            mine=mine,
            index=None if row["method"] == "zero_shot" else first[row["method"]],
            key=mine[0].key,
            name=core.title(mine[0].key),
            accuracy=float(np.mean([r.report.headline for r in mine])),
            spread=float(np.std([r.report.headline for r in mine])),
            macro=float(np.mean([r.report.metrics.get("macro_f1", np.nan) for r in mine])),
        )
    twice = [r["name"] for r in rows]
    for row in rows:
        if twice.count(row["name"]) > 1:
            row["name"] += f" · {row['mine'][0].id[:4]}"
    return rows


def _settings(run: Any) -> str:
    return run.key + repr(sorted((k, repr(v)) for k, v in run.meta["hyper"].items() if k != "seed"))


def tells(row: Mapping[str, Any], zero: Mapping[str, Any]) -> str:
    """Whether a difference to zero-shot means something: against the spread over seeds, or against the number of pictures."""
    gap = abs(row["accuracy"] - zero["accuracy"])
    if len(row["mine"]) > 1:
        noise = max(row["spread"], zero["spread"])
        return "" if gap > noise else "within seed noise"
    return "" if gap > core.error(row["mine"][0]) else "one seed, within chance"


def overview(session: Session) -> str:
    """The table; sorted by the column that was clicked, only differing columns when asked."""
    rows = groups(session)
    zero = next(r for r in rows if r["index"] is None)
    shown = dict(COLUMNS)
    cells = [_cells(r, zero) for r in rows]
    if session.view.get("diff"):
        shown = {k: v for k, v in shown.items() if len({c[k][1] for c in cells}) > 1}
    by, down = session.view.get("sort", "accuracy"), session.view.get("down", True)
    order = sorted(
        range(len(rows)), key=lambda i: (rows[i]["mine"][0].id != session.pinned, -(cells[i][by][0]) if down else cells[i][by][0])
    )
    head = ["method"] + [
        act(v + (" ↓" if k == by and down else " ↑" if k == by else ""), "sort", kind="pl-th", by=k) for k, v in shown.items()
    ]
    body = [[f"{chip(rows[i]['index'])}{t(rows[i]['name'])} {_marks(rows[i])}", *(cells[i][k][1] for k in shown)] for i in order]
    return table(head, body, label="Comparison of methods") + note(
        "± is the standard deviation over seeds. All rows are judged on the same held-out pictures; none was chosen by them."
    )


def _cells(r: dict[str, Any], zero: dict[str, Any]) -> dict[str, tuple[float, str]]:
    several = len(r["mine"]) > 1
    spread = f" ± {100 * r['spread']:.1f}" if several else ""
    gain = r["accuracy"] - zero["accuracy"]
    said = "reference" if r is zero else points(gain) + (f" <span class='pl-badge'>{t(w)}</span>" if (w := tells(r, zero)) else "")
    ece = r["ece"] if r["ece"] is not None else float("nan")
    peak = r["peak_mb"] or 0.0
    return {
        "accuracy": (r["accuracy"], percent(r["accuracy"]) + spread),
        "gain": (gain, said),
        "macro": (r["macro"], _nan(100 * r["macro"])),
        "ece": (ece, _nan(100 * ece)),
        "trainable": (r["trainable"], f"{r['trainable']:,}"),
        "seconds": (r["seconds"], f"{r['seconds']:.1f}"),
        "peak": (peak, f"{peak:,.0f}"),
        "seeds": (len(r["mine"]), str(len(r["mine"]))),
    }


def _nan(value: float) -> str:
    return "–" if value != value else f"{value:.1f}"


def _marks(r: dict[str, Any]) -> str:
    return "<span class='pl-badge pl-bad'>collapsed</span>" if r["collapsed"] else ""


def figure(session: Session) -> Any:
    rows = groups(session)
    made = linked.seeds(
        [{"name": r["name"], "mean": r["accuracy"], "values": [x.report.headline for x in r["mine"]], "index": r["index"]} for r in rows],
        "Accuracy, one dot a seed",
        next(r for r in rows if r["index"] is None)["accuracy"],
    )
    return linked.safe(made, ())


def do(session: Session, event: Mapping[str, Any]) -> View:
    """Clicks on the table's heads."""
    by = str(event.get("by", ""))
    if event.get("act") == "sort" and by in COLUMNS:
        session.view["down"] = not session.view.get("down", True) if session.view.get("sort", "accuracy") == by else True
        session.view["sort"] = by
    return {"compare_table": overview(session)}


def diff_only(session: Session, wanted: bool) -> View:
    session.view["diff"] = bool(wanted)
    return {"compare_table": overview(session)} if session.zero is not None else {}


def pair(session: Session, a: str | None, b: str | None) -> View:
    """Two runs beside each other: confusion matrices, and the pictures on which they disagree."""
    session.view.update({k: v for k, v in (("a", a), ("b", b)) if v})
    first = frame.picked(session, "a")
    second = session.zero if session.view.get("b") is None else frame.picked(session, "b")
    if first is None or first.report is None or second.report is None:
        return {"matrix_a": None, "matrix_b": None, "disagree": ""}
    return {"matrix_a": _matrix(session, first), "matrix_b": _matrix(session, second), "disagree": disagree(session, first, second)}


def _matrix(session: Session, run: Any) -> Any:
    names = session.data.names
    counts = confusion(run.report, names).arrays["counts"]
    made = linked.matrix(counts, names, names, title=f"{core.title(run.key)}: true class ↓, answer →", named=linked.BESIDE)
    return linked.safe(made, names)


def cell(session: Session, which: str, row: int, column: int) -> View:
    """The pictures of one cell of a confusion matrix."""
    run, names = (frame.picked(session, "a") if which == "a" else _second(session)), session.data.names
    if not (0 <= row < len(names) and 0 <= column < len(names)):
        raise BadData("that cell is not in the matrix.")
    _, answer, target = core.answers_of(run)
    found = np.flatnonzero((target == row) & (answer == column))
    head = f"{core.title(run.key)}: {says.count(len(found), 'picture')} of '{names[row]}' answered as '{names[column]}'."
    return {"cell": note(head) + _pictures(session, run, found[:MOST], head)}


def _second(session: Session) -> Any:
    return session.zero if session.view.get("b") is None else frame.picked(session, "b")


def cell_by_name(session: Session, which: str, true: str | None, said: str | None) -> View:
    """The table twin of the matrix, for the keyboard."""
    names = list(session.data.names) if session.data is not None else []
    if true not in names or said not in names:
        raise BadData("choose a true class and an answer first.")
    return cell(session, which, names.index(true), names.index(said))


def _pictures(session: Session, run: Any, found: Any, label: str) -> str:
    if session.data.test is None:
        return ""
    source, (_, answer, target) = session.data.test.source, core.answers_of(run)
    rows = run.report.predictions["row"]
    return grid(
        [
            {
                "src": source_thumb(source, int(rows[i])),
                "index": int(rows[i]),
                "mark": "right" if answer[i] == target[i] else "wrong",
                "said": session.data.names[answer[i]],
            }
            for i in found
        ],
        label,
    )


def disagree(session: Session, a: Any, b: Any) -> str:
    """Two grids: A right and B wrong, and the other way round."""
    if a is b:
        return note("Choose two different runs to see where they disagree.")
    if not np.array_equal(a.report.predictions["row"], b.report.predictions["row"]):
        return note("These runs were drawn with different seeds and judged on different pictures, so they cannot be laid side by side.")
    (_, ours, target), (_, theirs, _) = core.answers_of(a), core.answers_of(b)
    out = []
    for right, wrong, run, other in ((ours, theirs, a, b), (theirs, ours, b, a)):
        found = np.flatnonzero((right == target) & (wrong != target))
        head = f"{core.title(run.key)} right, {core.title(other.key)} wrong: {says.count(len(found), 'picture')}"
        out.append(f"<div class='pl-half'><b>{t(head)}</b>{_pictures(session, other, found[: MOST // 2], head)}</div>")
    return f"<div class='pl-halves'>{''.join(out)}</div>"
