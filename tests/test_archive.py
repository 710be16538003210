import json
import zipfile

import pytest
import torch

import promptlab as pl
from promptlab.errors import BackboneLacks, BadData
from promptlab.testing import tiny_backbone
from tests.test_runs import CLIP, fit

PIXELS = torch.randn(3, 3, 32, 32)


@pytest.fixture
def saved(tmp_path):
    run = fit(tmp_path / "runs")
    return run, run.save(tmp_path / "coop.plab")


def rewrite(file, changes, out):
    """The archive with members replaced (None: left out)."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        members = {n: old.read(n) for n in old.namelist()}
        for name, data in {**members, **changes}.items():
            if data is not None:
                new.writestr(name, data)
    return out


def test_one_file_is_enough_to_answer_again(saved):
    run, file = saved
    with zipfile.ZipFile(file) as archive:
        assert set(archive.namelist()) == {"run.json", "events.jsonl", "state.safetensors", "trace.safetensors"}
    again = pl.open(file, CLIP)
    assert torch.equal(again.method.logits(PIXELS), run.method.logits(PIXELS)) and again.id == run.id and again.path is None
    assert again.summary["scores"] == run.summary["scores"] and again.events == run.events and again.classes == run.classes
    assert torch.equal(pl.open(again.save(file), CLIP).method.logits(PIXELS), run.method.logits(PIXELS))


@pytest.mark.parametrize("key, changes", [("tip_adapter", {"finetune": True, "steps": 2}), ("taskres", {"steps": 2}),
                                          ("upl", {"steps": 2, "copies": 2}), ("clip_lora", {"steps": 2}), ("maple", {"steps": 2})])
def test_state_that_is_born_in_fit_travels_too(tmp_path, key, changes):
    run = fit(tmp_path, key, **changes)
    assert torch.equal(pl.open(run.save(tmp_path / "x.plab"), CLIP).method.logits(PIXELS), run.method.logits(PIXELS))


def test_the_replay_travels_too(tmp_path, saved):
    run, file = saved
    again = pl.open(file, CLIP)
    assert again.epochs == run.epochs and len(run.epochs) >= 2
    for epoch in run.epochs:
        assert torch.equal(again.at(epoch).logits(PIXELS), run.at(epoch).logits(PIXELS))
    long = fit(tmp_path / "long", steps=80)
    kept = pl.open(long.save(tmp_path / "long.plab"), CLIP).epochs
    assert len(long.epochs) > 24 >= len(kept) > 20 and (kept[0], kept[-1]) == (long.epochs[0], long.epochs[-1])


def test_a_damaged_epoch_is_one_sentence(saved, tmp_path):
    from safetensors.torch import save

    bad = rewrite(saved[1], {"trace.safetensors": save({"1/ctx.no.such": torch.zeros(3)})}, tmp_path / "bad.plab")
    with pytest.raises(BadData, match="epoch 1 of run .* holds 'ctx.no.such', which does not fit"):
        pl.open(bad, CLIP).at(1)
    (tmp_path / "runs" / saved[0].id / "trace" / "0001.safetensors").write_bytes(b"no tensors")
    with pytest.raises(BadData, match="epoch 1 of run .* is damaged"):
        saved[0].at(1)
    odd = rewrite(saved[1], {"trace.safetensors": save({"one/x": torch.zeros(3)})}, tmp_path / "odd.plab")
    with pytest.raises(BadData, match="is damaged"):
        pl.open(odd, CLIP)


def test_another_backbone_is_refused(saved):
    with pytest.raises(BackboneLacks, match="load the same weights"):
        pl.open(saved[1], tiny_backbone(seed=1))


def test_it_opens_from_folder_and_id(saved, tmp_path):
    run = saved[0]
    for what in (tmp_path / "runs" / run.id, run.id, run.id[:5]):
        assert torch.equal(pl.open(what, CLIP, store=tmp_path / "runs").method.logits(PIXELS), run.method.logits(PIXELS))


@pytest.mark.parametrize("changes, says", [
    ({"../../evil.txt": b"x"}, "evil"),
    ({"/etc/evil": b"x"}, "evil"),
    ({"state.safetensors": None}, "missing"),
    ({"run.json": b"{"}, "damaged"),
    ({"run.json": b"[" * 100_000}, "damaged"),
    ({"run.json": b"[]"}, "no run of this version"),
    ({"state.safetensors": b"\x80\x04K\x01."}, "damaged"),
    ({"events.jsonl": b" " * 60_000_000}, "would unpack"),
])
def test_hostile_archives_are_refused_in_one_sentence(saved, tmp_path, changes, says):
    bad = rewrite(saved[1], changes, tmp_path / "bad.plab")
    with pytest.raises(BadData, match=says):
        pl.open(bad, CLIP)
    assert not (tmp_path.parent / "evil.txt").exists()


def test_values_that_do_not_fit_are_refused(saved, tmp_path):
    from safetensors.torch import save

    for state in ({"forward": torch.zeros(2)}, {"context.inputs.x": torch.zeros(1)}, {"a..b": torch.zeros(1)}):
        bad = rewrite(saved[1], {"state.safetensors": save(state)}, tmp_path / "bad.plab")
        with pytest.raises(BadData):
            pl.open(bad, CLIP)


def test_bad_settings_inside_are_refused(saved, tmp_path):
    with zipfile.ZipFile(saved[1]) as archive:
        meta = json.loads(archive.read("run.json"))
    for change in ({"hyper": {**meta["hyper"], "n_ctx": 10**9}}, {"hyper": 3}, {"task": {}}, {"format": 99}):
        bad = rewrite(saved[1], {"run.json": json.dumps({**meta, **change})}, tmp_path / "bad.plab")
        with pytest.raises(pl.PromptlabError):
            pl.open(bad, CLIP)


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "a.plab").write_bytes(b"not a zip")
    for file in (tmp_path / "a.plab", tmp_path / "none.plab"):
        with pytest.raises(BadData):
            pl.open(file, CLIP)
