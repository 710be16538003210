"""What the fits run with, in the sidebar: the backbone with its facts before it is loaded, the device, the seed."""

import re
from typing import Any

from promptlab.errors import BackboneLacks, BadData, PromptlabError
from promptlab.ui import core, facts, says
from promptlab.ui.handlers.views import Up, View
from promptlab.ui.pieces import act, note, t
from promptlab.ui.session import Session

MOST_SEED = 2**31 - 2
MB = "Megabytes: to download once, and about as many in memory."
ASIDE = "{} was handed over by Python and stays on {}; load it there on another device."


def show(session: Session) -> View:
    """Both lists as they are for this session."""
    return {"about_backbone": about(core.backbone(session)), "backbones": backbones(session), "devices": devices(session)}


show.quiet = True  # the page asks for it when the fold opens: an error of what a visitor did meanwhile stays


def backbones(session: Session) -> str:
    """All choices with size, memory, licence and whether they are here, the one that was looked up first."""
    wanted, rows = session.view.get("backbone"), []
    listed = dict.fromkeys([*([wanted] if wanted else []), *session.given, *facts.CHOICES])
    for name in listed:
        used = name == session.settings["backbone"]
        if (clip := session.given.get(name)) is not None:
            rows.append(_row(name, f"handed over by Python, on {clip.device}", "here", used, "Use"))
            continue
        try:
            f = facts.facts(name)
        except PromptlabError as problem:  # the list stays a list where another open_clip lacks one of its names
            rows.append(f"<li><span class='pl-name'>{t(name)}</span> <span class='pl-facts'>{t(problem)}</span></li>")
            continue
        rows.append(_row(name, f.words, f.place, used, "Use" if f.here else "Download, use"))
    return note(MB) + f"<ul class='pl-facts-list' aria-label='Backbones' tabindex='0'>{''.join(rows)}</ul>"


def _row(name: str, words: str, place: str, used: bool, what: str) -> str:
    mark = f"<span class='pl-badge{' pl-good' if place != 'not downloaded' else ''}'>{t(place)}</span>"
    use = act(what, "backbone", kind="pl-small", title=f"{what}: {name}", to=name)
    state = "<span class='pl-inuse'>in use</span>" if used else use
    return f"<li><b>{t(name)}</b><span class='pl-facts'>{t(words)}</span><span class='pl-choice'>{mark}{state}</span></li>"


def look_up(session: Session, wanted: str) -> View:
    """The facts of any open_clip NAME:TAG, before anything is loaded; Enter in the box."""
    wanted = (wanted or "").strip()
    if not wanted or wanted in session.given:
        return {"backbones": backbones(session)}
    _tag(wanted)
    facts.facts(wanted)
    session.view["backbone"] = wanted
    return {"backbones": backbones(session)}


def _tag(wanted: str) -> str:
    """The backbone's name without its tag; a tag must not be a path."""
    name, _, tag = wanted.partition(":")
    if tag and not re.fullmatch(r"[A-Za-z0-9_.-]+", tag):
        raise BadData(f"'{tag[:60]}' is no tag of {name[:60]}; a checkpoint file is given on the command line.")
    return name


def backbone(session: Session, wanted: str) -> View:
    """Another backbone: the shots stay, the runs go, because they were fitted on the other one."""
    wanted = (wanted or "pocket").strip()
    name = _tag(wanted)
    if wanted != session.settings["backbone"]:
        if session.open:
            raise BadData(says.STILL)
        try:
            _renew(session, backbone=wanted)
        except PromptlabError as problem:
            if size := re.search(r"about \d+ MB", str(problem)):
                raise BackboneLacks(says.offline(name, size.group(0).removeprefix("about "))) from None
            raise
    return {"about_backbone": about(core.backbone(session)), "backbone": Up(value=wanted), **show(session)}


def _renew(session: Session, **settings: str) -> None:
    """Other settings of what is computed with; the reference row is made anew. Nothing changes where they cannot be had."""
    before = dict(session.settings)
    session.settings.update(settings)
    try:
        core.backbone(session)
        if session.data is not None:
            session.put(session.data)
            core.zero_shot(session)
    except PromptlabError:
        session.settings = before
        raise


def about(clip: Any) -> str:
    """Size, memory and device of a backbone that is loaded."""
    count = sum(w.numel() for tower in (clip.image, clip.text) for w in getattr(tower, "weights", {}).values())
    size = f"{count / 1e6:.1f} M parameters, {count * 4 / 1e6:,.0f} MB in memory, " if count else ""
    return note(f"{clip.name}: {size}pictures of {clip.spec.size} px, on {clip.device}.")


def devices(session: Session) -> str:
    """Four devices to choose from; one that torch does not see here is grey, with the reason below."""
    now, reasons = session.settings["device"], facts.devices()
    keys = [
        act(f"auto ({facts.real('auto')})" if d == "auto" else d, "device", kind="pl-small", pressed=d == now, off=why, to=d)
        for d, why in reasons.items()
    ]
    why = "".join(f"<li><b>{d}</b>: {t(words)}</li>" for d, words in reasons.items() if words)
    below = f"<ul class='pl-list pl-note'>{why}</ul>" if why else ""
    return f"<div class='pl-devices' role='group' aria-label='Device'><span>Device</span> {' '.join(keys)}</div>{below}"


def device(session: Session, wanted: str) -> View:
    """Another device: as with another backbone, the runs go, unless it is the same one by another name."""
    reasons = facts.devices()
    if wanted not in reasons:
        usable = ", ".join(d for d, why in reasons.items() if not why)
        raise BadData(f"there is no device '{wanted[:20]}'; choose one of {usable}.")
    if reasons[wanted]:
        raise BackboneLacks(f"{wanted} cannot be used: {reasons[wanted]}")
    if (clip := session.given.get(session.settings["backbone"])) is not None and facts.real(wanted) != clip.device.type:
        raise BadData(ASIDE.format(clip.name, clip.device))
    if facts.real(wanted) == facts.real(session.settings["device"]):
        session.settings["device"] = wanted
    elif session.open:
        raise BadData(says.STILL)
    else:
        _renew(session, device=wanted)
    return {"about_backbone": about(core.backbone(session)), **show(session)}


def seed(session: Session, wanted: Any) -> View:
    """Another seed for what is drawn and trained from now on; an empty box changes nothing."""
    if wanted is None:
        return {}
    if wanted != int(wanted) or not 0 <= wanted <= MOST_SEED:
        raise BadData(f"a seed is a whole number from 0 to {MOST_SEED}; {session.settings['seed']} is used until you give one.")
    session.settings["seed"] = int(wanted)
    return {}
