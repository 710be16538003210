"""Description stores: the format, what is refused, what is shipped, and asking a (local, fake) language model for them."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import CliRunner

from promptlab.data.asking import Endpoint, describe, first_sentence, listed
from promptlab.data.classes import ClassSet
from promptlab.data.descriptions import Descriptions, lacking, read, shipped, texts_of, write
from promptlab.data.noise import clause, frequent_words, noise
from promptlab.errors import BadData
from promptlab.testing.subject import sentence
from promptlab.world.catalogue import classes

STORE = Descriptions({"red fox": ("red fur",)}, {"red fox": ("A red fox is red.",), "owl": ("An owl flies.",)}, {"written_by": "us"})


def test_a_store_comes_back_and_is_read_by_name(tmp_path):
    write(tmp_path / "d.json", STORE)
    found = read(tmp_path / "d.json")
    assert found == STORE and found.classes == ["red fox", "owl"]
    assert found.of(["owl", "Red_Fox", "cat"], "sentences") == [("An owl flies.",), ("A red fox is red.",), ()]
    names = ClassSet(("owl", "red_fox"))
    assert texts_of(names, "descriptors", str(tmp_path / "d.json")) == [(), ("red fur",)]
    assert "1 of 2 classes have no descriptors ('owl', ...)" in lacking(names, [(), ("red fur",)], "descriptors")
    assert lacking(names, [("a",), ("b",)], "descriptors") == ""


def test_public_files_serve_as_either_and_a_class_set_comes_before_what_is_shipped(tmp_path):
    (tmp_path / "public.json").write_text('{"Owl": ["big eyes", " wings "]}')
    for kind in ("descriptors", "sentences"):
        assert texts_of(ClassSet(("owl",)), kind, str(tmp_path / "public.json")) == [("big eyes", "wings")]
        assert texts_of(ClassSet(("owl", "fox"), descriptions={"owl": ("own",)}), kind) == [("own",), ()]
    assert len(texts_of(ClassSet(("owl",)), "sentences")[0]) >= 3


@pytest.mark.parametrize(("content", "said"), [
    ("{", "not JSON"), ("[]", "JSON object"), ("{}", "JSON object"), ('{"owl": "big"}', "list of strings"),
    ('{"format": "other/2"}', "reads 'promptlab-descriptions/1'"), ('{"format": "promptlab-descriptions/1"}', "must have 'classes'"),
    ('{"format": "promptlab-descriptions/1", "classes": {"owl": {"poems": []}}}', "'poems'"),
    ('{"format": "promptlab-descriptions/1", "classes": {"owl": {"sentences": [1]}}}', "list of strings"),
])
def test_what_is_wrong_is_said_in_one_sentence(tmp_path, content, said):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(BadData, match=said) as error:
        read(tmp_path / "x.json")
    sentence(error.value)
    with pytest.raises(BadData, match="no file of descriptions"):
        read(tmp_path / "none.json")


def test_the_world_is_described():
    store = shipped()
    for task in ("animals", "food", "vehicles", "faces", "textures"):
        for kind, low, high in (("descriptors", 3, 6), ("sentences", 3, 5)):
            found = store.of(classes(task), kind)
            assert all(low <= len(t) <= high and len(set(t)) == len(t) for t in found), task
    assert store.about["written_by"] and store.about["licence"]


def test_noise_is_a_function_of_the_seed_and_of_the_length_of_the_names():
    names = ("cat", "golden retriever", "t-shirt")
    assert noise(names, 3, 0) == noise(names[::-1], 3, 0) != noise(names, 3, 1)
    words, characters = noise(names, 4, 0)[::2], noise(names, 4, 0)[1::2]
    assert all(len(w.split()) == 1 and len(w) <= 7 for w in words) and all(c.isalpha() for c in characters)
    two = noise(("golden retriever", "grand piano"), 2, 0)
    assert all(len(w.split(" ")) == 2 for w in two[::2]) and all(", " in c for c in two[1::2])
    assert len(frequent_words()) > 1000
    assert [clause(d) for d in ("a beak", "aluminium", "used daily", "may fly", "fur", "")] == [
        "which is a beak", "which is aluminium", "which is used daily", "which may fly", "which has fur", "which has "]


def test_answers_become_texts():
    assert listed("Sure!\n- red fur.\n* a tail\n2) paws") == ["red fur", "a tail", "paws"]
    assert listed("red fur\na tail") == ["red fur", "a tail"]
    assert first_sentence(' "A fox is 1.5 m\nlong. It runs."') == "A fox is 1.5 m long."
    assert first_sentence("a fox") == "a fox." and first_sentence(" ") == ""


@contextmanager
def server(answer):
    """A fake chat endpoint on this machine; ``answer(body, head)`` → (status, content)."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append((self.path, body, dict(self.headers)))
            status, content = answer(body, len(seen))
            raw = content if isinstance(content, bytes) else json.dumps({"choices": [{"message": {"content": content}}]}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args):
            pass

    made = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{made.server_port}/v1", seen
    finally:
        made.shutdown()
        made.server_close()


