"""Screen 5, Inspect: one picture and one run at a time; evidence, learned words, the map, the replay, and what else there is."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch

from promptlab import inspect as insight
from promptlab import registry
from promptlab.errors import BadData, PromptlabError, WrongKind
from promptlab.method import sandbox
from promptlab.plots import draw, linked
from promptlab.ui import core, heat, says
from promptlab.ui.draft import thumb
from promptlab.ui.handlers import atlas, frame, replay
from promptlab.ui.handlers.views import NARROW, Up, View
from promptlab.ui.pieces import act, empty, error, note, percent, t, table, word_said
from promptlab.ui.session import Session

LENSES = ("evidence", "prompt", "map", "replay", "more")
WIDE = 700  # px that an exhibit is laid out for; it is then as wide as its place
ELSEWHERE = {"curves", "evidence", "words", "shift"}  # exhibits that have a place of their own


def show(session: Session) -> View:
    """The chosen picture, the run menu, and the lens that is open."""
    if session.data is None or session.zero is None or session.data.test is None:
        return {"inspect_said": empty(says.GATE, act("Choose shots", "go", kind="pl-main", to="shots")), "inspect_more": Up(visible=False)}
    run = frame.picked(session, "look")
    lens = session.view.get("lens", "evidence")
    return {
        "inspect_said": note(says.NO_RUN) if not session.runs else "",
        "inspect_more": Up(visible=True),
        "look_run": Up(choices=frame.choices(session), value="zero" if run is session.zero else run.id),
        "look_class": Up(choices=["(the answer)", *session.data.names], value=session.view.get("class", "(the answer)")),
        "look_picture": chosen(session),
        **_SHOW[lens](session, run),
    }


def lens(session: Session, name: str) -> View:
    """Another lens."""
    session.view["lens"] = name if name in LENSES else "evidence"
    return show(session)


def run(session: Session, wanted: str) -> View:
    session.view["look"] = wanted
    return show(session)


def row_of(session: Session) -> int:
    """The source row of the chosen picture."""
    rows = session.data.test.rows
    row = session.view.get("row", rows[0])
    return row if row in set(rows) else rows[0]


def step(session: Session, by: int) -> View:
    """Previous or next picture, within the selection of the lasso where there is one."""
    if session.data is None or session.data.test is None:
        raise BadData(says.GATE)
    rows = [r for r in session.view.get("lasso", ()) if r in set(session.data.test.rows)] or list(session.data.test.rows)
    row = row_of(session)
    at = rows.index(row) if row in rows else -1
    session.view["row"] = rows[(at + by) % len(rows)]
    return show(session)


def pick(session: Session, row: Any) -> View:
    """A picture that was clicked anywhere."""
    if session.data is None or session.data.test is None or not str(row).isdigit() or int(row) not in set(session.data.test.rows):
        raise BadData("that picture is not among the held-out ones of this seed.")
    session.view["row"] = int(row)
    return show(session)


def word(session: Session, name: str) -> View:
    """Evidence for another class than the answer."""
    session.view["class"] = name
    return show(session)


def batch(session: Session) -> Any:
    rows = session.data.test.rows
    return next(session.data.test.take([rows.index(row_of(session))]).batches(1))


def chosen(session: Session) -> str:
    """The picture, its true class, and every run's answer."""
    one, names = batch(session), session.data.names
    lines = []
    with core.COMPUTE:
        for label, r in [("Zero-shot", session.zero), *((frame.name(session, i), r) for i, r in enumerate(session.runs))][-6:]:
            p = _probabilities(r, one)
            best = int(p.argmax())
            mark = "<span class='pl-ok'>✓</span>" if best == int(one.target[0]) else "<span class='pl-no'>✗</span>"
            lines.append(f"<li>{mark} {t(label)}: {t(names[best])} {percent(float(p[best]), 0)} %</li>")
    return (
        f"<img class='pl-look' src='{thumb(session.data.test.source.image(one.rows[0]), 160)}' alt='{t(names[int(one.target[0])])}'>"
        f"<p><b>{t(names[int(one.target[0])])}</b> (true class)</p><ul class='pl-list'>{''.join(lines)}</ul>"
    )


@torch.no_grad()
def _probabilities(r: Any, one: Any) -> Any:
    with sandbox(r.method):
        return r.method.kind.probabilities(r.method.predict(one, r.method.bank()).pred)[0].cpu()


def evidence(session: Session, r: Any) -> View:
    """Which patches speak for a class, zero-shot and tuned on one colour scale, with the control that says whether to trust it."""
    wanted = session.view.get("class")
    try:
        with core.COMPUTE:
            e = insight.evidence(r, batch(session), wanted if wanted in session.data.names else None)
    except PromptlabError as problem:
        return {"evidence": error(str(problem))}
    a, s = e.arrays, e.sanity[0]
    low, high = min(a["before"].min(), a["after"].min()), max(a["before"].max(), a["after"].max())
    maps = {k: heat.overlay(a["picture"], a[k], low, high) for k in ("before", "after")}
    control = heat.overlay(a["picture"], a["control"], float(a["control"].min()), float(a["control"].max()))
    trust = "better than" if s.control is not None and s.value < s.control else "no better than"
    said = (
        f"Deleting what this map marks leaves {100 * s.value:.0f} % of the answer; a random prompt's map leaves {100 * s.control:.0f} %: "
        f"the map is {trust} chance here (lower is better)."
    )
    body = heat.slider(maps["before"], maps["after"], "zero-shot", core.title(r.key))
    side = (
        f"<figure><img src='{heat.plain(a['picture'])}' alt='the picture'><figcaption>picture</figcaption></figure>"
        f"<figure><img src='{control}' alt='control'><figcaption>control: a random prompt</figcaption></figure>"
    )
    return {
        "evidence": f"<h4>{t(e.title)}</h4><div class='pl-row'>{body}<div class='pl-side'>{side}</div></div><p>{t(said)}</p>{note(e.note)}"
    }


