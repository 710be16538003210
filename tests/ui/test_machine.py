"""Backbone, device and seed: what is said before anything is loaded, what is refused, and that equal seeds give equal numbers."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from promptlab.errors import BackboneLacks, BadData
from promptlab.jobs import _leaving_room
from promptlab.ui import facts
from promptlab.ui.handlers import acts, machine, shots
from tests.ui.conftest import FAST
from tests.ui.test_handlers import finish, fitted, text, train


def test_every_choice_shows_its_facts_before_it_is_loaded(session, monkeypatch):
    monkeypatch.setattr(facts, "_here", lambda entry: "vit_base_patch32" in entry["hf_hub"])
    said = text(machine.show(session)["backbones"])
    assert "pocket 5.5 M parameters · 22 MB · licence Apache-2.0 shipped in use" in said
    assert "ViT-B-32:openai 151 M parameters · 605 MB · licence MIT downloaded Use" in said
    assert "ViT-B-16-SigLIP:webli 203 M parameters · 813 MB · licence Apache-2.0 not downloaded Download, use" in said
    for name in facts.CHOICES:
        assert facts.facts(name).parameters > 1e6 and facts.facts(name).licence != facts.CARD


def test_sizes_are_counted_without_random_numbers():
    before = torch.get_rng_state()
    facts._count.cache_clear()
    assert facts.facts("ViT-B-32:openai").megabytes == 605 and torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("name", "licence"), [("ViT-B-32:laion2b_s34b_b79k", "MIT"), ("ViT-B-16:datacomp_xl_s13b_b90k", "MIT"),
                                               ("ViT-B-32:metaclip_400m", facts.CARD), ("ViT-H-14-CLIPA:datacomp1b", facts.CARD)])
def test_a_licence_that_is_not_sure_is_not_named(name, licence):
    assert facts.facts(name).licence == licence


def test_downloaded_is_what_lies_in_the_local_caches(tmp_path, monkeypatch):
    monkeypatch.setattr(facts, "URLS", tmp_path)
    entry = {"url": "https://example.org/files/weights.pt"}
    assert not facts._here(entry)
    (tmp_path / "weights.pt").write_bytes(b"x")
    assert facts._here(entry) and not facts._here({"hf_hub": "nobody/has-this/"})


def test_another_name_is_looked_up_and_a_wrong_one_is_a_sentence(session):
    view = machine.look_up(session, "ViT-L-14:laion2b_s32b_b82k")
    assert f"{machine.MB} ViT-L-14:laion2b_s32b_b82k 428 M parameters · 1,710 MB · licence MIT not downloaded" in text(view["backbones"])
    assert session.settings["backbone"] == "pocket"
    for name, words in (("ViT-B-99:openai", "there is no backbone"), ("ViT-B-32", "needs one of its tags after a colon: openai"),
                        ("ViT-B-32:nothing", "has no pretrained tag"), ("ViT-B-32:../x", "is no tag")):
        with pytest.raises((BackboneLacks, BadData), match=words):
            machine.look_up(session, name)


def test_a_device_that_is_not_there_is_grey_and_says_why(ready, monkeypatch):
    monkeypatch.setattr(facts, "devices", lambda: {"auto": "", "cpu": "", "cuda": "torch sees no CUDA GPU on this machine.", "mps": ""})
    monkeypatch.setattr(facts, "real", lambda d: "cpu" if d == "auto" else d)
    html = machine.devices(ready)
    assert html.count("disabled") == 1 and "cuda: torch sees no CUDA GPU" in text(html).replace(" :", ":") and "auto (cpu)" in html
    with pytest.raises(BackboneLacks, match="cuda cannot be used: torch sees no CUDA GPU"):
        acts.press(ready, {"act": "device", "to": "cuda"})
    with pytest.raises(BadData, match="no device 'tpu'; choose one of auto, cpu, mps"):
        machine.device(ready, "tpu")
    run = fitted(ready, "taskres").runs[0]
    machine.device(ready, "cpu")  # what auto was
    assert ready.settings["device"] == "cpu" and ready.runs == [run]
    machine.device(ready, "mps")  # the tiny backbone stands for all
    assert ready.settings["device"] == "mps" and not ready.runs and ready.zero is not None


def test_a_device_waits_for_the_running_fit(ready, monkeypatch):
    monkeypatch.setattr(facts, "devices", lambda: dict.fromkeys(("auto", "cpu", "cuda", "mps"), ""))
    monkeypatch.setattr(facts, "real", lambda d: d)
    ready.knobs["coop"] = {"steps": 100_000, "batch": 8}
    train.start(ready, methods=["coop"])
    with pytest.raises(BadData, match="still running"):
        machine.device(ready, "cuda")
    train.stop(ready)
    finish(ready)


def test_a_backbone_from_python_stays_on_its_device(ready, tiny, monkeypatch):
    monkeypatch.setattr(facts, "devices", lambda: dict.fromkeys(("auto", "cpu", "cuda", "mps"), ""))
    monkeypatch.setattr(facts, "real", lambda d: "cpu" if d == "auto" else d)
    ready.given["mine"], ready.settings["backbone"] = tiny, "mine"
    assert "handed over by Python, on cpu" in machine.backbones(ready)
    with pytest.raises(BadData, match="handed over by Python and stays on cpu"):
        machine.device(ready, "cuda")


def test_seeds_are_whole_and_an_empty_box_changes_nothing(session):
    machine.seed(session, 7)
    assert machine.seed(session, None) == {} and session.settings["seed"] == 7
    for wanted in (-1, 2**40, 1.5):
        with pytest.raises(BadData, match="a seed is a whole number from 0 to 2147483646; 7 is used"):
            machine.seed(session, wanted)


def test_the_same_seed_gives_the_same_numbers(sessions, tiny):
    found = []
    for _ in range(2):
        s = sessions.get(sessions.new())
        machine.device(s, "cpu")
        machine.seed(s, 3)
        shots.sample(s, "Vehicles, blurry", 1)
        s.knobs["coop"] = dict(FAST)
        train.start(s, methods=["coop"])
        found.append(finish(s).runs[0])
    a, b = found
    assert np.array_equal(a.report.predictions["pred"], b.report.predictions["pred"]) and a.meta["device"] == b.meta["device"] == "cpu"


@pytest.mark.parametrize(("threads", "during"), [(1, 1), (2, 1), (4, 3)])
def test_a_small_backbone_leaves_a_core_free_while_it_is_fitted(tiny, monkeypatch, threads, during):
    now = [threads]
    monkeypatch.setattr(torch, "get_num_threads", lambda: now[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda n: now.__setitem__(0, n))
    with pytest.raises(KeyError), _leaving_room(tiny):
        assert now == [during]
        raise KeyError
    assert now == [threads]
    tower = SimpleNamespace(weights={"w": torch.empty(10**9, device="meta")})
    with _leaving_room(SimpleNamespace(device=torch.device("cpu"), image=tower)):
        assert now == [threads]
