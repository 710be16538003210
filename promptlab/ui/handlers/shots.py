"""Screen 1, Shots: sample packs with one click, or class cards that the user names and fills."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from promptlab.data import sources
from promptlab.errors import BadData
from promptlab.ui import core, says
from promptlab.ui.draft import Draft, folder_name, from_data, gather, open_zip, take, thumb
from promptlab.ui.handlers import doctor
from promptlab.ui.handlers.views import Up, View
from promptlab.ui.pieces import act, empty, error, listed, note, t
from promptlab.ui.session import Session

PACKS = {
    "Animals, pixel art": "world:animals@pixel-art",
    "Animals at night": "world:animals@night",
    "Food, sketches": "world:food@sketch",
    "Vehicles, blurry": "world:vehicles@blurry",
    "Faces, grayscale": "world:faces@grayscale",
}
SHOWN = 12  # thumbnails of a card
FOLDED = 12  # sample classes that are shown at once


def show(session: Session) -> View:
    """The whole screen from the session."""
    sample = session.data is not None and session.data.spec is not None
    return {
        "board": samples(session) if sample else board(session.draft),
        "doctor": doctor.show(session),
        "shots_said": said(session),
        "see": Up(interactive=session.data is not None or session.draft.problem() is None),
    }


def sample(session: Session, pack: str, shots: float = 8) -> View:
    """One click: a pack of sample pictures with held-out ones, and what CLIP already knows about them."""
    still(session)
    if pack not in PACKS:
        raise BadData(f"there is no sample pack '{str(pack)[:60]}'; choose one of {', '.join(PACKS)}.")
    data = core.opened(PACKS[pack], int(shots), int(session.settings["seed"]), pack)
    put(session, data)
    return show(session)


def put(session: Session, data: core.Opened) -> None:
    """Open shots are judged by zero-shot at once; a method choice to begin with."""
    session.put(data)
    core.zero_shot(session)
    session.chosen = session.chosen or ["coop", "tip_adapter"]


def still(session: Session) -> None:
    if session.open:
        raise BadData(says.STILL)


def own(session: Session) -> View:
    """Begin with two empty cards of one's own (sample shots are put away)."""
    still(session)
    if session.data is not None and session.data.spec is not None:
        session.put(None)
    while len(session.draft.cards) < 2:
        session.draft.add()
    return show(session)


def files(session: Session, card: Any, paths: Sequence[tuple[Path, str]]) -> View:
    """Pictures for a card; None: a new card."""
    still(session)
    target = session.draft.card(card) if card not in (None, "") else session.draft.add()
    take(session.draft, target, paths, session.folder / "shots")
    changed(session)
    return show(session)


def changed(session: Session) -> None:
    """Own cards changed: what was opened from them is void."""
    if session.data is not None and session.data.spec is None:
        session.put(None)


def do(session: Session, event: Mapping[str, Any]) -> View:
    """Buttons of the board: add, rename, remove, pick, move, switch, merge."""
    still(session)
    draft, what = session.draft, event.get("act")
    if what == "add-class":
        own(session)
        if all(c.name or c.shots for c in draft.cards):
            draft.add()
        return show(session)
    card = draft.card(event.get("card"))
    if what == "rename":
        card.name = " ".join(str(event.get("value", "")).split())[:80]
    elif what == "drop-class":
        draft.cards.remove(card)
    elif what == "switch":
        card.on = not card.on
    elif what == "remove":
        card.shots.remove(draft.shot(card, str(event.get("shot"))))
    elif what == "pick":
        shot = draft.shot(card, str(event.get("shot")))
        draft.picked = None if draft.picked is shot else shot
    elif what == "move" and draft.picked is not None:
        for other in draft.cards:
            other.shots = [s for s in other.shots if s is not draft.picked]
        card.shots.append(draft.picked)
        draft.picked = None
    elif what == "merge":
        twin = next(c for c in draft.cards if c is not card and c.name.casefold() == card.name.casefold())
        twin.shots += [s for s in card.shots if s.digest not in {x.digest for x in twin.shots}]
        draft.cards.remove(card)
    elif what == "hush":
        card.problems = []
    changed(session)
    return show(session)


