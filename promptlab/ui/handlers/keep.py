"""Light settings that a browser keeps for the time after its session: no pictures, no runs. What comes back is checked like any input."""

import contextlib
from typing import Any

from promptlab import registry
from promptlab.errors import PromptlabError
from promptlab.ui import facts
from promptlab.ui.handlers import machine
from promptlab.ui.session import Session

NAMES = ("name", "backbone", "device", "seed")


def settings(session: Session) -> dict[str, Any]:
    """What the browser is to keep: project name, backbone, device, seed, ticked methods."""
    return {**{k: session.settings[k] for k in NAMES}, "chosen": list(session.chosen)}


def changes(session: Session) -> dict[str, Any]:
    """The browser's copy, where it is no longer the last one that was sent."""
    now = settings(session)
    if now == session.kept:
        return {}
    session.kept = now
    return {"kept": now}


def restore(session: Session, kept: Any) -> None:
    """Take over what is still possible here; a backbone only where its weights are, because nothing may be downloaded unasked."""
    if not isinstance(kept, dict):
        return
    if isinstance(name := kept.get("name"), str) and name.strip():
        session.settings["name"] = name.strip()[:80]
    for key, kind, put in (("seed", int, machine.seed), ("device", str, machine.device), ("backbone", str, _backbone)):
        if type(value := kept.get(key)) is kind and value != session.settings[key]:
            with contextlib.suppress(PromptlabError):  # what cannot be had here any more stays as in a new session
                put(session, value)
    chosen = kept.get("chosen")
    session.chosen = [m for m in dict.fromkeys(map(str, chosen)) if m in registry.ids()] if isinstance(chosen, list) else []


def _backbone(session: Session, wanted: str) -> None:
    if facts.facts(wanted).here:
        machine.backbone(session, wanted)
