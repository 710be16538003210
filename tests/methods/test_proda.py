"""ProDA: one prompt is CoOp, the bound bounds, and every prompt is read once a round."""

import dataclasses

import torch
import torch.nn.functional as F

from promptlab.create import build
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.method import Out
from promptlab.testing import tiny_backbone

NAMES = ClassSet(("cat", "bus stop", "owl"))
PART = Batch.of(torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.tensor([2, 0, 1]))


def make(key, **hyper):
    return build(key, tiny_backbone(), Task("single", NAMES), hyper)


def test_one_prompt_is_coop():
    one, coop = make("proda", n_prompts=1, n_ctx=4).train(), make("coop", n_ctx=4)
    with torch.no_grad():
        coop.context.ctx.copy_(one.places["end"].ctx)
    out, plain = one(PART, one.bank()), coop(PART, coop.bank())
    torch.testing.assert_close(one.upper(out, PART.target), plain.pred, rtol=1e-5, atol=1e-4)
    assert set(one.loss(out, PART)) == {"task"}


def test_upper_bounds_the_expected_cross_entropy():
    generator = torch.Generator().manual_seed(3)
    centre = F.normalize(torch.randn(3, 24, generator=generator), dim=-1)
    text = F.normalize(centre + 0.05 * torch.randn(6, 3, 24, generator=generator), dim=-1)
    v = F.normalize(torch.randn(3, 24, generator=generator), dim=-1)
    method = make("proda", n_prompts=6)
    scale = method.backbone.scale
    mean, off = text.mean(0), text - text.mean(0)
    out = Out(scale * v @ mean.T, {"text": text, "image": v})
    upper = method.upper(out, PART.target)
    # the same in plain loops
    for b, y in enumerate(PART.target.tolist()):
        for c in range(3):
            s2 = sum(float((v[b] ** 2 * (off[i, c] - off[i, y]) ** 2).sum()) for i in range(6)) / 7
            torch.testing.assert_close(upper[b, c], out.pred[b, c] + 0.5 * scale**2 * s2, rtol=1e-4, atol=1e-4)
    drawn = mean[None] + torch.einsum("spe,pce->sce", torch.randn(20000, 6, 24, generator=generator), off) / 7**0.5
    logits = scale * torch.einsum("be,sce->sbc", v, drawn)
    expected = F.cross_entropy(logits.flatten(0, 1), PART.target.repeat(20000))
    plain, bound = F.cross_entropy(out.pred, PART.target), F.cross_entropy(upper, PART.target)
    assert plain < expected <= bound + 0.01


def test_a_round_reads_every_prompt_once():
    method = make("proda", n_prompts=8, prompt_batch=3, n_ctx=2).train()
    round_ = [method.draw() for _ in range(2)]
    assert len({i for part in round_ for i in part}) == 6
    assert len(method.draw()) == 3
    assert {k: v.ctx.shape[:-1] for k, v in method.places.items()} == {"front": (2, 2), "middle": (2, 2), "end": (4, 2)}


def test_answers_read_all_prompts_and_do_not_normalise_the_mean():
    method = make("proda", n_prompts=8, n_ctx=2)
    with torch.no_grad():
        bank = method.bank()
        assert bank.text.shape[:2] == (8, 3) and not bank.extra
        want = method.backbone.scale * F.normalize(method.image(PART).pooled, dim=-1) @ bank.text.mean(0).T
        torch.testing.assert_close(method(PART, bank).pred, want)


def test_underscores_as_the_re_implementation_reads_them():
    names = dataclasses.replace(NAMES, names=("ice_cream", "cat"))
    raw = build("proda", tiny_backbone(), Task("single", names), {"n_prompts": 4, "n_ctx": 2, "clean_names": False})
    assert raw.places["end"].texts(names)[0] == "X X ice_cream."
