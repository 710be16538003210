"""The exact fast paths: cut, share, cache; each on and off, same features and same gradients."""

import itertools
import threading

import pytest
import torch
from torch import nn

from promptlab.backbones import packed
from promptlab.backbones.load import wrap
from promptlab.backbones.packed import best_pack, pack
from promptlab.backbones.points import Edit, TextInput
from promptlab.data.batch import Batch
from promptlab.errors import BadData
from tests.backbones.models import SiglipTokenizer, close, images, siglip, vit

NAMES = ["cat", "golden retriever", "air plane", "forget-me-not", "sea", "Boeing 737", "t-shirt"]
N = 4


@pytest.fixture(scope="module")
def model():
    return vit()


@pytest.fixture
def clip(model):
    return wrap(model)


class Prompts(nn.Module):
    """[SOS][4 learned][name][.][EOT] for G contexts; ``how``: shared, one context a class (zipped), or behind the name."""

    def __init__(self, clip, how: str, groups: int):
        super().__init__()
        torch.manual_seed(1)
        self.clip, self.how, self.groups = [clip], how, groups
        self.ids = clip.tokenize([" ".join(["X"] * N) + f" {name}." for name in NAMES])
        self.ctx = nn.Parameter(0.3 * torch.randn(len(NAMES) if how == "zipped" else groups, N, clip.text_width))
        self.deep = nn.Parameter(0.3 * torch.randn(2, clip.text_width))
        self.gain = nn.Parameter(torch.ones(clip.text_width))
        self.low = nn.Parameter(0.1 * torch.randn(clip.text_width))

    def input(self) -> TextInput:
        clip, e, rows = self.clip[0], self.clip[0].embed(self.ids), len(NAMES)
        eot = clip.ends(self.ids)
        if self.how == "shared":
            prefix = torch.cat([e[:1, :1].expand(self.groups, -1, -1), self.ctx], 1)
            return TextInput(prefix, e[:, 1 + N :], eot, self.ids)
        if self.how == "zipped":
            return TextInput(torch.cat([e[:, :1], self.ctx], 1), e[:, 1 + N :], eot, self.ids, zipped=True)
        ends = clip.ends(self.ids).tolist()
        body = [torch.cat([e[r, 1 + N : ends[r] - 1], self.ctx[0], e[r, ends[r] - 1 :]]) for r in range(rows)]
        return TextInput(e[:1, :1], torch.stack(body), eot, self.ids)

    def edits(self, kind: str) -> list[Edit]:
        return {
            "none": [],
            "deep": [Edit("text.block.1.in", lambda x: self.deep.expand(len(x), -1, -1), slots=(1, 3))],
            "slots": [Edit("text.block.*.mid", lambda x: x * self.gain, slots=(0, 2)),
                      Edit("text.embed", lambda x: x + self.low, slots=(1, 2))],
            "pointwise": [Edit("text.embed", lambda x: x + self.low, pointwise=True),
                          *(Edit(f"text.block.*.{p}", lambda x: x * self.gain, pointwise=True)
                            for p in ("mid", "mlp.out", "attn.k", "attn.q"))],
            "weights": [Edit("text.weights.block.*.attn.v", lambda w: w + torch.outer(self.low, self.gain)),
                        Edit("text.weights.ln_post", lambda w: w + self.low)],
            "whole": [Edit("text.block.1.mid", lambda x: x - x[:, :1] * self.low)],
            "pattern": [Edit("text.block.2.attn.pattern", lambda p: p * self.gain[0])],
            "pooled": [Edit("text.pooled", lambda x: x + self.low[: x.shape[-1]])],
        }[kind]


