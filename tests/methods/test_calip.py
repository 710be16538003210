"""CALIP against the four lines of its paper, and the search for its two weights."""

import dataclasses

import torch
import torch.nn.functional as F

from promptlab.create import build
from promptlab.data.kinds import kind_of
from promptlab.fit.context import FitContext
from promptlab.parts.mixing import ladder, search_pair
from promptlab.testing import tiny_backbone

TOY = kind_of("single").toy(size=32, classes=4, shots=4)
BATCH = next(TOY.episode.support.batches(64))


def make(**hyper):
    return build("calip", tiny_backbone(), TOY.episode.task, {"grid": 20, **hyper})


def plainly(method, whole, parts, beta2, beta3, temperature=2.0):
    text, out = method.bank().text, []
    for g, f in zip(whole, parts):
        a = temperature * f @ text.T
        texts = a.softmax(0).T @ f
        seen = a.softmax(1) @ text
        v = seen.mean(0) + seen.max(0).values
        out.append(method.backbone.scale * (g @ text.T + beta2 * g @ texts.T + beta3 * v @ text.T))
    return torch.stack(out)


def test_the_four_lines():
    method = make(beta2=0.7, beta3=0.03)
    out = method(BATCH, method.bank())
    enc = tiny_backbone().cached_image(BATCH, tokens=True)
    whole, parts = F.normalize(enc.pooled, dim=-1), F.normalize(enc.tokens, dim=-1)
    torch.testing.assert_close(out.pred, plainly(method, whole, parts, 0.7, 0.03), rtol=1e-4, atol=1e-4)
    assert out.aux["attention"].shape == (16, 4, 4, 4)
    torch.testing.assert_close(out.aux["attention"].sum((2, 3)), torch.ones(16, 4))
    assert (out.aux["sharp"].amax((2, 3)) > out.aux["attention"].amax((2, 3))).all()


def test_no_weights_is_zero_shot_and_equal_positions_are_their_own_attention():
    method = make(beta2=0.0, beta3=0.0)
    out = method(BATCH, method.bank())
    torch.testing.assert_close(out.pred, method.cosine(method.image(BATCH).pooled, method.bank().text))
    z = F.normalize(torch.randn(1, 24, generator=torch.Generator().manual_seed(0)), dim=-1)
    same = plainly(method, z, z.expand(9, 24)[None], 1.0, 0.0) - plainly(method, z, z.expand(9, 24)[None], 0.0, 0.0)
    torch.testing.assert_close(same, method.backbone.scale.expand(1, 4))  # G F_t' = z · z for every class


def test_search_is_brute_force_and_the_first_best_wins():
    g = torch.Generator().manual_seed(0)
    plain, one, two, y = *torch.randn(3, 30, 5, generator=g), torch.randint(5, (30,), generator=g)
    firsts, seconds = ladder(0.0, 2.0, 6), ladder(0.001, 1.0, 7)
    found = search_pair(plain, one, two, y, firsts, seconds, rows=400)
    want = torch.tensor([[((plain + float(a) * one + float(b) * two).argmax(1) == y).float().mean() for b in seconds] for a in firsts])
    assert torch.equal(found.grid, want)
    i, j = divmod(int(want.flatten().argmax()), 7)
    assert (found.first, found.second, found.accuracy) == (float(firsts[i]), float(seconds[j]), float(want.max()))
    assert ladder(0.001, 2.0, 200)[150].item() == 150 * (2.0 - 0.001) / 200 + 0.001


def test_fit_searches_on_the_shots_and_knobs_overrule_it():
    method, given = make(), make(select_on="init")
    for m in (method, given):
        list(m.fit(TOY.episode, FitContext()))
    right = (method(BATCH, method.bank()).pred.argmax(1) == BATCH.target).float().mean()
    torch.testing.assert_close(right, method.grid.max())
    assert given.live == (1.0, 0.05000000074505806) and not given.grid.any()
    method.hyper = dataclasses.replace(method.hyper, beta2=0.0, beta3=0.0)
    assert method.live == (0.0, 0.0)
