"""What the newer exhibits say is so: transport at other eps, maps of prompts, shifts of two runs, drift, what cards expose, discovery."""

import sys

import numpy as np
import ot
import pytest
import torch
import torch.nn.functional as F

import promptlab as pl
from promptlab import inspect as look
from promptlab import registry
from promptlab.errors import BadData, BadHyper, WrongKind
from promptlab.inspect.found import find
from promptlab.inspect.replay import spread
from promptlab.inspect.shift import features
from promptlab.testing import tiny_backbone, toy
from promptlab.testing.subject import Subject, sentence


def fitted(key):
    subject = Subject(registry.get(key))
    method, _ = subject.fit()
    return method.eval(), next(subject.toy.episode.support.batches(64))


def test_every_eps_of_the_control_equals_another_library():
    method, picture = fitted("plot")
    e = look.transport(method, picture.row(0))
    cost = e.arrays["cost"].astype(np.float64)
    m, n = cost.shape
    for eps, maps in zip(e.arrays["eps"], e.arrays["eps_maps"]):
        theirs = ot.sinkhorn(np.full(m, 1 / m), np.full(n, 1 / n), cost, float(eps), method="sinkhorn_log", numItermax=20000, stopThr=1e-12)
        ours = maps.reshape(n, m).T / n
        assert np.abs(ours - theirs).max() < 1e-5 and np.abs(ours.sum(1) - 1 / m).max() < 1e-4, eps
    entropy = e.arrays["eps_entropy"]
    assert (np.diff(entropy) <= 1e-6).all() and entropy[0] <= 1 + 1e-6  # smaller eps, sharper plan


def test_several_image_features_are_transported_too():
    method, picture = fitted("plotpp")
    e = look.transport(method, picture.row(0), max_iter=2000)
    with torch.no_grad():
        out = method(picture.row(0), method.bank())
    c = method.task.classes.names.index(e.settings["class"])
    assert np.allclose(e.arrays["cost"], out.aux["cost"][0, c].numpy(), atol=1e-6)
    assert e.sanity[0].value < 1e-4 and e.arrays["maps"].shape[1] == 1  # features of the whole picture have no grid


def test_maps_of_prompts_are_rows_of_the_pattern():
    method, picture = fitted("maple")
    e = look.attention(method, picture.row(0))
    lead, m = e.settings["lead"], np.prod(e.settings["grid"])
    after = e.arrays["after"]
    assert np.allclose(e.arrays["prompt_to_patches"], after[:, :, lead + m :, lead : lead + m].mean(1))
    assert np.allclose(e.arrays["patches_to_prompt"], after[:, :, lead : lead + m, lead + m :].mean(1).swapaxes(1, 2))
    assert e.arrays["prompt_to_patches"].shape[1] > 0
    same = look.evidence(method, picture.row(0), e.settings["class"])
    for when in ("before", "after"):
        assert np.array_equal(e.arrays[f"relevance_{when}"], same.arrays[when].ravel())


def test_shift_by_hand():
    method, batch = fitted("coop")
    e, f = look.shift(method, batch), features(method, batch)
    text, image = f["text_after"].double(), f["image_after"].double()
    moved = [(f[f"{s}_after"] - f[f"{s}_before"]).norm(dim=1).mean() for s in ("text", "image")]
    assert e.settings["discrepancy"] == pytest.approx(float((moved[0] - moved[1]) ** 2), rel=1e-5)
    cosine = image @ text.T
    for c in range(len(method.task.classes)):
        rows = [i for i, t in enumerate(batch.target.tolist()) if t == c]
        assert e.arrays["alignment_after"][c] == pytest.approx(np.mean([float(cosine[i, c]) for i in rows]), abs=1e-5)
        best = [max(float(cosine[i, k]) for k in range(cosine.shape[1]) if k != c) for i in rows]
        assert e.arrays["margin_after"][c] == pytest.approx(np.mean([float(cosine[i, c]) - b for i, b in zip(rows, best)]), abs=1e-5)


