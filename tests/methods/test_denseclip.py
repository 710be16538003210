"""DenseCLIP's algebra: gamma zero is plain cosine, the text is CLIP's own at the words' embeddings, the head reads four maps."""

import pytest
import torch
import torch.nn.functional as F

from promptlab.backbones.tiny import hollow_backbone
from promptlab.card import build_hyper
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.methods.denseclip import DenseCLIP
from promptlab.parts.decoder import ContextDecoder
from promptlab.parts.pyramid import Pyramid
from promptlab.testing import Subject


def made(**hyper):
    s = Subject(DenseCLIP)
    return s, s.make(**hyper).eval()


def test_gamma_zero_is_the_cosine_of_pixels_and_texts():
    s, method = made()
    with torch.no_grad():
        method.gamma.zero_()
        out = method(s.batch, method.bank())
        moved = F.normalize(method.bank().extra["text"], dim=-1)
        z = F.normalize(s.clip.encode_image(s.batch.pixels(s.clip.spec), tokens=True).tokens, dim=-1)
    torch.testing.assert_close(out.aux["score"], out.aux["plain"])
    torch.testing.assert_close(out.aux["score"].flatten(2).transpose(1, 2), z @ moved.T, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        method.gamma.fill_(1.0)
        assert (method(s.batch, method.bank()).aux["score"] - out.aux["score"]).abs().max() > 1e-3


def test_words_as_context_give_the_sentence():
    s, method = made(n_ctx=4)
    with torch.no_grad():
        method.context.ctx.copy_(s.clip.embed(s.clip.tokenize(["a photo of a"])[0, 1:5]))
        got = method.bank().extra["text"]
    want = s.clip.encode_text([f"a photo of a {n}" for n in method.task.classes.clean]).pooled
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def test_class_embedding_counts_twice_where_asked():
    s, once = made(double_class=False)
    _, twice = made(double_class=True)
    a, b = (m.seen(s.batch) for m in (once, twice))
    torch.testing.assert_close(a.pooled, s.clip.encode_image(s.batch.pixels(s.clip.spec)).pooled)
    assert (a.pooled - b.pooled).abs().max() > 1e-3


def test_memory_has_no_order_and_queries_keep_theirs():
    torch.manual_seed(0)
    decoder = ContextDecoder(12, 16, 4, 2).eval()
    text, memory = torch.randn(2, 3, 12), torch.randn(2, 5, 12)
    torch.testing.assert_close(decoder(text, memory), decoder(text, memory[:, [4, 2, 0, 1, 3]]))
    torch.testing.assert_close(decoder(text[:, [2, 0, 1]], memory), decoder(text, memory)[:, [2, 0, 1]])


@pytest.mark.parametrize("side", [4, 7, 8])
def test_pyramid_of_any_grid(side):
    head = Pyramid(8, 5, 5, 16)
    out = head([torch.randn(2, 8, side, side) for _ in range(4)], torch.randn(2, 5, side, side))
    assert out.shape == (2, 5, 4 * side, 4 * side)


def test_the_tower_learns_at_its_own_rate():
    s, method = made(backbone_lr=0.1)
    out = method(s.batch, method.bank())
    assert sum(p.numel() for p in method.tower.parameters()) > 0
    sum(method.loss(out, s.batch).values()).backward()
    assert method.tower["image.weights.patch"].grad.any() and Batch.of(s.batch.pixels(s.clip.spec)) is not None


def test_context_gamma_and_decoder_have_the_published_sizes():
    clip = hollow_backbone()
    hyper = build_hyper("denseclip", DenseCLIP.Hyper, {"backbone_lr": 0.0, "head": "score"})
    method = DenseCLIP(clip, Task("dense", ClassSet(tuple(f"thing {i}" for i in range(100)))), hyper)
    decoder = sum(p.numel() for p in method.decoder.parameters())
    assert method.trainable() - decoder == 4608 and round(decoder / 1e6, 2) == 3.55
