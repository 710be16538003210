"""What the page's buttons do: plain functions over a session, without any interface code."""

import dataclasses
import html
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from promptlab.errors import BadData, PromptlabError
from promptlab.plots.curves import Curve, bars, curves
from promptlab.ui import core
from promptlab.ui.controls import preset
from promptlab.ui.job import Job
from promptlab.ui.session import Session

PACKS = {"Animals, pixel art": "world:animals@pixel-art", "Animals at night": "world:animals@night", "Food, sketches": "world:food@sketch",
         "Vehicles, blurry": "world:vehicles@blurry", "Faces, grayscale": "world:faces@grayscale"}
NO_SHOTS = "No pictures yet: take a sample pack with one click, or bring 2 classes with 2 or more pictures each."
IDLE = "Choose shots on the left, then train a method. Its curves, its accuracy and its answers appear here."
READY = "Shots are ready: choose a method and press Train."
LARGEST_PICTURES = 2000
EMPTY_TABLE = core.table_html(core.COLUMNS, [])


@dataclasses.dataclass(frozen=True)
class ShotsView:
    """What the page shows after shots were chosen: a sentence, a picture of them, the table and the status line."""

    said: str
    sheet: Any
    table: str
    status: str


@dataclasses.dataclass(frozen=True)
class TrainView:
    """What the page shows while a method trains."""

    status: str
    curves: Any
    table: str


def take_sample(session: Session, pack: str, shots: int = 8) -> ShotsView:
    """One click: a pack of world pictures with its test pictures."""
    return _take(session, lambda: core.open_shots(PACKS[pack], shots), pack)


def take_zip(session: Session, path: str | None, shots: int = 16) -> ShotsView:
    """A zip with one folder a class."""
    if not path:
        return _refused(session, "no zip was chosen; drop one with a folder of pictures for each class.")
    return _take(session, lambda: core.open_shots(path, shots), Path(path).stem)


def take_pictures(session: Session, classes: Sequence[tuple[str, Sequence[str]]], shots: int = 16) -> ShotsView:
    """Pictures dropped class by class: (name, paths)."""

    def opened() -> Any:
        return core.open_shots(gather(session, classes), shots)

    return _take(session, opened, "your pictures")


def gather(session: Session, classes: Sequence[tuple[str, Sequence[str]]]) -> Path:
    """Copy the dropped pictures into one folder a class inside the session's own folder."""
    used = [(name.strip(), list(paths)) for name, paths in classes if name.strip() or paths]
    if len(used) < 2:
        raise BadData(f"{len(used)} class{'' if len(used) == 1 else 'es'} came; give 2 or more, each with a name and 2 or more pictures.")
    if sum(len(paths) for _, paths in used) > LARGEST_PICTURES:
        raise BadData(f"more than {LARGEST_PICTURES} pictures came; choose fewer.")
    room, seen = session.room("shots"), set()
    for i, (name, paths) in enumerate(used, 1):
        if not name:
            raise BadData(f"class {i} has pictures and no name; give it one.")
        if len(paths) < 2:
            raise BadData(f"class '{name}' has {len(paths)} picture{'' if len(paths) == 1 else 's'}; the held-out check needs 2 or more.")
        safe = _folder_name(name)
        if safe.casefold() in seen:
            raise BadData(f"the class name '{name}' is there twice; rename or merge the two.")
        seen.add(safe.casefold())
        (room / safe).mkdir()
        for n, path in enumerate(paths):
            shutil.copyfile(path, room / safe / f"{n:04d}-{Path(path).name}")
    return room


def train(session: Session, method: str, values: Mapping[str, Any]) -> Iterator[TrainView]:
    """Fit a method on the session's shots; yields what to show, at most four times a second, and the final state last."""
    if session.data is None:
        yield _view(session, _error(NO_SHOTS))
        return
    if session.busy:
        yield _view(session, f"{session.job.name} is still training; stop it first.")
        return
    try:
        given = core.cleaned(method, values)
        request = core.request(method, session.data, given, preset(method))
    except PromptlabError as error:
        yield _view(session, _error(str(error)))
        return
    job = Job(core.title(method), lambda job: core.run(session, request, job)).start()
    session.job = job
    for _ in job.watch():
        yield _view(session, html.escape(job.words()), live=job)
    yield _finished(session, job)


def _finished(session: Session, job: Job) -> TrainView:
    if job.error:
        return _view(session, _error(job.error))
    if job.result is None:
        return _view(session, "Stopped before the first step; nothing was learned.")
    session.runs.append(job.result)
    session.curves.append(dataclasses.replace(job.curve, name=f"{len(session.runs)} {job.name}"))
    return _view(session, core.verdict(session, job.result, job.notes))


def stop(session: Session) -> str:
    """End the running fit after its step; what was learned so far stays usable."""
    if not session.busy:
        return "Nothing is training."
    session.job.stop.set()
    return session.job.words()


def predict(session: Session, picture: str | None) -> tuple[Any, str]:
    """Bars of zero-shot and the last three runs for one picture."""
    if not picture:
        return empty_bars(), ""
    if session.data is None:
        return empty_bars(), NO_SHOTS
    try:
        scores, names = core.answers(session, picture)
    except PromptlabError as error:
        return empty_bars(), _error(str(error))
    best = {method: names[max(range(len(names)), key=values.__getitem__)] for method, values in scores.items()}
    said = " · ".join(f"{html.escape(m)}: **{html.escape(n)}**" for m, n in best.items())
    return bars(names, scores), said + ("" if session.runs else ". Train a method to see it beside zero-shot.")


def test_picture(session: Session) -> str | None:
    """A test picture of the session's shots, another one each time."""
    if session.data is None:
        return None
    session.tried += 1
    return core.test_picture(session, session.tried)


def empty_curves() -> Any:
    return curves([])


def empty_bars() -> Any:
    return bars(["drop a picture"], {"zero-shot": [0.0]})


def _take(session: Session, opened: Any, label: str) -> ShotsView:
    if session.busy:
        return _refused(session, f"{session.job.name} is still training; stop it before you change the shots.")
    try:
        data = opened()
        session.put(data, label)
        session.zero = core.zero_shot(session)
        sheet = core.sheet(session)
    except PromptlabError as error:
        return _refused(session, str(error))
    return ShotsView(core.describe(session), sheet, core.table(session), READY)


def _refused(session: Session, sentence: str) -> ShotsView:
    sheet = core.sheet(session) if session.data is not None else None
    return ShotsView(_error(sentence), sheet, core.table(session), READY if session.data is not None else IDLE)


def _view(session: Session, status: str, live: Job | None = None) -> TrainView:
    shown: list[Curve] = [*session.curves, *([live.curve] if live else [])][-8:]
    return TrainView(status, curves(shown, baseline=core.baseline(session)), core.table(session))


def _error(sentence: str) -> str:
    """A sentence for the page: user text in it is shown as text, never read as HTML."""
    return f"<div class='pl-error'><p>{html.escape(sentence)}</p></div>"


def _folder_name(name: str) -> str:
    """The class name without characters that a folder cannot hold."""
    kept = "".join(c for c in name if c.isprintable() and c not in '/\\:*?"<>|').strip(". ")
    if not kept:
        raise BadData(f"the class name {name!r} has no letters; give it a name that a sentence can hold.")
    return kept[:80]
