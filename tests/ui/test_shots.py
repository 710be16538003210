"""The class cards: naming, moving, merging; hostile files, each refused in one sentence while the rest is kept."""

import io
import os
import stat
import struct
import zipfile
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from promptlab.errors import BadData, PromptlabError
from promptlab.ui import draft as drafts
from promptlab.ui import says
from promptlab.ui.draft import Draft, folder_name, gather, open_zip, take
from promptlab.ui.handlers import doctor, share, shots, train
from promptlab.ui.out import project
from tests.ui.conftest import picture

SCRIPT = "<img src=x onerror=alert(1)>"


@pytest.fixture
def files(tmp_path):
    return [(picture(tmp_path / f"{i}.png", i), f"{i}.png") for i in range(12)]


def filled(session, files, names=("red fox", "cat")):
    shots.own(session)
    for card, name, part in zip(session.draft.cards, names, (files[:4], files[4:8])):
        shots.do(session, {"act": "rename", "card": card.id, "value": name})
        shots.files(session, card.id, part)
    return session


def test_cards_become_shots(session, files):
    filled(session, files)
    assert session.draft.problem() is None
    shots.ready(session)
    assert session.data.names == ("cat", "red fox") and len(session.data.episode.support) == 4 and session.zero.report is not None
    assert "set" not in session.failed and session.chosen


def test_names_with_markup_are_text_everywhere(session, files):
    filled(session, [(p, f"{SCRIPT}{i}.png") for i, (p, _) in enumerate(files)], (SCRIPT, "a&b"))
    shots.ready(session)
    assert set(session.data.names) == {SCRIPT, "a&b"}
    session.knobs["taskres"] = {"steps": 2, "batch": 4}
    from tests.ui.test_handlers import finish

    train.start(session, methods=["taskres"])
    finish(session)
    from promptlab.ui.handlers import acts

    view = {**acts.blank(session), **shots.files(session, session.draft.cards[0].id, [files[9]])}
    for name, value in view.items():
        shown = value if isinstance(value, str) else repr(value) if name in ("similar", "matrix_a", "zero_bars") else ""
        if name not in ("names", "code"):  # a text box and a code box show text as text
            assert "<img src=x" not in shown, name


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ([], says.NO_SHOTS),
        ([("cat", 2)], "There is 1 class"),
        ([("cat", 2), ("", 2)], "Class 2 has pictures and no name"),
        ([("cat", 2), ("dog", 1)], "Class 'dog' has 1 image; held-out check needs 2."),
        ([("cat", 2), ("CAT", 2)], "is there twice"),
    ],
)
def test_what_is_missing_is_said(tmp_path, files, cards, words):
    draft, left = Draft(), list(files)
    for name, count in cards:
        take(draft, draft.add(name), [left.pop() for _ in range(count)], tmp_path / "kept")
    assert words in draft.problem()
    with pytest.raises(BadData):
        gather(draft, tmp_path)


def test_train_too_early_says_which_class_lacks_what(session, files):
    shots.own(session)
    for card, name, part in zip(session.draft.cards, ("dog", "cat"), (files[:4], files[4:5])):
        card.name = name
        shots.files(session, card.id, part)
    view = train.show(session)
    assert says.fewer("cat", 1) in view["methods"].replace("&#x27;", "'") and view["go_train"]["interactive"] is False
    assert "has 1 image" in doctor.show(session)


def test_move_merge_remove_switch(session, files):
    filled(session, files, ("cat", "Cat"))
    first, second = session.draft.cards
    assert "is there twice" in shots.board(session.draft)
    shots.do(session, {"act": "pick", "card": first.id, "shot": first.shots[0].digest})
    assert "Move here" in shots.board(session.draft)
    shots.do(session, {"act": "move", "card": second.id})
    assert (len(first.shots), len(second.shots)) == (3, 5)
    shots.do(session, {"act": "remove", "card": first.id, "shot": first.shots[0].digest})
    shots.do(session, {"act": "merge", "card": second.id})
    assert len(session.draft.cards) == 1 and len(session.draft.cards[0].shots) == 7
    shots.do(session, {"act": "switch", "card": first.id})
    assert not session.draft.used
    with pytest.raises(BadData, match="no longer there"):
        shots.do(session, {"act": "drop-class", "card": 99})


