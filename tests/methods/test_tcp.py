"""TCP: degenerate settings are KgCoOp, frozen activations change nothing, and tokens depend on the class alone."""

import pytest
import torch

from promptlab.backbones.points import Edit
from promptlab.create import build
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.testing import tiny_backbone

NAMES = ClassSet(("cat", "bus stop", "owl"), ("a photo of a {}, a type of pet.",))
PART = Batch.of(torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.tensor([2, 0, 1]))


def make(key, names=NAMES, **hyper):
    return build(key, tiny_backbone(), Task("single", names), hyper)


def test_without_its_tokens_it_is_kgcoop():
    names = ClassSet(NAMES.names)
    tcp, kg = make("tcp", names, mix=0.0, layer=1), make("kgcoop", names, ctx_init="", n_ctx=4)
    with torch.no_grad():
        kg.context.ctx.copy_(tcp.context.ctx)
    a, b = tcp(PART, tcp.bank()), kg(PART, kg.bank())
    torch.testing.assert_close(a.pred, b.pred, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(tcp.loss(a, PART)["pull"], kg.loss(b, PART)["guidance"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_tokens_stand_at_the_first_positions_of_their_block(layer):
    method = make("tcp", layer=layer)
    clip, bank = method.backbone, method.bank()
    put = Edit(f"text.block.{layer}.in", lambda x: torch.cat([x[:, :1], bank.extra["tokens"], x[:, 5:]], 1))
    by_hand = clip.encode_text(method.context.inputs(NAMES).plain(), [put]).pooled
    torch.testing.assert_close(torch.nn.functional.normalize(by_hand, dim=-1), bank.text, rtol=1e-5, atol=1e-5)


def test_frozen_activations_in_their_place_change_nothing():
    method = make("tcp", layer=1)
    plain = method.backbone.encode_text(method.context.inputs(NAMES), taps=("text.block.1.in",))
    activations = plain.taps["text.block.1.in"][:, 1:5].detach()
    method.meta_net.forward = lambda r: activations.flatten(1)
    torch.testing.assert_close(method.bank().text, torch.nn.functional.normalize(plain.pooled, dim=-1), rtol=1e-5, atol=1e-5)


def test_equal_features_make_equal_tokens():
    method = make("tcp")
    method.plain = lambda names, templates=None: torch.ones(len(names), method.backbone.joint_dim)
    tokens = method.bank().extra["tokens"]
    assert tokens.shape == (3, 4, method.backbone.text_width) and torch.equal(tokens[0], tokens[2])


def test_the_learned_sentence():
    assert make("tcp").context.texts(NAMES)[1] == "X X X X bus stop, a type of pet."
    acting = make("tcp", prompt="a photo of a person doing {}.")
    assert acting.context.texts(NAMES)[0] == "a photo of a person doing cat." and acting.context.ctx.shape[0] == 4
    words = make("tcp", ctx_init="a photo of a").context.ctx
    clip = tiny_backbone()
    torch.testing.assert_close(words.detach(), clip.embed(clip.tokenize(["a photo of a"]))[0, 1:5])
