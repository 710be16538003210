"""A scripted stream of ten pictures, and the ends of the knobs."""

import math

import torch
import torch.nn.functional as F

from promptlab.create import build
from promptlab.data.classes import ClassSet
from promptlab.data.kinds import kind_of
from promptlab.data.task import Task
from promptlab.parts.queues import Item, Queues
from promptlab.testing import tiny_backbone

TASK = Task("single", ClassSet(("cat", "dog", "owl")))
OFF = {"capacity_pos": 0, "capacity_neg": 0}


def make(**hyper):
    return build("tda", tiny_backbone(), TASK, hyper)


def stream(method, n=10):
    """Features near the class texts, some sure, some between two classes."""
    text = method.bank().text
    g = torch.Generator().manual_seed(1)
    mix = torch.rand(n, 3, generator=g) ** 3
    return F.normalize(mix @ text + 0.3 * torch.randn(n, text.shape[1], generator=g) / text.shape[1] ** 0.5, dim=-1)


def plainly(method, xs):
    """The public code's loop with plain lists."""
    h, text, scale = method.hyper, method.bank().text, float(method.backbone.scale)
    pos, neg, out = {}, {}, []

    def update(cache, label, item, room):
        queue = cache.setdefault(label, [])
        if len(queue) < room:
            queue.append(item)
        elif item[1] < queue[-1][1]:
            queue[-1] = item
        queue.sort(key=lambda i: i[1])

    for x in xs:
        z = scale * x @ text.T
        p = z.softmax(-1)
        entropy = float(-(p * p.log()).sum())
        update(pos, int(z.argmax()), (x, entropy, p), 3)
        if h.low < entropy / math.log2(3) < h.high:
            update(neg, int(z.argmax()), (x, entropy, p), 2)
        for cache, sign, alpha, beta in ((pos, 1, h.alpha_pos, h.beta_pos), (neg, -1, h.alpha_neg, h.beta_neg)):
            for label, queue in cache.items():
                for key, _, prob in queue:
                    value = F.one_hot(torch.tensor(label), 3) if sign > 0 else ((prob > h.mask_low) & (prob < h.mask_high)).float()
                    z = z + sign * alpha * math.exp(-beta * (1 - float(x @ key))) * value
        out.append(z)
    return torch.stack(out), pos, neg


def test_scripted_stream():
    method = make(low=0.05, high=0.69)
    bank, xs = method.bank(), stream(make())
    want, pos, neg = plainly(method, xs)
    got = torch.cat([method.follow(x[None], bank).pred for x in xs])
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
    for queues, cache in ((bank.extra["positive"], pos), (bank.extra["negative"], neg)):
        assert queues.sizes == [len(cache.get(c, ())) for c in range(3)] and len(queues) > 2
        for c, items in queues.items.items():
            torch.testing.assert_close(torch.tensor([i.entropy for i in items]), torch.tensor([i[1] for i in cache[c]]))
    assert max(bank.extra["positive"].sizes) == 3 and bank.extra["seen"] == [10]


def test_without_queues_it_is_zero_shot_and_a_new_bank_is_a_new_stream():
    toy = kind_of("single").toy(size=32)
    batch = next(toy.episode.support.batches(8))
    off, on = build("tda", tiny_backbone(), toy.episode.task, OFF), build("tda", tiny_backbone(), toy.episode.task, {})
    zero = off.cosine(off.image(batch).pooled, off.plain(toy.episode.task.classes))
    torch.testing.assert_close(off(batch, off.bank()).pred, zero)
    first = on(batch, on.bank()).pred
    assert torch.equal(first, on(batch, on.bank()).pred) and not torch.allclose(first, zero)
    assert not list(on.state_dict())


def test_several_views_are_averaged_without_renormalising():
    method = make(share=0.5)
    xs = stream(method, 4)
    out = method.follow(3.0 * xs, method.bank())
    z = method.cosine(xs, method.bank().text)
    order = torch.distributions.Categorical(logits=z).entropy().argsort()[:2]
    torch.testing.assert_close(out.aux["plain"][0] if out.aux["plain"].ndim == 2 else out.aux["plain"], z[order].mean(0))
    torch.testing.assert_close(out.aux["feature"], xs[order].mean(0))


def test_a_full_queue_changes_its_least_sure_item_only():
    queues = Queues(2, 2)
    for i, e in enumerate((0.5, 0.3, 0.6, 0.4, 0.3)):
        queues.add(0, Item(torch.zeros(1), e, torch.zeros(2), i))
    assert [i.place for i in queues.items[0]] == [1, 4]
