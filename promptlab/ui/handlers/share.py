"""Screen 6, Try and share: a new picture before all methods, the way back into a class, and everything that can be taken away."""

import time
from pathlib import Path
from typing import Any

from promptlab.data.classes import ClassSet
from promptlab.errors import BadData, PromptlabError
from promptlab.plots.curves import bars
from promptlab.plots.linked import safe
from promptlab.ui import core, says
from promptlab.ui.handlers import frame, inspect, shots, train
from promptlab.ui.handlers.views import Up, View
from promptlab.ui.out import classifier, code, project, report
from promptlab.ui.pieces import act, empty, note, t, table
from promptlab.ui.session import Session

MOST = 5  # runs whose bars are drawn


def show(session: Session) -> View:
    """The whole screen."""
    if session.data is None or session.zero is None:
        return {
            "try_said": empty(says.GATE, act("Choose shots", "go", kind="pl-main", to="shots")),
            "share_more": Up(visible=False),
            "try_bars": None,
            "try_table": "",
        }
    options = frame.choices(session)
    return {
        "try_said": note("" if session.runs else "Train a method to see it beside zero-shot."),
        "share_more": Up(visible=True),
        **({} if session.view.get("tried") else {"try_bars": None, "try_table": empty(says.TRY)}),
        "add_class": Up(choices=list(session.data.names)),
        "share_run": Up(choices=options, value=options[-1][1]),
        "code": code.script(session),
    }


def predict(session: Session, picture: str | None, names: str = "") -> View:
    """All methods' answers for one picture, best first, with the time that each took. ``names``: other classes, for methods that can."""
    if not picture:
        session.view.pop("tried", None)
        return {"try_bars": None, "try_table": empty(says.TRY)}
    if session.data is None:
        raise BadData(says.GATE)
    other = tuple(dict.fromkeys(n.strip() for n in (names or "").split(",") if n.strip()))
    found = answers(session, picture, other)
    session.view["tried"] = picture
    listed = list(other or session.data.names)
    rows = []
    for label, (scores, took) in found.items():
        if isinstance(scores, str):
            rows.append([t(label), f"<span class='pl-why'>{t(scores)}</span>", "", ""])
            continue
        best = sorted(scores, key=scores.get, reverse=True)[:3]
        rows.append([t(label), t(best[0]), f"{100 * scores[best[0]]:.0f} %", f"{1000 * took:.0f} ms"])
    drawn = {k: [v[0][n] for n in listed] for k, v in found.items() if not isinstance(v[0], str)}
    return {"try_bars": safe(bars(listed, drawn, top=5), listed), "try_table": table(["method", "answer", "how sure", "time"], rows)}


def answers(session: Session, picture: str, other: tuple[str, ...] = ()) -> dict[str, tuple[Any, float]]:
    """Run → ({class: probability} or the reason why not, seconds)."""
    found: dict[str, tuple[Any, float]] = {}
    runs = [("zero-shot", session.zero), *((frame.name(session, i), r) for i, r in enumerate(session.runs))]
    for label, r in [runs[0], *runs[1:][-MOST:]]:
        start = time.perf_counter()
        try:
            with core.COMPUTE:
                scores = _answer(r, picture, other)
        except PromptlabError as problem:
            if label == "zero-shot":
                raise
            scores = str(problem)
        found[label] = (scores, time.perf_counter() - start)
    return found


def _answer(r: Any, picture: str, other: tuple[str, ...]) -> dict[str, float]:
    from promptlab import answers as core_answers

    names = ClassSet(other, r.classes.templates) if other else r.classes
    return core_answers.predict(r.method, picture, names)


def surprise(session: Session) -> str | None:
    """A held-out picture as a file, another one each time."""
    if session.data is None or session.data.test is None:
        return None
    session.view["tried_turn"] = session.view.get("tried_turn", 0) + 1
    order = core.spread(session.data.test.targets.tolist(), len(session.data.test))
    i = order[(7 * session.view["tried_turn"]) % len(order)]
    path = session.room("try") / "picture.png"
    session.data.test.source.image(session.data.test.rows[i]).save(path)
    return str(path)


def add(session: Session, picture: str | None, name: str | None) -> View:
    """The picture becomes a shot of a class; runs on the old shots leave the table, training again is one click away."""
    shots.still(session)
    if not picture or session.data is None:
        raise BadData("there is no picture yet; drop one first.")
    if name not in session.data.names:
        raise BadData("choose the class that the picture belongs to.")
    if session.data.spec is not None or not session.draft.cards:
        kept = session.room("added") / Path(picture).name
        kept.write_bytes(Path(picture).read_bytes())
        data = session.data
        data.add(str(kept), data.names.index(name))
        keep = [r.key for r in session.runs]
        shots.put(session, data)
        session.chosen = list(dict.fromkeys(keep)) or session.chosen
    else:
        card = next(c for c in session.draft.cards if c.name == name)
        shots.files(session, card.id, [(Path(picture), Path(picture).name)])
        shots.ready(session)
    return {"try_said": note(f"Added to '{name}'. Train again to see what it changes."), **train.show(session), **shots.show(session)}


def export(session: Session, wanted: str | None) -> str:
    """The classifier of a run as a zip."""
    r = session.zero if wanted in (None, "zero") else next((x for x in session.runs if x.id == wanted), None)
    if r is None or session.data.test is None:
        raise BadData("choose a run first.")
    part = session.data.test.take(core.spread(session.data.test.targets.tolist(), classifier.CHECKED))
    with core.COMPUTE:
        return str(classifier.export(r, next(part.batches(classifier.CHECKED)), session.room("export")))


def html_report(session: Session) -> str:
    """The report as a file."""
    if session.data is None or session.zero is None:
        raise BadData(says.GATE)
    path = session.room("report") / "report.html"
    with core.COMPUTE:
        path.write_text(report.page(session, inspect.batch(session) if session.data.test is not None else None), encoding="utf-8")
    return str(path)


def save(session: Session, pictures: bool = True) -> str:
    """The project as a file."""
    safe_name = "".join(c if c.isalnum() else "-" for c in session.settings["name"])[:40].strip("-") or "project"
    return str(project.save(session, session.room("save") / f"{safe_name}.promptlab.zip", bool(pictures)))


def open_project(session: Session, path: str, name: str) -> View:
    """A saved project in the place of what is open."""
    project.reopen(session, Path(path), name)
    return {**shots.show(session), **train.show(session), **frame.settings(session)}


def script(session: Session) -> View:
    return {"code": code.script(session)}