def test_one_picture_in_two_classes_is_said_inline(session, files):
    filled(session, [*files[:4], *files[:2], *files[4:6]], ("cat", "dog"))
    assert "also in dog" in shots.board(session.draft) and "The same picture is in" in doctor.show(session)
    shots.files(session, session.draft.cards[0].id, [files[0]])
    assert "this picture is in the class already" in shots.board(session.draft)


def test_two_thousand_files_and_no_more(session, tmp_path, monkeypatch):
    monkeypatch.setattr(drafts, "MOST_PICTURES", 20)
    many = [(picture(tmp_path / f"{i}.png", i, 8), f"{i}.png") for i in range(30)]
    shots.own(session)
    view = shots.files(session, session.draft.cards[0].id, many)
    assert session.draft.total == 20 and "10 pictures more than 20 came; they are not used." in view["board"]
    assert f"and {20 - shots.SHOWN} more" in view["board"]


def png(width, height):
    """The header of a huge picture with hardly any data."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", b"x")
        + chunk(b"IEND", b"")
    )


HOSTILE = {
    "huge.png": (png(10_000, 10_000), "100 megapixels"),
    "bomb.png": (png(60_000, 60_000), "megapixels"),
    "empty.jpg": (b"", "empty"),
    "text.png": (b"just words", "not a picture although its name ends in .png"),
    "cut.png": (None, "data is damaged"),
    "page.svg": (b"<svg onload='alert(1)'/>", "format not read"),
    "IMG_3.heic": (b"\0\0\0\x18ftypheic", "format not read; save it as JPG or PNG"),
    "script.ps": (b"%!PS\n(x) run", "format not read"),
}


def test_each_bad_file_is_named_and_the_rest_is_kept(session, files, tmp_path):
    good = io.BytesIO()
    Image.new("RGB", (30, 30), "red").save(good, "PNG")
    sent = []
    for name, (data, _) in HOSTILE.items():
        path = tmp_path / f"sent-{name}"
        path.write_bytes(good.getvalue()[:40] if data is None else data)
        sent.append((path, name))
    shots.own(session)
    card = session.draft.cards[0]
    shots.files(session, card.id, [*sent, *files[:3]])
    assert len(card.shots) == 3 and len(card.problems) == len(HOSTILE)
    for name, (_, words) in HOSTILE.items():
        said = next(p for p in card.problems if p.startswith(name))
        assert words in said and said.count(". ") == 0 and len(said) < 200


def test_links_and_paths_outside_are_not_read(tmp_path, session):
    from promptlab.ui.screens.wire import uploaded

    (tmp_path / "up").mkdir()
    secret, link = picture(tmp_path / "secret.png", 1), tmp_path / "up" / "link.png"
    os.symlink(secret, link)
    fine = picture(tmp_path / "up" / "fine.png", 2)
    for bad in (link, secret, "/etc/passwd", tmp_path / "up" / ".." / "secret.png", "", None, tmp_path):
        assert uploaded(session, bad, [tmp_path / "up"]) is None
    assert uploaded(session, str(fine), [tmp_path / "up"]) == fine and fine.resolve() in session.uploads
    card = session.draft.add("x")
    take(session.draft, card, [(link, "link.png")], tmp_path / "kept")
    assert not card.shots and "did not arrive" in card.problems[0]


def archive(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in entries:
            out.writestr(name, data)
    return path


def test_hostile_zips_change_nothing(session, files, tmp_path):
    filled(session, files)
    before = [(c.name, len(c.shots)) for c in session.draft.cards]
    link = zipfile.ZipInfo("cat/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    bad = {
        "out": archive(tmp_path / "out.zip", [("../../evil.png", b"x")]),
        "link": archive(tmp_path / "link.zip", [(link, b"/etc/passwd")]),
        "bomb": archive(tmp_path / "bomb.zip", [("cat/a.png", b"\0" * 30_000_000)]),
        "absolute": archive(tmp_path / "a.zip", [("/etc/x.png", b"x")]),
        "many": archive(tmp_path / "many.zip", [(f"c/{i}.png", b"") for i in range(8100)]),
        "text": tmp_path / "text.zip",
        "empty": archive(tmp_path / "empty.zip", []),
    }
    bad["text"].write_bytes(b"no zip at all")
    for name, path in bad.items():
        with pytest.raises(PromptlabError) as caught:
            shots.zip_file(session, path, path.name)
        assert len(str(caught.value)) < 260 and "\n" not in str(caught.value), name
    assert [(c.name, len(c.shots)) for c in session.draft.cards] == before and not (tmp_path.parent / "evil.png").exists()


def test_a_zip_becomes_cards(session, files, tmp_path):
    path = archive(
        tmp_path / "shots.zip",
        [(f"{'cat' if i < 3 else 'dog'}/{n}", p.read_bytes()) for i, (p, n) in enumerate(files[:6])] + [("dog/broken.png", b"no picture")],
    )
    shots.zip_file(session, path, "shots.zip")
    assert [(c.name, len(c.shots)) for c in session.draft.cards] == [("cat", 3), ("dog", 3)] and "broken.png" in session.draft.note
    shots.ready(session)
    assert session.data.names == ("cat", "dog")


@pytest.mark.parametrize("name", ["", " . ", "/..", "\x00\x01", "***"])
def test_names_without_letters(name):
    with pytest.raises(BadData, match="has no letters"):
        folder_name(name)


def formats():
    """One small file of every kind that is read."""
    image, found = Image.effect_noise((24, 24), 60).convert("RGB"), []
    for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"):
        out = io.BytesIO()
        image.save(out, kind)
        found.append(out.getvalue())
    return found


SEEDS = formats()


@pytest.mark.slow
@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=12),
    st.integers(0, 5000),
    st.booleans(),
    st.text(max_size=30),
)
def test_six_hundred_mutated_files(tmp_path_factory, data, changes, cut, shorten, name):
    folder = tmp_path_factory.getbasetemp() / "mutated"
    folder.mkdir(exist_ok=True)
    made = bytearray(data)
    for at, value in changes:
        made[at % len(made)] = value
    path = folder / "sent"
    path.write_bytes(made[: cut % len(made)] if shorten else made)
    draft = Draft()
    card = draft.add("x")
    take(draft, card, [(path, name or "x")], folder / "kept")
    assert len(card.shots) + len(card.problems) >= 1 and all("\n" not in p or "\n" in name for p in card.problems)
    assert "<script" not in shots.board(draft)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8), st.booleans())
def test_mutated_zips_and_projects(tmp_path_factory, changes, as_project):
    folder = tmp_path_factory.getbasetemp() / "zips"
    folder.mkdir(exist_ok=True)
    good = folder / "good.zip"
    if not good.exists():
        archive(good, [(f"{c}/{i}.png", SEEDS[0]) for c in ("cat", "dog") for i in range(3)] + [("project.json", b'{"format": 1}')])
    made = bytearray(good.read_bytes())
    for at, value in changes:
        made[at % len(made)] = value
    path = folder / "bad.zip"
    path.write_bytes(made)
    from promptlab.ui.session import Sessions

    try:
        if as_project:
            project._unpack(Sessions(folder).get("x" * 32, back=True), path, "bad.zip")
        else:
            open_zip(path, "bad.zip")
    except PromptlabError as error:
        assert len(str(error)) < 400


def test_hostile_projects(session, tmp_path):
    run = '{"id": 1}'
    for entries in (
        [("project.json", b"[]")],
        [("project.json", b"{}")],
        [("../x", b"")],
        [("project.json", b'{"format": 1, "settings": 3}')],
        [("project.json", b'{"format": 1, "settings": {}, "classes": 5}')],
        [("shots/0000/0000.png", b"x")],
        [("project.json", b'{"format": 1, "settings": {}, "classes": [], "data": {"spec": "/etc", "shots": 1, "seed": 1, "label": ""}}')],
        [("project.json", b'{"format":1,"settings":{},"classes":[]}'), ("runs/aaaaaaaaaaaa/evil.pkl", run)],
    ):
        with pytest.raises(PromptlabError) as caught:
            share.open_project(session, str(archive(tmp_path / "p.zip", entries)), "p.zip")
        assert len(str(caught.value)) < 200
    assert session.data is None and not session.tickets
