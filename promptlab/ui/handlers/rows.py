"""The table of Compare: one row a method, searched, sorted, against a baseline; and the settings and manifest behind the rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from promptlab import registry
from promptlab.compare import Comparison
from promptlab.plots import linked
from promptlab.ui import core, says
from promptlab.ui.handlers.views import View
from promptlab.ui.pieces import act, chip, note, percent, points, t, table
from promptlab.ui.session import Session

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
MOST_WORDS = 120  # letters of a search
MOST_RUNS = 12  # runs beside each other in the manifest


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


def baseline(session: Session, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The row that the others are compared with: the pinned one, else zero-shot."""
    pinned = next((r for r in rows if any(x.id == session.pinned for x in r["mine"])), None)
    return pinned or next(r for r in rows if r["index"] is None)


def tells(row: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    """Whether a difference to the baseline means something: against the spread over seeds, or against the number of pictures."""
    gap = abs(row["accuracy"] - base["accuracy"])
    if len(row["mine"]) > 1:
        noise = max(row["spread"], base["spread"])
        return "" if gap > noise else "within seed noise"
    return "" if gap > core.error(row["mine"][0]) else "one seed, within chance"


def text(session: Session, row: Mapping[str, Any]) -> str:
    """All that the search reads of a row: method, data, settings."""
    card, d, first = registry.card(row["key"]), session.data, row["mine"][0]
    knobs = " ".join(f"{k}={v} {k.replace('_', ' ')} {v}" for k, v in first.meta["hyper"].items() if k != "seed")
    seeds = " ".join(f"seed={r.meta['seed']} seed {r.meta['seed']} {r.id} {r.status}" for r in row["mine"])
    about = f"{row['key']} {row['name']} {card.family} {card.supervision} {card.venue} {card.year}"
    return f"{about} {d.label} {d.spec or ''} {session.settings['backbone']} {first.meta['device']} {knobs} {seeds}".casefold()


def found(session: Session) -> tuple[list[dict[str, Any]], dict[str, Any], str]:
    """(rows that the search leaves, the baseline among them, what is said of it)."""
    rows, words = groups(session), session.view.get("find", "").casefold().split()
    base = baseline(session, rows)
    if not words:
        return rows, base, ""
    match = [r for r in rows if all(w in text(session, r) for w in words)]
    if not match:
        return [base], base, says.NO_MATCH.format(session.view["find"])
    kept = [r for r in rows if r in match or r is base]
    stays = "" if base in match else "; the baseline stays for comparison"
    return kept, base, f"{len(match)} of {len(rows)} rows match '{session.view['find']}'{stays}."


def overview(session: Session) -> str:
    """The table; sorted by the column that was clicked, only differing columns when asked, the pinned row first."""
    rows, base, said = found(session)
    cells = [cells_of(r, base) for r in rows]
    shown = {**COLUMNS, "gain": f"over {'zero-shot' if base['index'] is None else base['name']}"}
    if session.view.get("diff"):
        shown = {k: v for k, v in shown.items() if len({c[k][1] for c in cells}) > 1}
    by, down = session.view.get("sort", "accuracy"), session.view.get("down", True)
    first = base if base["index"] is not None else None
    order = sorted(range(len(rows)), key=lambda i: (rows[i] is not first, -(cells[i][by][0]) if down else cells[i][by][0]))
    head = ["method"] + [
        act(v + (" ↓" if k == by and down else " ↑" if k == by else ""), "sort", kind="pl-th", by=k) for k, v in shown.items()
    ]
    body = [[f"{chip(rows[i]['index'])}{t(rows[i]['name'])} {_marks(rows[i], base)}", *(_cell(cells[i][k], first) for k in shown)]
            for i in order]
    out = table(head, body, label="Comparison of methods") + note(
        "± is the standard deviation over seeds. All rows are judged on the same held-out pictures; none was chosen by them. "
        "☆ makes a row the baseline."
    )
    return (f"<p class='pl-note' role='status'>{t(said)}</p>" if said else "") + out + manifest(session, rows, base)


def _cell(cell: tuple[float, str, str], pinned: Any) -> str:
    return cell[1] + (f" <span class='pl-gain'>{cell[2]}</span>" if pinned and cell[2] else "")


def cells_of(r: dict[str, Any], base: dict[str, Any]) -> dict[str, tuple[float, str, str]]:
    """Column → (number to sort by, text, difference to the baseline)."""
    several = len(r["mine"]) > 1
    spread = f" ± {100 * r['spread']:.1f}" if several else ""
    gain = r["accuracy"] - base["accuracy"]
    name = "reference" if r["index"] is None else "baseline"
    said = name if r is base else points(gain) + (f" <span class='pl-badge'>{t(w)}</span>" if (w := tells(r, base)) else "")
    ece, peak = (x["ece"] if x["ece"] is not None else float("nan") for x in (r, base)), (x["peak_mb"] or 0.0 for x in (r, base))
    (mine, its), (high, low) = ece, peak

    def less(a: float, b: float, form: str) -> str:
        return "" if r is base or a == b or a != a or b != b else format(a - b, form)

    return {
        "accuracy": (r["accuracy"], percent(r["accuracy"]) + spread, ""),
        "gain": (gain, said, ""),
        "macro": (r["macro"], _nan(100 * r["macro"]), less(100 * r["macro"], 100 * base["macro"], "+.1f")),
        "ece": (mine, _nan(100 * mine), less(100 * mine, 100 * its, "+.1f")),
        "trainable": (r["trainable"], f"{r['trainable']:,}", less(r["trainable"], base["trainable"], "+,d")),
        "seconds": (r["seconds"], f"{r['seconds']:.1f}", less(r["seconds"], base["seconds"], "+.1f")),
        "peak": (high, f"{high:,.0f}", less(high, low, "+,.0f")),
        "seeds": (len(r["mine"]), str(len(r["mine"])), ""),
    }


def _nan(value: float) -> str:
    return "–" if value != value else f"{value:.1f}"


def _marks(r: dict[str, Any], base: dict[str, Any]) -> str:
    run, on = r["mine"][0].id, r is base
    pin = act("★" if on else "☆", "baseline", kind="pl-icon", title=f"Compare all with {r['name']}", run=run, pressed=on)
    return ("<span class='pl-badge pl-bad'>collapsed</span>" if r["collapsed"] else "") + pin


def manifest(session: Session, rows: Sequence[dict[str, Any]], base: dict[str, Any]) -> str:
    """Settings, device and versions of every run of the shown rows, beside each other, the baseline first; values that differ from the
    baseline's are bold."""
    order = [base, *(r for r in rows if r is not base)]
    runs = [(r, x) for r in order for x in r["mine"]][:MOST_RUNS]
    facts = [_facts(x) for _, x in runs]
    body = []
    for key in dict.fromkeys(k for f in facts for k in f):
        values = [f.get(key, "–") for f in facts]
        if session.view.get("diff") and len(set(values)) == 1:
            continue
        body.append([t(key), *(f"<b>{t(v)}</b>" if v not in (values[0], "–") else t(v) for v in values)])
    head = ["", *(f"{chip(r['index'])}{t(r['name'])}" for r, _ in runs)]
    return (f"<details class='pl-rest' data-keep='manifest'><summary>Settings, device and versions of {says.count(len(runs), 'run')}"
            f"</summary>{table(head, body, label='Manifest of the runs')}</details>")


def _facts(run: Any) -> dict[str, str]:
    m = run.meta
    about = {"run": run.id, "status": m["status"], "seed": m["seed"], "device": m["device"], "backbone": m["backbone"]["name"],
             "weights": m["backbone"].get("tag") or "default", "number type": m["backbone"]["dtype"].removeprefix("torch."),
             "data": m["task"]["name"], "shots": m["task"]["shots"]}
    return {k: str(v) for k, v in {**about, **{k: v for k, v in m["hyper"].items() if k != "seed"}, **m["versions"]}.items()}


def figure(session: Session) -> Any:
    """Bars of the rows that the search leaves, a dot a seed, a line at the baseline."""
    rows, base, _ = found(session)
    made = linked.seeds(
        [{"name": r["name"], "mean": r["accuracy"], "values": [x.report.headline for x in r["mine"]], "index": r["index"]} for r in rows],
        f"Accuracy, one dot a seed; the line is {'zero-shot' if base['index'] is None else base['name']}",
        base["accuracy"],
    )
    return linked.safe(made, ())


def do(session: Session, event: Mapping[str, Any]) -> View:
    """Clicks on the table: sort by a column, or make a row the baseline (once more: zero-shot is it again)."""
    by, run = str(event.get("by", "")), str(event.get("run", ""))
    if event.get("act") == "sort" and by in COLUMNS:
        session.view["down"] = not session.view.get("down", True) if session.view.get("sort", "accuracy") == by else True
        session.view["sort"] = by
    if event.get("act") == "baseline" and session.zero is not None:
        own = {x.id for x in baseline(session, groups(session))["mine"]}
        session.pinned = "" if run in own or run not in {r.id for r in session.runs} else run
    return drawn(session)


def drawn(session: Session) -> View:
    """Table and bars, where there is something to compare."""
    return {"compare_table": overview(session), "compare_bars": figure(session)} if session.zero is not None else {}


def diff_only(session: Session, wanted: bool) -> View:
    """Only the columns (and settings) that differ, or all."""
    session.view["diff"] = bool(wanted)
    return drawn(session)


def find(session: Session, words: str) -> View:
    """The search as it is typed."""
    session.view["find"] = " ".join((words or "")[:MOST_WORDS].split())
    return drawn(session)