def helpful(body, count):
    question = body["messages"][0]["content"]
    return 200, "- soft fur\n- a long tail" if "One feature a line" in question else "A fox has fur. And more."


def test_a_model_is_asked_and_the_key_is_not_kept(tmp_path):
    path = tmp_path / "d.json"
    with server(helpful) as (url, seen):
        steps = list(describe(["fox", "red_panda"], Endpoint(url, "small", key="secret"), path=path))
        assert [name for name, _ in steps] == ["fox", "red_panda"] and len(seen) == 2 * 4
        assert seen[0][0] == "/v1/chat/completions" and seen[0][2]["Authorization"] == "Bearer secret"
        assert seen[0][1]["model"] == "small" and "red panda" in seen[4][1]["messages"][0]["content"]
        list(describe(["fox", "owl"], Endpoint(url, "small"), path=path))
        assert len(seen) == 3 * 4  # the fox is there already
    found = read(path)
    assert found.descriptors["fox"] == ("soft fur", "a long tail") and found.sentences["owl"] == ("A fox has fur.",)
    assert found.about["model"] == "small" and "secret" not in path.read_text()


def test_busy_servers_are_asked_again_and_others_are_not():
    with server(lambda body, n: (503, "busy") if n < 3 else helpful(body, n)) as (url, seen):
        assert Endpoint(url, "m", pause=0.0).ask("what?") == "A fox has fur. And more." and len(seen) == 3
    with server(lambda body, n: (401, "no")) as (url, seen):
        with pytest.raises(BadData, match="answered 401") as error:
            Endpoint(url, "m", pause=0.0).ask("what?")
        assert len(seen) == 1
        sentence(error.value)
    with server(lambda body, n: (200, b"<html>")) as (url, seen), pytest.raises(BadData, match="not in the format"):
        Endpoint(url, "m").ask("what?")
    with pytest.raises(BadData, match="cannot be reached"):
        Endpoint(url, "m", pause=0.0).ask("what?")
    with pytest.raises(BadData, match="starts with http"):
        Endpoint("localhost:80", "m")


def test_what_was_written_before_an_end_stays(tmp_path):
    with server(lambda body, n: helpful(body, n) if n <= 4 else (500, "broken")) as (url, _):
        with pytest.raises(BadData):
            list(describe(["fox", "owl"], Endpoint(url, "m", pause=0.0), path=tmp_path / "d.json"))
    assert read(tmp_path / "d.json").classes == ["fox"]


def test_the_command(tmp_path):
    from promptlab.cli import build

    path = tmp_path / "d.json"
    with server(helpful) as (url, seen):
        asked = ["describe", "--out", str(path), "--endpoint", url, "--model", "m"]
        done = CliRunner().invoke(build(), [*asked, "--classes", "fox, owl", "--kind", "sentences"])
        assert done.exit_code == 0 and "2 of 2" in done.output and len(seen) == 6
        assert CliRunner().invoke(build(), asked).exit_code == 2
        assert CliRunner().invoke(build(), [*asked, "--classes", "a", "--key-env", "NO_SUCH_KEY_HERE"]).exit_code == 2
    assert read(path).sentences["owl"] == ("A fox has fur.",) and not read(path).descriptors