def loss_and_gradients(clip, how, groups, kind, cut, share):
    prompts = Prompts(clip, how, groups)
    clip.fast.cut, clip.fast.share = cut, share
    pooled = clip.encode_text(prompts.input(), prompts.edits(kind)).pooled
    assert pooled.shape == (prompts.input().rows, clip.joint_dim)
    weights = torch.randn(pooled.shape, generator=torch.Generator().manual_seed(2))
    loss = (torch.nn.functional.normalize(pooled, dim=-1) * weights).sum()
    loss.backward()
    return pooled.detach(), {n: p.grad for n, p in prompts.named_parameters() if p.grad is not None}


CASES = [*itertools.product(["shared"], [1, 3], ["none", "deep", "slots", "pointwise", "weights", "whole", "pattern", "pooled"]),
         *itertools.product(["zipped", "front"], [1], ["none", "pointwise", "weights", "deep"])]


@pytest.mark.parametrize(("how", "groups", "kind"), CASES)
def test_switches_change_nothing(clip, how, groups, kind):
    plain, gradients = loss_and_gradients(clip, how, groups, kind, False, False)
    assert gradients
    for cut, share in ((True, True), (True, False), (False, True)):
        other, theirs = loss_and_gradients(clip, how, groups, kind, cut, share)
        assert close(other, plain), (cut, share)
        assert all(close(theirs[n], g, 1e-4) for n, g in gradients.items() if n in theirs)
        missing = {n for n in gradients if n not in theirs and float(gradients[n].abs().max()) > 0}
        assert not missing, (cut, share, missing)


def test_prompts_are_group_major(clip):
    prompts = Prompts(clip, "shared", 3)
    both = clip.encode_text(prompts.input()).pooled
    for g in range(3):
        x = prompts.input()
        alone = clip.encode_text(TextInput(x.prefix[g : g + 1], x.suffix, x.eot)).pooled
        assert close(both[g * len(NAMES) : (g + 1) * len(NAMES)], alone)
    assert close(clip.encode_text(x.plain()).pooled, both)
    assert close(clip.encode_text(x.select([2, 0])).pooled.view(3, 2, -1), both.view(3, len(NAMES), -1)[:, [2, 0]])


def test_the_shared_path_is_the_one_that_runs(clip, monkeypatch):
    used = []
    encode = packed.encode
    monkeypatch.setattr(packed, "encode", lambda *a: used.append(1) or encode(*a))
    for kind in ("none", "deep", "slots", "pointwise", "weights", "pooled"):
        loss_and_gradients(clip, "shared", 2, kind, True, True)
    assert len(used) == 6
    for kind in ("whole", "pattern"):
        loss_and_gradients(clip, "shared", 2, kind, True, True)
    assert len(used) == 6


def test_recomputing_blocks_changes_nothing(clip, monkeypatch):
    kept = loss_and_gradients(clip, "shared", 2, "weights", True, True)
    monkeypatch.setattr(packed, "BUDGET", 0)
    saved = loss_and_gradients(clip, "shared", 2, "weights", True, True)
    assert torch.equal(kept[0], saved[0]) and all(close(saved[1][n], g) for n, g in kept[1].items())


def test_bidirectional_text_is_never_cut_nor_shared(monkeypatch):
    clip = wrap(siglip(monkeypatch), SiglipTokenizer())
    texts = ["a cat.", "a golden retriever at night"]
    on = clip.encode_text(texts).pooled
    clip.fast.cut = clip.fast.share = False
    assert torch.equal(clip.encode_text(texts).pooled, on)
    moved = clip.prompts(texts)
    suffix = moved.suffix.clone()
    suffix[:, -2] += torch.randn(suffix.shape[-1])  # a padding position: it counts here
    assert not close(clip.encode_text(TextInput(moved.prefix, suffix, moved.eot)).pooled, on, 1e-4)


def test_packing_puts_every_row_into_one_bin():
    for lengths in ([3], [5, 3, 3], [3] * 60 + [4] * 30 + [9] * 4, list(range(1, 40))):
        bins, capacity = best_pack(lengths)
        assert sorted(r for b in bins for r in b) == list(range(len(lengths)))
        assert max(sum(lengths[r] for r in b) for b in bins) <= capacity
    assert pack([2, 2, 2, 3], 5) == [[3, 0], [1, 2]]


