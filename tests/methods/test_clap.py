"""Pull, start and limits of CLAP."""

import torch
import torch.nn.functional as F

from promptlab.create import build
from promptlab.data.kinds import kind_of
from promptlab.fit.context import FitContext
from promptlab.testing import tiny_backbone

TOY = kind_of("single").toy(size=32, classes=4, shots=4)
QUICK = {"epochs": 6, "batch": 8, "augment": "none", "warmup": 0}


def make(**hyper):
    return build("clap", tiny_backbone(), TOY.episode.task, {**QUICK, **hyper})


def batch():
    return next(TOY.episode.support.batches(64))


def test_starts_at_zero_shot_without_a_penalty():
    method, clip = make(), tiny_backbone()
    raw = clip.encode_text(["a photo of a " + n + "." for n in TOY.episode.task.classes.names]).pooled
    torch.testing.assert_close(method.prototypes.detach(), raw)
    method.pull.fill_(1)
    assert float(method.constraint().detach()) == 0 and not method.drift.any()


def test_pull_is_zero_shots_mean_probability_of_the_right_class():
    method = make()
    list(method.fit(TOY.episode, FitContext()))
    b = batch()
    fresh = make()
    p = fresh(b, fresh.bank()).pred.softmax(-1)
    want = torch.stack([p[b.target == k, k].mean() for k in range(4)]).detach()
    torch.testing.assert_close(method.pull, want)
    assert ((method.pull > 0) & (method.pull < 1)).all()
    made = {w: make(weights=w).weigh(method.image(b).pooled, b.target) for w in ("corrected", "constant", "balanced")}
    torch.testing.assert_close(made["corrected"], want * 4 / want.sum())
    torch.testing.assert_close(made["constant"], want.mean().expand(4))
    assert (made["balanced"] == 1).all()


def test_penalty_by_hand():
    for penalty in ("l2", "cosine"):
        method = make(penalty=penalty)
        w = method.anchor + torch.randn(method.anchor.shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            method.prototypes.copy_(w)
        method.pull.copy_(torch.tensor([0.5, 0.0, 1.0, 0.25]))
        d = ((w - method.anchor) ** 2).sum(1) if penalty == "l2" else 1 - F.cosine_similarity(w, method.anchor, dim=1)
        torch.testing.assert_close(method.constraint(), (0.5 * d[0] + d[2] + 0.25 * d[3]) / 4)


def test_no_pull_is_the_plain_probe_and_a_firm_one_stays():
    plain, loose, firm = make(penalty="none"), make(strength=0.0), make(strength=300.0, weights="balanced", lr=1e-3)
    for method in (plain, loose, firm):
        list(method.fit(TOY.episode, FitContext()))
    assert torch.equal(plain.prototypes, loose.prototypes) and plain.drift.min() > 0
    assert firm.drift.max() < 0.1 * plain.drift.max()


def test_the_anchor_is_not_in_the_checkpoint():
    assert set(make().state_dict()) == {"prototypes", "pull"}
