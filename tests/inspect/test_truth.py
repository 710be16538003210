"""What exhibits say is so: compared with brute force, hand computations, the towers' own numbers and another library."""

import numpy as np
import ot
import pytest
import torch
import torch.nn.functional as F

from promptlab import inspect as look
from promptlab import registry
from promptlab.backbones.tiny import tiny_backbone
from promptlab.data.batch import Batch
from promptlab.errors import WrongKind
from promptlab.inspect.attention import rollout
from promptlab.inspect.evidence import deletion
from promptlab.inspect.transport import local_cost, marginal_error
from promptlab.inspect.words import nearest
from promptlab.method import sandbox
from promptlab.parts.transport import sinkhorn
from promptlab.testing.subject import Subject, sentence


def fitted(key):
    subject = Subject(registry.get(key))
    method, _ = subject.fit()
    return method.eval(), next(subject.toy.episode.support.take([0]).batches(1))


@pytest.fixture(scope="module")
def plot():
    return fitted("plot")


def test_plan_equals_another_library(plot):
    method, picture = plot
    cost, *_ = local_cost(method, picture, None)
    m, n = cost.shape
    for eps in (0.1, 0.03):
        ours = sinkhorn(cost[None, None], eps, 5000, 0.0).plan[0, 0]
        assert marginal_error(ours) < 1e-4
        theirs = ot.sinkhorn(np.full(m, 1 / m), np.full(n, 1 / n), cost.double().numpy(), eps, numItermax=5000, stopThr=1e-12)
        assert np.abs(ours.numpy() - theirs).max() < 1e-5


def test_transport_exhibit(plot):
    method, picture = plot
    e = look.transport(method, picture, eps=0.05, max_iter=2000)
    assert e.arrays["plan"].shape == e.arrays["cost"].shape
    assert np.allclose(e.arrays["row"], e.arrays["plan"].sum(1)) and np.allclose(e.arrays["maps"].sum((1, 2)), 1, atol=1e-5)
    assert np.allclose(e.arrays["steps"][-1], e.arrays["maps"], atol=1e-6)
    flat, sharp = (look.transport(method, picture, eps=v, max_iter=2000).sanity[1].value for v in (1.0, 0.01))
    assert sharp < flat <= 1 + 1e-6


def test_nearest_words_by_brute_force():
    clip = tiny_backbone()
    vocabulary = clip.text.weights["text.weights.token"]
    vectors = torch.randn(5, vocabulary.shape[1], generator=torch.Generator().manual_seed(0))
    distance, ids = nearest(vectors, vocabulary, 3)
    for v, d, i in zip(vectors, distance, ids):
        every = torch.stack([(v.double() - w.double()).pow(2).sum().sqrt() for w in vocabulary])
        order = every.argsort(stable=True)[:3]
        assert torch.equal(i, order) and torch.allclose(d.double(), every[order], atol=1e-5)


def test_words_of_a_word_are_that_word():
    method, _ = fitted("coop")
    with torch.no_grad():
        ids = method.backbone.tokens("photo")[:1]
        next(p for n, p in method.named_parameters() if n.endswith("ctx"))[0].copy_(method.backbone.embed(torch.tensor(ids))[0])
    e = look.words(method)
    assert int(e.arrays["id"][0, 0]) == ids[0] and e.arrays["distance"][0, 0] < 1e-5 < e.arrays["null_low"][0]


@pytest.mark.parametrize("key", ["coop", "maple", "vp"])
def test_attention_is_the_towers_own(key):
    method, picture = fitted(key)
    e, clip = look.attention(method, picture), method.backbone
    for name in ("before", "after"):
        sums = e.arrays[name].sum(-1)
        assert np.allclose(sums[sums > 0], 1, atol=1e-5)
    layer = f"image.block.{clip.image_layers - 1}.attn"
    taps = clip.encode_image(picture.pixels(clip.spec), (), [f"{layer}.q", f"{layer}.k", f"{layer}.pattern"]).taps
    own = taps[f"{layer}.pattern"][0]
    assert np.array_equal(e.arrays["before"][-1], own.numpy())
    q, k = (taps[f"{layer}.{x}"][0] for x in ("q", "k"))
    heads = own.shape[0]
    q, k = (x if x.ndim == 3 else x.unflatten(-1, (heads, -1)).transpose(0, 1) for x in (q, k))
    assert torch.allclose((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1), own, atol=1e-5)


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_taps_change_nothing(kind):
    clip = tiny_backbone(kind)
    pixels = torch.randn(2, 3, clip.spec.size, clip.spec.size, generator=torch.Generator().manual_seed(1))
    taps = ["image.block.*.mlp.out", "image.block.*.out"] if kind == "vit" else ["image.stage.*.out"]
    with torch.no_grad():
        assert torch.equal(clip.encode_image(pixels).pooled, clip.encode_image(pixels, (), taps).pooled)
        assert torch.equal(clip.encode_text(["a dog"]).pooled, clip.encode_text(["a dog"], (), ["text.block.*.out"]).pooled)


@pytest.mark.parametrize("key", ["coop", "plot", "maple", "clip_lora"])
def test_tapped_patterns_change_no_logits(key):
    method, picture = fitted(key)
    with torch.no_grad(), sandbox(method):
        before = method(picture, method.bank()).pred
        look.attention(method, picture)
        look.evidence(method, picture)
        assert torch.equal(before, method(picture, method.bank()).pred)


def test_votes_add_up():
    method, picture = fitted("tip_adapter")
    e = look.memory(method, picture)
    votes = np.zeros_like(e.arrays["votes"])
    np.add.at(votes, e.arrays["label"], e.arrays["vote"])
    assert np.allclose(votes, e.arrays["votes"], atol=1e-4) and np.allclose(e.arrays["plain"] + votes, e.arrays["total"], atol=1e-4)
    with torch.no_grad():
        assert np.allclose(method(picture, method.bank()).pred[0], e.arrays["total"], atol=1e-5)


def test_rollout_by_hand():
    one = torch.tensor([[0.5, 0.5], [0.2, 0.8]])
    two = torch.tensor([[1.0, 0.0], [0.6, 0.4]])
    hand = torch.tensor([[1.0, 0.0], [0.3, 0.7]]) @ torch.tensor([[0.75, 0.25], [0.1, 0.9]])
    assert torch.allclose(rollout(torch.stack([one, two])[:, None]), hand)


def test_deletion_of_a_perfect_map():
    """A score that reads one cell only: the map that points at it falls to nothing at once, its reverse only at the end."""
    clip, pixels = tiny_backbone(), torch.zeros(1, 3, 32, 32)
    pixels[:, :, 8:16, 8:16] = 1.0

    class Stub:
        backbone = clip

    def score(_, batch: Batch):
        return batch.pixels(clip.spec).mean((1, 2, 3))

    heat = F.avg_pool2d(pixels[:, :1], 8).flatten()
    assert deletion(Stub(), pixels, heat, (4, 4), score) == pytest.approx(0.05 / 0.9, abs=1e-6)
    assert deletion(Stub(), pixels, -heat, (4, 4), score) == pytest.approx(1.0, abs=1e-6)


def test_refusals():
    method, picture = fitted("tip_adapter")
    for what in ("words", "transport", "masks", "pixels", "views", "norms"):
        with pytest.raises(WrongKind) as e:
            look.show(method, what, picture)
        sentence(e.value)