# ---- frozen image encodings ---------------------------------------------------------------------------------------


class Counting:
    """A source that says which rows were rendered."""

    key = "counting"

    def __init__(self, n: int = 40):
        self.data, self.asked = images(n), []

    def __len__(self):
        return len(self.data)

    def pixels(self, rows, spec, view=None):
        self.asked += list(rows)
        return self.data[list(rows)]


def test_cache_encodes_only_what_is_new(clip):
    source = Counting()
    batch = Batch(source, (3, 1, 7))
    a = clip.cached_image(batch)
    assert source.asked == [3, 1, 7] and not a.pooled.requires_grad and close(a.pooled, clip.encode_image(source.data[[3, 1, 7]]).pooled)
    b = clip.cached_image(Batch(source, (7, 2, 3)))
    assert source.asked == [3, 1, 7, 2] and torch.equal(b.pooled[[0, 2]], a.pooled[[2, 0]])
    with_tokens = clip.cached_image(batch, tokens=True)
    assert with_tokens.tokens.shape == (3, 16, 32) and with_tokens.grid == (4, 4) and len(source.asked) == 7
    clip.fast.cache = False
    clip.cached_image(batch)
    assert len(source.asked) == 10


def test_an_encoding_does_not_depend_on_what_was_missing(clip):
    source = Counting()
    once = clip.cached_image(Batch(source, tuple(range(40)))).pooled
    for rows in ((5, 3, 17), tuple(range(39, 18, -1)), (0, 38)):
        clip.cache.clear()
        assert torch.equal(clip.cached_image(Batch(source, rows)).pooled, once[list(rows)])


def test_cache_is_bounded_and_survives_threads(clip):
    clip.cache.limit = 20 * 32 * 4
    source = Counting()
    batches = [Batch(source, tuple(range(i, i + 8))) for i in range(0, 32, 4)]
    work = [threading.Thread(target=lambda b=b: [clip.cached_image(b) for _ in range(5)]) for b in batches]
    [t.start() for t in work]
    [t.join() for t in work]
    assert clip.cache.bytes <= clip.cache.limit and len(clip.cache) <= 20
    assert close(clip.cached_image(batches[0]).pooled, clip.encode_image(source.data[:8]).pooled)


def test_cache_on_disk_belongs_to_the_weights(tmp_path):
    first = wrap(vit(), folder=tmp_path)
    source = Counting()
    a = first.cached_image(Batch(source, (0, 1)))
    again = wrap(vit(), folder=tmp_path)
    assert torch.equal(again.cached_image(Batch(source, (1, 0))).pooled, a.pooled[[1, 0]]) and source.asked == [0, 1]
    other = wrap(vit(text={"layers": 2}, layers=2), folder=tmp_path)
    other.cached_image(Batch(source, (0,)))
    assert source.asked == [0, 1, 0]


def test_zero_shot_is_a_mean_of_unit_vectors(clip):
    names, templates = ("cat", "sea"), ("a photo of a {}.", "art of the {}.")
    f = torch.stack([torch.nn.functional.normalize(clip.encode_text([t.format(n) for n in names]).pooled, dim=-1) for t in templates])
    expected = torch.nn.functional.normalize(f.mean(0), dim=-1)
    got = clip.zero_shot(names, templates)
    assert close(got, expected) and not got.requires_grad
    got.zero_()
    assert close(clip.zero_shot(names, templates), expected)
    raw = torch.nn.functional.normalize(sum(clip.encode_text([t.format(n) for n in names]).pooled for t in templates), dim=-1)
    assert close(clip.zero_shot(names, templates, mean="raw"), raw)
    with pytest.raises(BadData):
        clip.zero_shot(names, templates, mean="median")
