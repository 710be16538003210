"""The endpoints for other programs, through gradio_client against a served page; what a stranger can and cannot ask for."""

import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from gradio_client import Client, handle_file

from promptlab import registry
from promptlab.backbones.tiny import tiny_backbone
from promptlab.cli.serve import credentials
from promptlab.ui import core, says
from promptlab.ui.session import SESSIONS
from tests.ui.conftest import picture


@pytest.fixture(scope="module")
def url():
    """A page on a tiny backbone."""
    from promptlab.ui import build_app, launch

    patch, clip = pytest.MonkeyPatch(), tiny_backbone()
    patch.setattr(core, "load_backbone", lambda name, device: clip)
    patch.setattr(core, "MOST_TESTS", 24)
    app = build_app()
    _, address, _ = launch(app, port=None, wait=False, quiet=True, warmed=False)
    yield address
    SESSIONS.clear()
    app.close()
    patch.undo()


@pytest.fixture
def client(url):
    return Client(url, verbose=False)


def test_the_page_asks_nothing_of_other_machines(url):
    page = urllib.request.urlopen(url, timeout=60).read().decode()
    assert "promptlab" in page and "fonts.googleapis" not in page and "cdn" not in page.split("<script")[0]


def test_a_whole_session(client, tmp_path):
    key = client.predict(api_name="/open_session")
    found = client.predict(key, "world:vehicles@blurry", 1, api_name="/shots")
    assert found["support"] == len(found["classes"]) and 0 <= found["zero_shot"] <= 1
    assert {m["id"] for m in client.predict(api_name="/methods")} == set(registry.ids())
    run = client.predict(key, "taskres", {"steps": 3, "batch": 8}, 1, api_name="/train")
    assert run["status"] == "done" and run["method"] == "taskres" and run["trainable"] > 0
    scores = client.predict(key, handle_file(str(picture(tmp_path / "x.png", 1))), api_name="/predict")
    assert set(scores) == {"zero-shot", "TaskRes"} and abs(sum(scores["TaskRes"].values()) - 1) < 1e-3
    rows = client.predict(key, api_name="/compare")
    assert [r["method"] for r in rows] == ["zero_shot", "taskres"] and rows[0]["gain"] == 0
    exhibit = client.predict(key, run["id"], "shift", 0, api_name="/inspect")
    assert exhibit["kind"] == "shift" and exhibit["arrays"]
    assert client.predict(key, api_name="/status") == says.IDLE


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (("short", "world:vehicles@blurry", 1, None, "/shots"), "lost its session"),
        (("KEY", "/etc", 1, None, "/shots"), "must be a sample pack"),
        (("KEY", "", 1, {"path": "/etc/passwd"}, "/shots"), "was not sent to this server"),
        (("KEY", "coop", {}, 1, "/train"), "Nothing here yet"),
        (("KEY", "/compare"), "Nothing here yet"),
    ],
)
def test_errors_are_sentences(client, call, words):
    key = client.predict(api_name="/open_session")
    *values, name = [key if v == "KEY" else v for v in call]
    with pytest.raises(Exception, match=words):
        client.predict(*values, api_name=name)


def test_every_public_endpoint_has_a_description(client):
    info = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert {"/open_session", "/shots", "/methods", "/train", "/predict", "/compare", "/inspect", "/status"} == set(info)
    assert all(e.get("description") for e in info.values())


@pytest.mark.slow
def test_ten_clients_at_once_get_their_own_answers(url):
    packs = ["world:vehicles@blurry", "world:animals@night", "world:food@sketch", "world:faces@grayscale", "world:vehicles@night"] * 2

    def visit(i):
        client = Client(url, verbose=False)
        key = client.predict(api_name="/open_session")
        names = client.predict(key, packs[i], 1, api_name="/shots")["classes"]
        run = client.predict(key, "taskres", {"steps": 2 + i, "batch": 8}, i, api_name="/train")
        rows = client.predict(key, api_name="/compare")
        return names, run, [r["runs"] for r in rows if r["method"] == "taskres"]

    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(visit, range(10)))
    assert len({run["id"] for _, run, _ in found}) == 10
    for i, (names, run, runs) in enumerate(found):
        assert runs == [[run["id"]]] and run["status"] == "done"
        assert names == found[(i + 5) % 10][0] if packs[i] == packs[(i + 5) % 10] else True


def test_credentials(tmp_path):
    assert credentials("") is None and credentials("me:a:b") == [("me", "a:b")]
    (tmp_path / "who").write_text("a:1\n\nb:2\n")
    assert credentials(str(tmp_path / "who")) == [("a", "1"), ("b", "2")]


def test_a_password_keeps_strangers_out(monkeypatch):
    from promptlab.ui import build_app, launch

    app = build_app()
    _, address, _ = launch(app, port=None, wait=False, quiet=True, warmed=False, auth=[("me", "secret")])
    try:
        with pytest.raises(Exception):  # noqa: B017 - whatever gradio_client says to a login page
            Client(address, verbose=False).predict(api_name="/open_session")
        assert Client(address, verbose=False, auth=("me", "secret")).predict(api_name="/open_session")
    finally:
        app.close()
