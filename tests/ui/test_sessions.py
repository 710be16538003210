"""Sessions by token: apart from one another, bounded, and really gone when they are deleted; the lane that they share."""

import time
from pathlib import Path

import pytest

from promptlab.errors import PromptlabError
from promptlab.jobs import Job, Jobs, Lane
from promptlab.runs import RunStore
from promptlab.ui import core, says
from promptlab.ui.handlers import frame, keep, machine, shots
from promptlab.ui.session import TTL, Sessions
from tests.ui.conftest import picture


def test_a_token_is_needed_and_cannot_be_short(sessions):
    for bad in (None, "", "short", "../" * 12, 7, ["x" * 40]):
        with pytest.raises(PromptlabError, match="lost its session"):
            sessions.get(bad)
    assert len({sessions.new() for _ in range(50)}) == 50


def test_a_token_whose_session_has_ended_begins_anew_only_where_a_page_is_opened(sessions):
    key = sessions.new()
    assert not sessions.get(key).returned
    sessions.clear()
    with pytest.raises(PromptlabError, match="lost its session; reload it"):
        sessions.get(key)
    with pytest.raises(PromptlabError, match="lost its session"):
        sessions.get("x" * 40)  # nor can anybody make up a token of their own
    assert sessions.get(key, back=True).returned and sessions.get(key).returned


def test_sessions_are_apart_and_their_files_go(sessions, tiny, tmp_path):
    a, b = (sessions.get(sessions.new()) for _ in range(2))
    assert a.folder != b.folder
    for s in (a, b):
        shots.own(s)
        shots.files(s, s.draft.cards[0].id, [(picture(tmp_path / "x.png", 1), "x.png")])
    assert list(a.folder.rglob("*.png")) and a.draft.cards[0].shots[0].path.is_relative_to(a.folder)
    sessions.drop(a.key)
    assert not a.folder.exists() and list(b.folder.rglob("*.png"))
    sessions.sweep(time.monotonic() + TTL + 1)
    assert len(sessions) == 0 and not b.folder.exists()


def test_uploads_go_with_the_session_unless_somebody_else_sent_the_same(sessions, tmp_path):
    a, b = (sessions.get(sessions.new()) for _ in range(2))
    (tmp_path / "up" / "1").mkdir(parents=True)
    mine, shared = picture(tmp_path / "up" / "1" / "mine.png", 1), picture(tmp_path / "up" / "shared.png", 2)
    a.uploads |= {Path(mine), Path(shared)}
    b.uploads.add(Path(shared))
    sessions.drop(a.key)
    assert not mine.exists() and not mine.parent.exists() and shared.exists()
    sessions.drop(b.key)
    assert not shared.exists()


def test_places_are_bounded(tmp_path):
    few = Sessions(tmp_path, most=2)
    keys = [few.new() for _ in range(3)]
    for k in keys[:2]:
        few.get(k)
    with pytest.raises(PromptlabError, match="All 2 places are taken"):
        few.get(keys[2])
    few.drop(keys[0])
    assert few.get(keys[2])
    few.clear()


def test_a_browser_that_comes_back_after_a_restart_is_told_so(session):
    session.returned = True
    assert says.RETURNED.split(".")[0] in frame.status(session)
    frame.do(session, {"act": "dismiss"})
    assert frame.status(session).count("pl-info") == 0


def test_a_browser_keeps_light_settings_and_what_comes_back_is_checked(sessions, session, monkeypatch):
    machine.seed(session, 7)
    session.settings["name"], session.chosen = "Owls", ["coop"]
    kept = keep.changes(session)["kept"]
    assert kept == {"name": "Owls", "backbone": "pocket", "device": "auto", "seed": 7, "chosen": ["coop"]}
    assert keep.changes(session) == {}  # nothing new, nothing sent
    later = sessions.get(sessions.new())
    keep.restore(later, kept)
    assert keep.settings(later) == kept
    plain = keep.settings(sessions.get(sessions.new()))
    asked = []
    monkeypatch.setattr(core, "load_backbone", lambda name, device: asked.append(name))
    hostile = {"name": ["x"], "seed": True, "device": "cuda:9", "backbone": "ViT-B-32:../../etc/passwd", "chosen": "coop"}
    for bad in (None, 7, "x", [], hostile, {"seed": 2**40, "backbone": "ViT-L-14:openai", "chosen": [{}, "no such", None]}):
        other = sessions.get(sessions.new())
        keep.restore(other, bad)
        assert keep.settings(other) == plain
    assert not asked  # weights that are not here are not fetched for somebody who did not ask


def test_owners_take_turns(tmp_path):
    lane = Lane(8)
    lane._worker = object()  # nothing runs: only the order is looked at
    a, b = (Jobs(RunStore(tmp_path / n), lane=lane) for n in "ab")
    jobs = [Job(f"a{i}", None, owner=a) for i in range(3)] + [Job("b0", None, owner=b)]
    for job in jobs:
        lane.put(job)
    order = [j.id for j in sorted(lane._waiting, key=lambda j: j.turn)]
    assert order == ["a0", "b0", "a1", "a2"]
    assert [j.id for j in lane.before(jobs[1])] == ["a0", "b0"]
    assert lane.drop(jobs[1]) and jobs[1].done.is_set() and not lane.drop(jobs[1])


def test_the_queue_says_how_long():
    assert says.place(2, 61.0) == "2 people before you, about 61 s. Stop works while you wait."
    assert says.place(1, None) == "1 person before you. Stop works while you wait."