def test_two_runs_before_and_after():
    one, batch = fitted("coop")
    other = Subject(registry.get("kgcoop"), one.backbone).fit()[0].eval()
    still = look.shift(one, batch, versus=one)
    assert still.arrays["text_shift"].max() < 1e-5 and still.settings["discrepancy"] < 1e-8
    e, theirs = look.shift(one, batch, versus=other), features(other, batch)
    moved = (features(one, batch)["text_after"] - theirs["text_after"]).norm(dim=1).numpy()
    assert np.allclose(e.arrays["text_shift"], moved, atol=1e-6) and e.settings["before"] == other.card.name
    again = look.shift(other, batch, like=e)
    assert again.settings["axes"] == e.settings["axes"]
    with pytest.raises(BadData, match="different") as error:
        look.shift(one, batch, versus=Subject(registry.get("coop"), tiny_backbone(seed=5)).fit()[0])
    sentence(error.value)
    ours, zero = (look.evidence(one, batch.row(0), 0, versus=v) for v in (other, None))
    assert np.array_equal(ours.arrays["after"], zero.arrays["after"]) and not np.array_equal(ours.arrays["before"], zero.arrays["before"])


def test_drift_and_replay_of_a_run(tmp_path):
    made = toy("single", size=32)
    run = pl.fit("coop", tiny_backbone(), (made.episode, (made.test,)), store=tmp_path, progress=False, epochs=3, batch=4, n_ctx=2,
                 augment="none")
    e = look.drift(run)
    start = run.at(0).context.ctx
    for t, epoch in enumerate(e.arrays["epoch"]):
        now = run.at(int(epoch)).context.ctx
        assert np.allclose(e.arrays["distance"][t], (now - start).norm(dim=1).detach().numpy(), atol=1e-6)
        assert np.allclose(e.arrays["cosine"][t], F.cosine_similarity(now, start).detach().numpy(), atol=1e-6)
    replay = look.replay(run, "words", epochs=[0, 3])
    first, last = replay.frames()
    for frame, method in ((first, run.at(0)), (last, run)):
        assert np.array_equal(frame.arrays["id"], look.words(method).arrays["id"])
    assert len(look.replay(run, "words", most=2).frames()) == 2 and spread(list(range(50)), 4) == [0, 16, 33, 49]
    picture = next(made.test.split.take([0]).batches(1))
    for what in ("evidence", "shift", "attention", "residuals", "text_attention"):
        frames = look.replay(run, what, picture).frames()
        assert len(frames) == 4 and len({f.settings.get("class") for f in frames}) == 1, what
    still = pl.fit("tip_adapter", tiny_backbone(), (made.episode, ()), store=tmp_path, progress=False)
    for ask in (lambda: look.drift(run.method), lambda: look.replay(still, "evidence", picture)):
        with pytest.raises(BadData) as error:
            ask()
        sentence(error.value)


def test_live_knobs():
    method, _ = fitted("tip_adapter")
    split = Subject(registry.get("tip_adapter")).toy.episode.support
    e = look.live(method, split=split)
    assert e.settings["knob"] == "alpha" and len(e.arrays["value"]) == len(e.arrays["accuracy"]) >= 5
    assert look.live(method, "beta", split, [1, 2]).arrays["value"].tolist() == [1.0, 2.0]
    for wrong in (lambda: look.live(method, "lr", split), lambda: look.live(fitted("coop")[0], None, split)):
        with pytest.raises(BadHyper) as error:
            wrong()
        sentence(error.value)


def test_exposed_values_are_the_methods_own():
    method, batch = fitted("upt")
    e = look.exposed(method, batch.row(0))
    assert e.arrays and all(np.isfinite(v).all() and 1 <= v.ndim <= 3 for v in e.arrays.values())
    with pytest.raises(WrongKind) as error:
        look.exposed(fitted("coop")[0], batch.row(0))
    sentence(error.value)


def test_a_new_file_is_a_new_exhibit(tmp_path, monkeypatch):
    folder = tmp_path / "newly"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "gates.py").write_text("def gates(subject, image):\n    return 1\n")
    (folder / "tables.py").write_text("def a(run):\n    return 2\nEXHIBITS = {'a': a}\nSHOWS = {'table': 'a'}\nOF_RUNS = ('a',)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = find("newly", [str(folder)])
    assert list(found.exhibits) == ["a", "gates"] and found.shows == {"a": "a", "gates": "gates", "table": "a"} and found.of_runs == {"a"}
    for name in [n for n in sys.modules if n.startswith("newly")]:
        monkeypatch.delitem(sys.modules, name)
