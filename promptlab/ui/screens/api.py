"""Endpoints with names for other programs (``gradio_client``, and MCP when it is switched on). A session is a string that they keep."""

import time
from pathlib import Path
from typing import Any

import gradio as gr

from promptlab import inspect as insight
from promptlab import registry
from promptlab.errors import BadData, PromptlabError
from promptlab.ui import core, says
from promptlab.ui.draft import open_zip
from promptlab.ui.handlers import frame, learn, share, train
from promptlab.ui.handlers import rows as table
from promptlab.ui.handlers import shots as shots_
from promptlab.ui.session import SESSIONS

WAIT = 3600.0  # seconds that a call of train waits


def open_session() -> str:
    """Begin a session and return its secret key: hand it to every other call. It ends after an hour without use.

    Returns:
        The key of the session.
    """
    key = SESSIONS.new()
    with _guard():
        SESSIONS.get(key)
    return key


def shots(session: str, data: str = "world:animals@pixel-art", per_class: int = 8, archive: dict[str, Any] | None = None) -> dict[str, Any]:
    """Open shots: a sample pack by its name or world:TASK@STYLE, or a zip of class folders that was sent along.

    Parameters:
        session: The key of open_session.
        data: "world:TASK@STYLE" or the name of a sample pack; ignored when an archive comes.
        per_class: Shots a class to learn from.
        archive: A zip that was sent along (handle_file), or None.
    Returns:
        Classes, counts, and the accuracy of zero-shot.
    """
    with _guard(), SESSIONS.using(session) as s:
        shots_.still(s)
        if archive:
            path = _received(archive)
            shots_.put(s, core.Opened(open_zip(path, path.name), int(per_class), int(s.settings["seed"]), None, path.stem))
        else:
            spec = shots_.PACKS.get(data, data)
            if not spec.startswith("world:"):
                raise BadData("data must be a sample pack or world:TASK@STYLE; send a zip for your own pictures.")
            shots_.put(s, core.opened(spec, int(per_class), int(s.settings["seed"]), data))
        return {
            "classes": list(s.data.names),
            "support": len(s.data.episode.support),
            "test": len(s.data.test or ()),
            "zero_shot": s.zero.report.headline if s.zero.report else None,
        }


def methods() -> list[dict[str, Any]]:
    """All methods with family, supervision and what they train.

    Returns:
        One card a method.
    """
    return [learn.facts(key) for key in registry.ids()]


def train_(session: str, method: str, settings: dict[str, Any] | None = None, seed: int = 1) -> dict[str, Any]:
    """Train one method on the session's shots and wait for it.

    Parameters:
        session: The key of open_session.
        method: Id of a method.
        settings: Knobs that differ from the preset, such as {"steps": 60}.
        seed: Seed of the draw and of the fit.
    Returns:
        Id, status, accuracy, accuracy of zero-shot, trainable parameters and seconds.
    """
    with _guard(), SESSIONS.using(session) as s:
        if s.data is None:
            raise BadData(says.GATE)
        registry.card(method)
        s.knobs[method] = dict(settings or {})
        before = {x.id for x in s.tickets}
        train.submit(s, method, int(seed))
        id = next((x.id for x in s.tickets if x.id not in before), None) or next(x.id for x in reversed(s.tickets) if x.method == method)
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        with _guard(), SESSIONS.using(session) as s:
            ticket = next((x for x in s.tickets if x.id == id), None)
            if ticket is None or ticket.error:
                raise gr.Error(ticket.error if ticket else "the session's shots were changed.", print_exception=False)
            if ticket.run is not None:
                r = ticket.run
                return {
                    "id": r.id,
                    "method": r.key,
                    "status": r.status,
                    "accuracy": r.report.headline if r.report else None,
                    "zero_shot": s.zero.report.headline if s.zero.report else None,
                    "trainable": r.meta["trainable"],
                    "seconds": r.meta["seconds"],
                }
        time.sleep(0.2)
    raise gr.Error("the training took longer than an hour; look at it on the page.", print_exception=False)


def predict(session: str, picture: gr.FileData, names: str = "") -> dict[str, dict[str, float] | str]:
    """Probabilities of the classes by zero-shot and by every trained run.

    Parameters:
        session: The key of open_session.
        picture: A picture that was sent along.
        names: Other class names with commas between them, or "" for those of the shots.
    Returns:
        Run name to {class: probability}, or to the sentence that says why not.
    """
    with _guard(), SESSIONS.using(session) as s:
        if s.data is None:
            raise BadData(says.GATE)
        other = tuple(dict.fromkeys(n.strip() for n in names.split(",") if n.strip()))
        return {k: v[0] for k, v in share.answers(s, str(_received(picture)), other).items()}


def compare(session: str) -> list[dict[str, Any]]:
    """The comparison table: accuracy, spread over seeds, gain, and whether the difference means something.

    Parameters:
        session: The key of open_session.
    Returns:
        One row a method.
    """
    with _guard(), SESSIONS.using(session) as s:
        if s.zero is None:
            raise BadData(says.GATE)
        rows = table.groups(s)
        zero = next(r for r in rows if r["index"] is None)
        return [
            {
                "method": r["key"],
                "accuracy": r["accuracy"],
                "spread": r["spread"],
                "gain": r["accuracy"] - zero["accuracy"],
                "remark": "" if r is zero else table.tells(r, zero),
                "seeds": len(r["mine"]),
                "ece": r["ece"],
                "trainable": r["trainable"],
                "seconds": r["seconds"],
                "runs": r["runs"],
            }
            for r in rows
        ]


def inspect(session: str, run: str, what: str = "evidence", picture: int = 0) -> dict[str, Any]:
    """One exhibit of a run as data: words, evidence, shift, memory, ...

    Parameters:
        session: The key of open_session.
        run: Id of a run, or "zero".
        what: Name of the exhibit.
        picture: Number of a held-out picture.
    Returns:
        Title, note, arrays, labels and the numbers that say whether to trust it.
    """
    import json

    with _guard(), SESSIONS.using(session) as s:
        r = s.zero if run == "zero" else next((x for x in s.runs if x.id == run), None)
        if r is None:
            raise BadData("there is no such run in this session.")
        with core.COMPUTE:
            return json.loads(insight.show(r, what, core.one(s, int(picture))).to_json())


def words(session: str) -> str:
    """What the machine does for this session now: idle, training, or the place in the queue.

    Parameters:
        session: The key of open_session.
    Returns:
        One sentence.
    """
    with _guard(), SESSIONS.using(session) as s:
        return frame.words(s)


def _received(sent: Any) -> Path:
    """The file of a ``handle_file``, wherever this server keeps what it receives."""
    from promptlab.ui.screens.frame import roots

    found = Path(str(sent.get("path", "") if isinstance(sent, dict) else getattr(sent, "path", sent)))
    if found.is_symlink() or not found.is_file() or not any(found.resolve().is_relative_to(r.resolve()) for r in roots()):
        raise BadData("that file was not sent to this server; use handle_file of gradio_client.")
    return found


class _guard:
    """Errors that a user is meant to read become sentences of the API."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, PromptlabError):
            raise gr.Error(str(error), print_exception=False) from None


def add() -> None:
    """All endpoints, inside the Blocks."""
    for fn, name, lane in (
        (open_session, "open_session", None),
        (shots, "shots", "compute"),
        (methods, "methods", None),
        (train_, "train", None),
        (predict, "predict", None),
        (compare, "compare", None),
        (inspect, "inspect", "look"),
        (words, "status", None),
    ):
        gr.api(fn, api_name=name, concurrency_id=lane, concurrency_limit=8 if lane is None else "default")
