"""Start, step sizes and limits of LP++ by hand."""

import torch
import torch.nn.functional as F

from promptlab.create import build
from promptlab.data.kinds import kind_of
from promptlab.fit.context import FitContext
from promptlab.fit.events import Step
from promptlab.testing import tiny_backbone

TOY = kind_of("single").toy(size=32, classes=4, shots=4)


def make(**hyper):
    return build("lp_pp", tiny_backbone(), TOY.episode.task, {"augment": "none", **hyper})


def test_start_is_sums_of_shots_and_one_weight_of_the_text():
    method = make()
    f, y = method.features(TOY.episode.support)
    bank = method.bank()
    lr, lr_alpha = method.start(f, y, bank.text)
    cosine = f @ bank.text.T
    alpha = 250 * torch.stack([cosine[y == k, k].mean() for k in range(4)]).mean()
    want = torch.stack([torch.stack([g @ f[y == k].T for g in f]).sum(1) for k in range(4)], 1) + method.bias + alpha * cosine
    torch.testing.assert_close(method.score(f, bank), want, rtol=1e-4, atol=1e-3)
    assert abs(lr - 4 * 16 / float(torch.linalg.eigvalsh(f.T @ f)[-1])) < 1e-4 * lr
    assert abs(lr_alpha - 16 / (4 * float(cosine.square().sum(0).max()))) < 1e-4 * lr_alpha


def test_step_sizes_of_a_toy_matrix():
    method = make()
    f = torch.eye(24)[[0, 0, 1, 2]]
    lr, lr_alpha = method.start(f, torch.tensor([0, 0, 1, 2]), torch.eye(24)[:4])
    assert abs(lr - 4 * 4 / 2) < 1e-5 and abs(lr_alpha - 4 / (4 * 2)) < 1e-5  # F'F = diag(2, 1, 1): largest 2


def test_a_heavy_text_weight_ranks_as_zero_shot():
    method, clip = make(), tiny_backbone()
    with torch.no_grad():
        method.alpha.fill_(1e6)
    batch = next(TOY.episode.support.batches(64))
    plain = F.normalize(clip.cached_image(batch).pooled, dim=-1) @ method.plain(TOY.episode.task.classes).T
    assert (method(batch, method.bank()).pred.argsort(1) == plain.argsort(1)).all()


def test_gradients_of_the_text_weight_add_up_unless_told_otherwise():
    f, y = make().features(TOY.episode.support)
    moved = {}
    for accumulate in (True, False):
        method = make(steps=10, accumulate=accumulate, alpha_every=10)
        grads, bank = [], method.bank()
        for _ in method.learn(f, y, bank):
            grads.append(None if method.alpha.grad is None else method.alpha.grad.clone())
        lr_alpha = method.start(f, y, bank.text)[1]
        start = method.alpha.detach().clone()
        method = make(steps=10, accumulate=accumulate, alpha_every=10)
        list(method.learn(f, y, method.bank()))
        moved[accumulate] = method.alpha.detach() - start
        torch.testing.assert_close(moved[accumulate], -lr_alpha * grads[-1], rtol=1e-3, atol=1e-4)
    assert not torch.allclose(moved[True], moved[False])


def test_the_last_of_the_best_steps_stays():
    method = make(steps=30)
    events = list(method.fit(TOY.episode, FitContext()))
    assert sum(isinstance(e, Step) for e in events) == 30
    held, bank = method.features(TOY.episode.val), method.bank()
    again, seen = make(steps=30), []
    for _ in again.learn(*again.features(TOY.episode.support), bank):
        seen.append((again._accuracy(held, bank), again.weight.detach().clone()))
    best = max(range(30), key=lambda i: (seen[i][0], i))
    torch.testing.assert_close(method.weight.detach(), seen[best][1])