def zip_file(session: Session, path: Path, name: str) -> View:
    """A zip of class folders: cards where it has no splits of its own, opened as it is where it has."""
    still(session)
    data = open_zip(path, name)
    if data.test is None and data.kind == "single":
        session.put(None)
        session.draft = Draft()
        from_data(session.draft, data, session.folder / "shots")
        return show(session)
    put(session, core.Opened(data, says.SUGGESTED, int(session.settings["seed"]), None, name))
    return show(session)


def ready(session: Session) -> None:
    """Open the cards when nothing is open yet; one sentence when they are not complete."""
    if session.data is not None:
        return
    room = session.room("opened")
    names = gather(session.draft, room)
    data = sources.folder(room)
    shown = tuple(names.get(n, n) for n in data.classes.names)
    if len(set(shown)) == len(shown):
        data = dataclasses.replace(data, classes=dataclasses.replace(data.classes, names=shown))
    few = min(len(c.shots) for c in session.draft.used)
    shots = min(says.SUGGESTED, max(1, few // 2))
    put(session, core.Opened(data.named(session.settings["name"]), shots, int(session.settings["seed"]), None, session.settings["name"]))


def said(session: Session) -> str:
    """One line over the board."""
    if session.data is None:
        if not session.draft.cards:
            return ""  # the board says it
        problem = session.draft.problem()
        return note(problem or f"{says.count(session.draft.total, 'picture')} in {says.count(len(session.draft.used), 'class')}. Go on!")
    d = session.data
    held = len(d.test) if d.test else 0
    val = f", {len(d.episode.val)} to check with" if d.episode.val else ""
    problems = d.data.report.problems
    more = listed([*problems[:6], *([f"and {len(problems) - 6} more files that could not be used."] if len(problems) > 6 else [])])
    split = d.tests[0].notes.get("split", "") if d.tests else ""
    return (
        f"<p><b>{t(d.label)}</b>: {says.count(len(d.names), 'class')}, {len(d.episode.support)} shots to learn from{val}, "
        f"{held} held out to judge by. No method sees the held-out pictures.</p>{note(split) if split else ''}{more}"
    )


def board(draft: Draft) -> str:
    """The class cards."""
    if not draft.cards:
        return empty(says.NO_SHOTS, act("Start with empty classes", "add-class", kind="pl-main"))
    twins = draft.twins()
    cards = "".join(_card(draft, c, i, twins) for i, c in enumerate(draft.cards, 1))
    return f"<div class='pl-board'>{cards}<div class='pl-class pl-new'>{act('+ Add class', 'add-class')}</div></div>"


def _card(draft: Draft, c: Any, number: int, twins: Mapping[str, Any]) -> str:
    same = [o for o in draft.cards if o is not c and c.name and o.name.casefold() == c.name.casefold()]
    alerts = [error(p) for p in c.problems[:5]]
    if len(c.problems) > 5:
        alerts.append(error(f"and {len(c.problems) - 5} more files."))
    if c.problems:
        alerts.append(act("Got it", "hush", kind="pl-small", card=c.id))
    if same and draft.cards.index(c) > draft.cards.index(same[0]):
        alerts.append(error(f"The name '{c.name}' is there twice.") + act("Merge", "merge", kind="pl-small", card=c.id))
    pictures = "".join(_thumb(draft, c, s, twins) for s in c.shots[:SHOWN])
    more = f"<span class='pl-more'>and {len(c.shots) - SHOWN} more</span>" if len(c.shots) > SHOWN else ""
    move = act("Move here", "move", kind="pl-small", card=c.id) if draft.picked and draft.picked not in c.shots else ""
    count = f"{len(c.shots)} of {says.SUGGESTED} suggested"
    return (
        f"<section class='pl-class{'' if c.on else ' pl-off'}' data-drop='{c.id}' aria-label='Class {number}'>"
        f"<div class='pl-head2'><input data-change='rename' data-card='{c.id}' value='{t(c.name)}' maxlength='80' "
        f"placeholder='Class {number}: name it' aria-label='Name of class {number}'>"
        f"{act('×', 'drop-class', kind='pl-icon', title=f'Delete class {number}', card=c.id)}</div>"
        f"<div class='pl-count'>{count} {act('on' if c.on else 'off', 'switch', kind='pl-small', pressed=c.on, card=c.id)}{move}</div>"
        f"<div class='pl-thumbs'>{pictures}{more}</div>{''.join(alerts)}"
        f"<button type='button' class='pl-b' data-files='{c.id}'>Add pictures</button></section>"
    )


def _thumb(draft: Draft, c: Any, s: Any, twins: Mapping[str, Any]) -> str:
    others = [o.name or "another class" for o in twins.get(s.digest, []) if o is not c]
    mark = f"<span class='pl-twin'>also in {t(others[0])}</span>" if others else ""
    pick = act(
        f"<img src='{s.thumb}' alt='{t(s.name)}'>",
        "pick",
        kind="pl-pick",
        title=f"Pick {s.name} to move it",
        raw=True,
        card=c.id,
        shot=s.digest,
        pressed=draft.picked is s,
    )
    return (
        f"<span class='pl-thumb'>{pick}{act('×', 'remove', kind='pl-x', title=f'Remove {s.name}', card=c.id, shot=s.digest)}{mark}</span>"
    )


def samples(session: Session) -> str:
    """Sample shots as read-only cards."""
    d, by = session.data, {}
    support = d.episode.support
    for row, label in zip(support.rows, support.targets.tolist(), strict=True):
        by.setdefault(label, []).append(row)
    cards = []
    for label, name in enumerate(d.names):
        rows = by.get(label, [])
        pictures = "".join(f"<span class='pl-thumb'><img src='{source_thumb(support.source, r)}' alt=''></span>" for r in rows[:4])
        cards.append(
            f"<section class='pl-class pl-fixed' aria-label='{t(name)}'><b>{t(name)}</b>"
            f"<div class='pl-count'>{says.count(len(rows), 'shot')}</div><div class='pl-thumbs'>{pictures}</div></section>"
        )
    rest = "".join(cards[FOLDED:])
    opens = f"<details class='pl-rest'><summary>All {len(cards)} classes</summary>"
    more = f"{opens}<div class='pl-board'>{rest}</div></details>" if rest else ""
    return f"{note(says.FIXED)}<div class='pl-board'>{''.join(cards[:FOLDED])}</div>{more}"


@lru_cache(maxsize=4096)
def _drawn_thumb(source: Any, row: int) -> str:
    drawn = source.draw([row], 64)[0]  # the size that was drawn for the encoding already
    return thumb(Image.fromarray(drawn.permute(1, 2, 0).numpy()))


def source_thumb(source: Any, row: int) -> str:
    """A small copy of a source's picture; those of the sample packs are remembered."""
    while isinstance(source, core.Joined):
        source, row = source._side(row)
    return _drawn_thumb(source, row) if hasattr(source, "draw") else thumb(source.image(row))


def snap(session: Session, picture: Any, card: Any) -> View:
    """A picture of the webcam or the clipboard for a class."""
    if picture is None:
        raise BadData("there is no picture yet; take one or paste one first.")
    room = session.room("snap")
    path = room / "snap.png"
    Image.fromarray(picture).save(path)
    return files(session, card, [(path, "snapshot.png")])


__all__ = ["PACKS", "board", "do", "files", "folder_name", "own", "ready", "sample", "show", "snap", "zip_file"]
