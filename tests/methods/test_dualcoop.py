"""DualCoOp against the four lines of its card on open_clip's own modules, and the card's algebra."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.card import build_hyper
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.task import Task
from promptlab.errors import ClosedVocabulary
from promptlab.losses import asymmetric
from promptlab.methods.dualcoop import DualCoOp
from tests.golden import fill
from tests.golden.small import NAMES, pair


def build(clip, **values) -> DualCoOp:
    torch.manual_seed(3)
    return DualCoOp(clip, Task("multi", ClassSet(NAMES)), build_hyper("dualcoop", DualCoOp.Hyper, values))


def text(model: nn.Module, ctx: Tensor) -> Tensor:
    """Unit features [C, E] of "X .. X name." with the rows after SOS replaced by ctx [n, D] or [C, n, D], 77 positions."""
    from open_clip import get_tokenizer

    n = ctx.shape[-2]
    ids = get_tokenizer("ViT-B-32")([" ".join(["X"] * n) + f" {name}." for name in NAMES])
    rows = model.token_embedding(ids)
    rows = torch.cat([rows[:, :1], ctx.expand(len(NAMES), -1, -1), rows[:, 1 + n:]], 1) + model.positional_embedding
    x = model.ln_final(model.transformer(rows, attn_mask=model.attn_mask))
    return F.normalize(x[torch.arange(len(ids)), ids.argmax(-1)] @ model.text_projection, dim=-1)


def reference(model: nn.Module, pixels: Tensor, ctx_neg: Tensor, ctx_pos: Tensor, kappa: float, pool: float) -> Tensor:
    """Pair of logits [B, 2, C] of a ResNet CLIP, negatives first."""
    v, attn = model.visual, model.visual.attnpool
    x = v.layer4(v.layer3(v.layer2(v.layer1(v.stem(pixels))))).flatten(2).transpose(1, 2)
    x = torch.cat([x.mean(1, keepdim=True), x], 1) + attn.positional_embedding
    z = F.normalize(attn.c_proj(attn.v_proj(x)), dim=-1)
    s_neg, s_pos = (kappa * z @ text(model, ctx).T for ctx in (ctx_neg, ctx_pos))
    w = s_pos.softmax(1)
    return pool * torch.stack([(w * s_neg).sum(1), (w * s_pos).sum(1)], 1)


@pytest.mark.parametrize(("csc", "n_pos", "n_neg", "kappa", "pool"), [(False, 3, 7, 20.0, 5.0), (True, 4, 2, 8.0, 3.0)])
def test_resnet_is_the_card(csc: bool, n_pos: int, n_neg: int, kappa: float, pool: float) -> None:
    model, clip = pair("resnet", seed=5)
    method = build(clip, n_ctx_pos=n_pos, n_ctx_neg=n_neg, class_specific=csc, kappa=kappa, pool_scale=pool, loss_w=0.5, gamma_neg=3.0)
    target = torch.tensor([[1, 0, -1, 0, 1], [0, 0, 1, -1, -1]])
    batch = Batch.of(fill.images(2, 128, 9), target)
    with torch.no_grad():
        for p in method.parameters():
            p.mul_(5)  # away from the start, so that the two prompts differ
    out = method(batch, method.bank())
    ctx = [c.ctx.detach().clone().requires_grad_() for c in (method.negative, method.positive)]
    want = reference(model, batch.pixels(clip.spec), *ctx, kappa, pool)
    torch.testing.assert_close(out.aux["pair"], want, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(out.pred.sigmoid(), want.softmax(1)[:, 1], rtol=1e-4, atol=1e-5)
    method.loss(out, batch)["task"].backward()
    p = want.softmax(1)[:, 1]
    q = (1 - p + 0.05).clamp(max=1)
    each = torch.where(target == 1, (1 - p.detach()) * p.log(), (1 - q.detach()) ** 3 * q.log())
    (-0.5 * each[target >= 0].sum()).backward()
    for ours, theirs in zip((method.negative.ctx, method.positive.ctx), ctx, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_equal_prompts_know_nothing(kind: str) -> None:
    method = build(pair(kind)[1], n_ctx_pos=4, n_ctx_neg=4)
    with torch.no_grad():
        method.negative.ctx.copy_(method.positive.ctx)
    out = method(Batch.of(fill.images(2, method.backbone.spec.size)), method.bank())
    torch.testing.assert_close(out.pred.sigmoid(), torch.full((2, len(NAMES)), 0.5))
    assert out.aux["weights"].shape == (2, len(NAMES), 4, 4)


def test_unknown_labels_pull_nowhere() -> None:
    pair_logits = torch.randn(3, 2, 4, requires_grad=True)
    target = torch.tensor([[1, -1, 0, -1], [-1, -1, -1, -1], [0, 1, 1, -1]])
    asymmetric(pair_logits, target).backward()
    gone = pair_logits.grad.permute(0, 2, 1)[target == -1]
    assert torch.equal(gone, torch.zeros_like(gone))
    assert (pair_logits.grad.permute(0, 2, 1)[target != -1] != 0).all()


def test_other_names() -> None:
    """Shared contexts answer for other names, in the order asked; a pair a class refuses."""
    clip = pair("resnet")[1]
    batch = Batch.of(fill.images(2, 128))
    method = build(clip, n_ctx_pos=3, n_ctx_neg=3)
    whole = method(batch, method.bank()).pred
    some = method(batch, method.bank(ClassSet(NAMES).subset([3, 1]))).pred
    torch.testing.assert_close(some, whole[:, [3, 1]], rtol=1e-4, atol=1e-4)
    with pytest.raises(ClosedVocabulary):
        build(clip, class_specific=True).bank(ClassSet(("one", "two")))


def test_larger_pictures() -> None:
    method = build(pair("vit")[1], size=96, n_ctx_pos=2, n_ctx_neg=2)
    out = method(Batch.of(fill.images(2, 96)), method.bank())
    assert out.aux["weights"].shape[-2:] == (6, 6)
