"""The project as one file: a zip of JSON, safetensors, npz and (own) pictures; no pickle. Reading trusts nothing in it."""

import json
import re
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from promptlab.errors import BadData, PromptlabError
from promptlab.files import plain, replacing
from promptlab.fit.trace import Trace, thinned
from promptlab.jobs import Live
from promptlab.runs import RunStore
from promptlab.ui import core
from promptlab.ui.draft import Draft, folder_name, safe_suffix, take
from promptlab.ui.handlers import machine, shots
from promptlab.ui.session import Session, Ticket

FORMAT = 1
RUN_FILES = ("run.json", "events.jsonl", "state.safetensors", "predictions.npz")
LIMIT = {
    "run.json": 16 << 20,
    "events.jsonl": 64 << 20,
    "state.safetensors": 512 << 20,
    "predictions.npz": 256 << 20,
    "project.json": 4 << 20,
}
PICTURE = 10 << 20
MOST_FILES = 4600  # 2,000 pictures and some ninety runs
NAME = re.compile(
    r"project\.json|shots/\d{4}/\d{4}\.[a-z0-9]{1,6}|runs/[0-9a-f]{12}/(run\.json|events\.jsonl|state\.safetensors|predictions\.npz|trace/\d{4,7}\.safetensors)"
)


def save(session: Session, path: Path, pictures: bool = True) -> Path:
    """Write the project; ``pictures``: with the user's own shots (sample shots are named, not stored)."""
    d = session.data
    about = {
        "format": FORMAT,
        "settings": session.settings,
        "chosen": session.chosen,
        "knobs": session.knobs,
        "pinned": session.pinned,
        "data": None if d is None else {"spec": d.spec, "shots": d.shots, "seed": d.seed, "label": d.label},
        "classes": [],
    }
    with replacing(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as out:
        for i, c in enumerate(session.draft.cards if pictures else ()):
            about["classes"].append({"name": c.name, "on": c.on, "files": [s.name for s in c.shots]})
            for j, s in enumerate(c.shots):
                out.write(s.path, f"shots/{i:04d}/{j:04d}{safe_suffix(s.name)}")
        kept = [x for x in session.tickets if x.run is not None and x.run.path]
        about["runs"] = [{"id": x.id, "method": x.method, "seed": x.seed, "purpose": x.purpose, "shots": x.shots} for x in kept]
        for x in kept:
            trace = Trace(x.run.path / "trace")
            for file in (*(x.run.path / name for name in RUN_FILES), *map(trace.file, thinned(trace.epochs))):
                if file.is_file():
                    out.write(file, f"runs/{x.id}/{file.relative_to(x.run.path).as_posix()}")
        out.writestr("project.json", json.dumps(plain(about)))
    return path


def reopen(session: Session, path: Path, name: str) -> None:
    """Put a saved project in the place of what is open; nothing changes when it is refused."""
    shots.still(session)
    about, folder = _unpack(session, path, name)
    try:
        draft = _draft(session, about, folder)
        data = about.get("data")
        settings = {**session.settings, **{k: about["settings"][k] for k in ("seed", "name") if k in about["settings"]}}
        if data:
            spec, count, seed = data.get("spec"), int(data["shots"]), int(data["seed"])
            if spec and spec not in shots.PACKS.values():
                raise BadData(f"{name} names the data '{str(spec)[:60]}', which is no sample pack.")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadData(f"{name} is damaged ({type(error).__name__}); save the project again.") from None
    wanted = str(about["settings"].get("backbone", "pocket"))
    if wanted != session.settings["backbone"]:
        machine.backbone(session, wanted)
    session.settings.update(seed=int(settings["seed"]), name=str(settings["name"])[:80])
    session.draft = draft
    session.put(None)
    session.knobs = {str(k): dict(v) for k, v in about.get("knobs", {}).items() if isinstance(v, dict)}
    session.chosen = [str(m) for m in about.get("chosen", ()) if isinstance(m, str)]
    if data and spec:
        shots.put(session, core.opened(spec, count, seed, str(data["label"])[:80]))
    elif data and draft.cards:
        shots.ready(session)
    if session.data is not None:
        _runs(session, about, folder)


def _unpack(session: Session, path: Path, name: str) -> tuple[dict[str, Any], Path]:
    folder = session.room("project")
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            odd = next((i.filename for i in infos if not NAME.fullmatch(i.filename)), None)
            if odd is not None or len({i.filename for i in infos}) != len(infos):
                raise BadData(f"{name} is no saved project: it holds '{(odd or 'a file twice')[:80]}'.")
            if len(infos) > MOST_FILES or sum(i.file_size for i in infos) > 1 << 30:
                raise BadData(f"{name} holds more than this page takes.")
            for info in infos:
                target = folder.joinpath(*PurePosixPath(info.filename).parts)
                most = LIMIT.get(target.name, PICTURE)
                if info.file_size > most:
                    raise BadData(f"{name}: '{info.filename}' is larger than {most >> 20} MB, so it is not read.")
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as member:
                    data = member.read(most + 1)
                if len(data) != info.file_size:
                    raise BadData(f"{name}: '{info.filename}' is not as long as it says, so it is not read.")
                target.write_bytes(data)
        about = json.loads((folder / "project.json").read_text(encoding="utf-8"))
    except BadData:
        raise
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError, NotImplementedError, RecursionError) as error:
        raise BadData(f"{name} is no readable project ({type(error).__name__}); give a file that Save project wrote.") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT or not isinstance(about.get("settings"), dict):
        raise BadData(f"{name} is no project of this version of promptlab (format {FORMAT}); save it again.")
    return about, folder


def _draft(session: Session, about: dict[str, Any], folder: Path) -> Draft:
    draft = Draft()
    for i, c in enumerate(about["classes"]):
        card = draft.add(str(c["name"])[:80])
        card.on = bool(c["on"])
        if card.name:
            folder_name(card.name)
        files = sorted((folder / "shots" / f"{i:04d}").glob("*"))
        take(draft, card, [(f, str(n)[:120]) for f, n in zip(files, c["files"], strict=False)], session.folder / "shots")
    return draft


def _runs(session: Session, about: dict[str, Any], folder: Path) -> None:
    """Runs that fit the backbone and the shots; others are named in the status line."""
    store, clip = RunStore(folder / "runs"), core.backbone(session)
    for x in about.get("runs", ()):
        try:
            run = store.open(str(x["id"]), clip)
            run.method  # noqa: B018 - built now, so that what does not fit is refused here
            if run.report is not None and run.classes.names != session.data.names and x["purpose"] == "compare":
                raise BadData(f"run {run.id} is about other classes.")
            given = {"live": Live(run.method.card.name).read(run.events)}
            session.tickets.append(Ticket(run.id, run.key, int(x["seed"]), str(x["purpose"]), x.get("shots"), given, run))
        except (PromptlabError, KeyError, TypeError, ValueError, AttributeError, RuntimeError, OSError) as error:
            session.fail(f"A run of the project was left out: {str(error)[:160] or type(error).__name__}")
    session.pinned = str(about.get("pinned", ""))