def prompt(session: Session, r: Any) -> View:
    """Nearest words of every learned vector with the null band, and the accuracy when the words replace the vectors."""
    val = session.data.episode.val
    try:
        with core.COMPUTE:
            e = insight.words(r, split=val)
    except WrongKind:
        return {"words": None, "words_said": empty(says.NO_WORDS.format(core.title(r.key)), *_doors()), "drift": replay.drift(r)}
    except PromptlabError as problem:
        return {"words": None, "words_said": error(str(problem)), "drift": None}
    a, shown = e.arrays, draw(_bare(e), width=_width(session))
    inside = [bool(low <= d <= high) for d, low, high in zip(a["distance"][:, 0], a["null_low"], a["null_high"], strict=True)]
    rows = [
        [
            t(v),
            t(", ".join(word_said(e.labels[f"word {k}"][i]) for k in range(1, 4))),
            f"{a['distance'][i, 0]:.3f} ({a['null_low'][i]:.3f}–{a['null_high'][i]:.3f})",
            "as far" if inside[i] else "nearer" if a["distance"][i, 0] < a["null_low"][i] else "farther",
        ]
        for i, v in enumerate(e.labels["vector"][:64])
    ]
    trust = "".join(f"<li>{t(str(s))}</li>" for s in e.sanity)
    listing = table(["vector", "nearest words", "distance (null band)", "than chance"], rows)
    said = f"<ul class='pl-list'>{trust}</ul>{note(e.note)}{listing}"
    return {"words": linked.safe(shown, session.data.names), "words_said": said, "drift": replay.drift(r)}


def _doors() -> list[str]:
    """Where a method without learned words can be looked at instead."""
    return [act("More", "lens", kind="pl-main", to="more"), act("Evidence", "lens", to="evidence")]


def _width(session: Session) -> int:
    return session.wide - 64 if session.wide < NARROW else WIDE


def _bare(e: Any) -> Any:
    """Without the caption, which the page writes as text below the figure."""
    return dataclasses.replace(e, note="", sanity=())


def more(session: Session, r: Any) -> View:
    """Whatever else the method can show of this picture; what it cannot is said."""
    wanted = [k for k in insight.EXHIBITS if k not in ELSEWHERE]
    what = session.view.get("exhibit") or _first(r, wanted, batch(session))
    menu = Up(choices=[k.replace("_", " ") for k in wanted], value=what.replace("_", " "))
    try:
        with core.COMPUTE:
            e = insight.show(r, what, batch(session))
    except (PromptlabError, TypeError) as problem:
        return {"exhibit": menu, "exhibit_plot": None, "exhibit_said": empty(str(problem))}
    rows = list(e.rows())[:40]
    twin = (
        table([t(k) for k in rows[0]], [[t(f"{v:.4g}" if isinstance(v, float) else v) for v in x.values()] for x in rows]) if rows else ""
    )
    said = f"<p>{t(e.note)} {t(' · '.join(map(str, e.sanity)))}</p><details><summary>The same as a table</summary>{twin}</details>"
    return {"exhibit": menu, "exhibit_plot": linked.safe(draw(_bare(e), width=_width(session)), session.data.names), "exhibit_said": said}


def _first(r: Any, wanted: Sequence[str], one: Any) -> str:
    """The first exhibit that the method has: what its own card exposes before what many can show."""
    own = [w for x in registry.card(r.key).exposes if (w := insight.SHOWS.get(x.as_)) in wanted]
    for what in dict.fromkeys([*own, *wanted]):
        try:
            with core.COMPUTE:
                insight.show(r, what, one)
            return what
        except (PromptlabError, TypeError):
            continue
    return wanted[0]


def exhibit(session: Session, what: str) -> View:
    session.view["exhibit"] = what.replace(" ", "_")
    return show(session)


def lasso(session: Session, rows: Sequence[Any]) -> View:
    return atlas.lasso(session, rows, frame.picked(session, "look"))


def lasso_class(session: Session, name: str | None) -> View:
    return atlas.lasso_class(session, name, frame.picked(session, "look"))


def frame_at(session: Session, at: float) -> View:
    """The replay's slider."""
    r = frame.picked(session, "look")
    return replay.show(session, r, batch(session), int(at)) if r is not None else {}


_SHOW = {
    "evidence": evidence,
    "prompt": prompt,
    "map": lambda session, r: atlas.show(session, r),
    "replay": lambda session, r: replay.show(session, r, batch(session)),
    "more": more,
}
