"""The key-value memory and its search."""

import pytest
import torch
import torch.nn.functional as F

from promptlab.parts.memory import Cache, one_hot, search, ticks

LABELS = torch.arange(12) // 3


def unit(rows: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(rows, 16, generator=torch.Generator().manual_seed(seed)), dim=-1)


def filled(**more: bool) -> Cache:
    cache = Cache(16, 4, **more)
    cache.fill(unit(12), one_hot(LABELS, 4))
    return cache


def test_an_empty_memory_votes_for_nothing() -> None:
    cache = Cache(16, 4)
    votes = cache.votes(cache.affinity(unit(3)), 5.5)
    assert len(cache) == 0 and votes.shape == (3, 4) and not votes.any()


def test_a_key_as_query_gives_its_class_a_full_vote() -> None:
    cache = filled()
    votes = cache.votes(cache.affinity(unit(12)), 2.0)
    assert (votes[torch.arange(12), LABELS] >= 1 - 1e-6).all() and (votes > 0).all()


def test_a_large_beta_leaves_exact_matches_only() -> None:
    cache = filled()
    torch.testing.assert_close(cache.votes(cache.affinity(unit(12)), 1e6), one_hot(LABELS, 4), rtol=0, atol=0.2)


def test_one_shot_and_much_trust_is_the_nearest_neighbour() -> None:
    cache, query = Cache(16, 4), unit(50, 3)
    cache.fill(unit(4), torch.eye(4))
    affinity = cache.affinity(query)
    logits = torch.randn(50, 4) + 1e6 * cache.votes(affinity, 5.0)
    assert torch.equal(logits.argmax(-1), affinity.argmax(-1))


def test_keys_are_learnable_or_not_and_not_renormalised() -> None:
    fixed, learned = filled(), filled(learn_keys=True)
    assert not list(fixed.parameters()) and [n for n, _ in learned.named_parameters()] == ["keys"]
    with torch.no_grad():
        learned.keys.mul_(2)
    torch.testing.assert_close(learned.affinity(unit(3, 5)), 2 * fixed.affinity(unit(3, 5)))


@pytest.mark.parametrize("learn_keys", [False, True])
def test_a_checkpoint_brings_its_own_size(learn_keys: bool) -> None:
    cache = Cache(16, 4, learn_keys)
    cache.load_state_dict(filled(learn_keys=learn_keys).state_dict())
    assert torch.equal(cache.keys, unit(12)) and len(list(cache.parameters())) == learn_keys
    cache.load_state_dict(Cache(16, 4, learn_keys).state_dict())
    assert len(cache) == 0


def test_ticks_never_reach_their_end() -> None:
    found = ticks(7.0, 200)
    assert len(found) == 200 and found[0] == pytest.approx(0.1) and found[-1] == pytest.approx(7 - 6.9 / 200)


def test_search_takes_the_first_strictly_best_pair() -> None:
    cache, query = filled(), unit(40, 7)
    target, plain = torch.arange(40) % 4, torch.randn(40, 4, generator=torch.Generator().manual_seed(1))
    betas, alphas = ticks(9, 11), ticks(4, 7)
    found = search(cache, plain, cache.affinity(query), target, betas, alphas)
    best = (-1.0, 0.0, 0.0)
    for b in betas.tolist():
        for a in alphas.tolist():
            pred = plain + a * (torch.exp(-b * (1 - query @ cache.keys.T)) @ cache.values)
            share = float((pred.argmax(-1) == target).float().mean())
            best = (share, b, a) if share > best[0] else best
    assert (found.accuracy, found.beta, found.alpha) == pytest.approx(best) and found.grid.shape == (11, 7)


def test_a_masked_key_does_not_vote() -> None:
    cache = filled()
    affinity = cache.affinity(unit(12)).masked_fill(torch.eye(12, dtype=torch.bool), -torch.inf)
    others = [[j for j in range(12) if j != i] for i in range(12)]
    want = torch.stack([torch.exp(-2.0 * (1 - unit(12)[i] @ unit(12)[o].T)) @ one_hot(LABELS[o], 4) for i, o in enumerate(others)])
    torch.testing.assert_close(cache.votes(affinity, 2.0), want)
