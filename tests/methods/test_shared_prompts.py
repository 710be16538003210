"""UPT, DPT, SoftCPT, MVLPT, SVL-Adapter, VT-CLIP, RePrompt: what they equal at the ends of their knobs, and who may see whom."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.backbones.tiny import tiny_backbone
from promptlab.create import build
from promptlab.data.kinds import kind_of
from promptlab.errors import BadHyper
from promptlab.fit.context import FitContext
from promptlab.fit.state import restore, snapshot
from promptlab.parts.looking import ClassAware, TextToImage, matching_rows
from promptlab.parts.mixer import Mixer, Prompts
from promptlab.parts.selfsup import SecondEncoder, distort, nt_xent

TOY = kind_of("single").toy(size=32, classes=4, shots=3)
OTHER = kind_of("single").toy(size=32, classes=3, shots=2, seed=5)
EPISODE, NAMES = TOY.episode, TOY.episode.task.classes
WITH_OTHER = EPISODE.replace(others=(OTHER.episode.replace(task=replace(OTHER.episode.task, name="other things")),))


def make(key: str, **hyper: Any) -> Any:
    return build(key, tiny_backbone("vit"), EPISODE.task, hyper, "demo")


def batch() -> Any:
    return next(EPISODE.support.batches(64))


def answer(method: Any) -> Tensor:
    with torch.no_grad():
        return method.eval()(batch(), method.bank()).pred


def fit(method: Any, episode: Any = EPISODE) -> Any:
    list(method.fit(episode, FitContext()))
    return method


def zero_shot() -> Tensor:
    clip = tiny_backbone("vit")
    return clip.scale * F.normalize(clip.cached_image(batch()).pooled, dim=-1) @ clip.zero_shot(NAMES.clean, NAMES.templates).T


# ---- UPT ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mixing", ["full", "pairwise", "none"])
def test_who_hears_a_changed_prompt(mixing: str) -> None:
    torch.manual_seed(0)
    mixer, text, vision = Mixer(6, 10, 8, 1, mixing), torch.randn(2, 6), torch.randn(3, 2, 10)
    other = text.clone()
    other[0] += 1
    (t, v), (t2, v2) = mixer(text, vision), mixer(other, vision)
    moved = torch.cat([(t2 - t).abs().amax(-1), (v2 - v).abs().amax(-1).flatten()]) > 1e-6
    own, partners = [True, False], [True, False] * 3
    assert moved.tolist() == {"none": own + [False] * 6, "pairwise": own + partners, "full": [True] * 8}[mixing]


def test_maps_that_undo_each_other_and_an_idle_block_leave_the_prompts() -> None:
    torch.manual_seed(0)
    prompts = Prompts(tiny_backbone("vit"), NAMES, 2, 2, dim=64)
    mixer = prompts.mixer
    with torch.no_grad():
        for p in (mixer.block.attn.out_proj, mixer.block.down):
            p.weight.zero_(), p.bias.zero_()
        for pre, post in ((mixer.pre_t, mixer.post_t), (mixer.pre_v, mixer.post_v)):
            post.weight.copy_(torch.linalg.pinv(pre.weight)), pre.bias.zero_(), post.bias.zero_()
    text, vision = prompts.mixed()
    torch.testing.assert_close(text, prompts.context.ctx, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(vision, prompts.vision, atol=1e-5, rtol=1e-4)


def test_pairwise_mixing_needs_pairs() -> None:
    with pytest.raises(BadHyper, match="as many text as vision"):
        make("upt", mixing="pairwise", n_vision=3).bank()


# ---- DPT ----------------------------------------------------------------------------------------------------------------


def test_class_aware_prompts_send_no_gradient_into_the_picture() -> None:
    layer, text, x = ClassAware(4, 6, 8), torch.randn(2, 3, 6, requires_grad=True), torch.randn(2, 5, 8, requires_grad=True)
    prompts, logits, pattern = layer(text, x)
    (prompts.sum() + logits.sum()).backward()
    assert x.grad is None and text.grad.any() and torch.allclose(pattern.sum(-1), torch.ones(2, 3))


def test_class_aware_loss_counts_true_classes_only() -> None:
    logits, chosen = torch.randn(3, 2, 4), torch.tensor([[0, 1], [2, 3], [1, 0]])
    want = F.cross_entropy(torch.stack([logits[0, 1], logits[2, 1]]), torch.tensor([1, 0]))
    assert torch.equal(matching_rows(logits, chosen, torch.tensor([1, 0, 0])), want)
    assert matching_rows(logits, chosen, torch.tensor([3, 0, 2])) == 0


def test_dpt_learns_apart_first_and_keeps_count_of_its_epochs() -> None:
    method = make("dpt", warm_epochs=2, steps=6, batch=6)
    terms = [set(e.terms) for e in method.fit(EPISODE, FitContext()) if type(e).__name__ == "Step"]
    assert terms == [{"halves", "task", "aware"}] * 4 + [{"task", "aware"}] * 2


# ---- SoftCPT ------------------------------------------------------------------------------------------------------------


def test_softcpt_whose_generator_says_the_words_is_zero_shot() -> None:
    method, clip = make("softcpt", n_ctx=4), tiny_backbone("vit")
    with torch.no_grad():
        f = method.task_features()[0]
        method.proj.copy_(torch.outer(f, clip.embed(clip.tokens("a photo of a")).flatten()) / f.square().sum())
    torch.testing.assert_close(answer(method), zero_shot(), atol=1e-3, rtol=1e-3)


def test_softcpt_loss_of_two_tasks_is_their_weighted_sum() -> None:
    method = make("softcpt", task_specific=True)
    method.along([("other things", OTHER.episode.task.classes)])
    method.train()
    bank = method.bank()
    assert bank.text.shape[0] == 7 and method.task_ctx.shape[0] == 2
    target = torch.tensor([0, 3, 4, 6, 5])
    out = replace(method(batch(), bank), pred=torch.randn(5, 7))
    got = method.loss(out, replace(batch(), target=target))["task"]
    first, second = F.cross_entropy(out.pred[:2, :4], target[:2]), F.cross_entropy(out.pred[2:, 4:], target[2:] - 4)
    torch.testing.assert_close(got, (2 * first + 3 * second) / 5)


@pytest.mark.parametrize("key", ["softcpt", "mvlpt"])
def test_methods_for_several_tasks_answer_for_the_first(key: str) -> None:
    quick = {"steps": 3, **({"source_steps": 3} if key == "mvlpt" else {})}
    method = fit(make(key, **quick), WITH_OTHER)
    assert answer(method).shape == (len(batch()), 4)
    again = make(key, **quick)
    restore(again, snapshot(method))
    assert torch.equal(answer(again), answer(method))


# ---- MVLPT --------------------------------------------------------------------------------------------------------------


def test_union_logits_on_a_slice_are_those_of_the_task() -> None:
    method = make("mvlpt").eval()
    with torch.no_grad():
        method.joint = (OTHER.episode.task.classes, NAMES)
        union = method(batch(), method.bank()).pred
        method.joint = None
        torch.testing.assert_close(union[:, 3:], answer(method))


def test_source_prompts_of_seeds_are_averaged() -> None:
    method = make("mvlpt", instance="coop", source_seeds=2, source_steps=0, steps=0)
    first = method.prompts.context.ctx.detach().clone()
    torch.manual_seed(method.hyper.seed + 1)
    second = method._new().context.ctx.detach()
    fit(method, WITH_OTHER)
    torch.testing.assert_close(method.prompts.context.ctx.detach(), (first + second) / 2)
    assert method.joint is None and method.hyper.source_seeds == 2


def test_per_task_logits_of_others_are_zero() -> None:
    method = make("mvlpt", per_task=True)
    method.joint = (NAMES, OTHER.episode.task.classes)
    kept = method.own(torch.ones(2, 7), torch.tensor([1, 5]))
    assert kept.tolist() == [[1.0] * 4 + [0.0] * 3, [0.0] * 4 + [1.0] * 3]


# ---- SVL-Adapter --------------------------------------------------------------------------------------------------------


def test_svl_ends_are_zero_shot_and_the_classifier() -> None:
    method = fit(make("svl_adapter", steps=5))
    for alpha, want in ((0.0, zero_shot()), (1.0, method.mlp(method.features(batch())).detach())):
        method.hyper = replace(method.hyper, alpha=alpha)
        torch.testing.assert_close(answer(method), want, atol=1e-4, rtol=1e-4)


def test_svl_star_trusts_clip_as_much_as_it_is_sure() -> None:
    method = fit(make("svl_adapter", steps=2, select="confidence"))
    torch.testing.assert_close(method.found, 1 - zero_shot().softmax(-1).amax(-1).mean(), atol=1e-5, rtol=1e-4)


def test_svl_keeps_the_encoder_that_it_adapted() -> None:
    method = fit(make("svl_adapter", encoder="small", ssl_epochs=1, ssl_batch=6, steps=2))
    assert len(method.encoder.weights) == sum(p.numel() for p in method.encoder.module.parameters())
    again = make("svl_adapter", encoder="small", ssl_epochs=1, seed=3)
    again.hyper = method.hyper
    restore(again, snapshot(method), {n for n, _ in method.named_parameters()})
    assert torch.equal(answer(again), answer(method)) and again.trainable() == method.trainable()


def test_svl_without_labels_learns_from_guesses() -> None:
    bare = EPISODE.replace(support=EPISODE.support.take([0]), val=None)
    assert answer(fit(make("svl_adapter", pseudo=True, steps=3), bare)).isfinite().all()


def test_nt_xent_of_equal_views_has_a_closed_form() -> None:
    n, t = 3, 0.5
    z = torch.eye(n)
    want = -torch.log(torch.exp(torch.tensor(1 / t)) / (torch.exp(torch.tensor(1 / t)) + 2 * (n - 1)))
    torch.testing.assert_close(nt_xent(z, z, t), want)


def test_distortions_are_those_of_their_generator() -> None:
    x = torch.rand(4, 3, 16, 16)
    first, second = (distort(x, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second) and first.min() >= 0 and first.max() <= 1 and not torch.equal(first, x)


def test_any_timm_model_can_be_the_second_encoder() -> None:
    encoder = SecondEncoder("resnet18", side=32)
    assert encoder.width == 512 and not list(encoder.parameters())
    object.__setattr__(encoder, "made", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))  # no weights to download here
    assert encoder(torch.rand(2, 3, 32, 32)).shape == (2, 3)


# ---- VT-CLIP and RePrompt -----------------------------------------------------------------------------------------------


def test_the_order_of_regions_does_not_matter() -> None:
    torch.manual_seed(0)
    look, text, local = TextToImage(8, 2), torch.randn(3, 8), torch.randn(2, 5, 8)
    nn.init.normal_(look.o.weight)
    order = torch.tensor([3, 0, 4, 1, 2])
    (a, p), (b, q) = look(text, local), look(text, local[:, order])
    torch.testing.assert_close(a, b)
    torch.testing.assert_close(p[:, :, order], q)


def test_reprompt_with_one_neighbour_and_its_vote_only_is_nearest_neighbour() -> None:
    method = fit(make("reprompt", k=1, mix=1.0, steps=1))
    test = next(TOY.test.split.batches(64))
    with torch.no_grad():
        pred = method(test, method.bank()).pred.argmax(-1)
        query, keys = (F.normalize(method.backbone.cached_image(b).pooled, dim=-1) for b in (test, batch()))
    assert torch.equal(pred, batch().target[(query @ keys.T).argmax(-1)])


def test_reprompt_votes_sum_to_one_and_a_shot_is_not_its_own_neighbour() -> None:
    method = fit(make("reprompt", k=1, steps=1))
    with torch.no_grad():
        own = method.eval().retrieve(batch())[0]
        method.train()
        left_out = method.retrieve(batch())[0]
    assert torch.equal(own.argmax(-1), batch().target)
    torch.testing.assert_close(own.sum(-1), torch.ones(len(batch())))
    keys = method.cache.keys @ method.cache.keys.T
    nearest = keys.fill_diagonal_(-torch.inf).argmax(-1)
    assert torch.equal(left_out.argmax(-1), batch().target[nearest])
