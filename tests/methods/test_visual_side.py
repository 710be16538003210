"""Visual, coupled, adapter and cache methods: what they equal at the ends of their knobs, and the paper's parameter counts."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab import registry
from promptlab.backbones.tiny import hollow_backbone, tiny_backbone
from promptlab.create import build
from promptlab.data.classes import ClassSet
from promptlab.data.kinds import kind_of
from promptlab.data.task import Task
from promptlab.errors import BadData, BadHyper, ClosedVocabulary
from promptlab.fit.context import FitContext
from promptlab.fit.events import Event, Finished, Note, Started, Step
from promptlab.method import Method
from promptlab.parts.tokens import append

TOY = kind_of("single").toy(size=32, classes=4, shots=3)
NAMES = TOY.episode.task.classes


def make(key: str, **hyper: Any) -> Method:
    torch.manual_seed(0)
    return build(key, tiny_backbone("vit"), TOY.episode.task, hyper)


def fit(method: Method, episode: Any = TOY.episode) -> list[Event]:
    return list(method.fit(episode, FitContext()))


def batch() -> Any:
    return next(TOY.episode.support.batches(64))


def answer(method: Method) -> Tensor:
    with torch.no_grad():
        return method.eval()(batch(), method.bank()).pred


def zero_shot(template: str | None = None) -> Tensor:
    clip = tiny_backbone("vit")
    image = F.normalize(clip.cached_image(batch()).pooled, dim=-1)
    return clip.scale * image @ clip.zero_shot(NAMES.clean, (template,) if template else NAMES.templates).T


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("key,hyper,count", [
    ("maple", {}, 3_555_072), ("maple", {"depth": 3}, 2 * 512 * 3 + 3 * 393_984), ("vp", {}, 69_840),
    ("vp", {"variant": "fixed_patch"}, 2_700), ("clip_adapter", {}, 131_072), ("tip_adapter", {}, 0), ("taskres", {}, 51_200),
    ("clip_lora", {}, 184_320),
    ("clip_lora", {"encoder": "vision"}, 12 * 3 * 2 * 2 * 768), ("wise_ft", {}, 86_243_940), ("wise_ft", {"train": "head"}, 51_300),
])
def test_learnables_of_the_paper(key: str, hyper: dict[str, Any], count: int) -> None:
    task = Task("single", ClassSet(tuple(f"thing {i}" for i in range(100))))
    assert build(key, hollow_backbone(), task, hyper).trainable() == count


# ---- MaPLe --------------------------------------------------------------------------------------------------------------


def test_maple_of_depth_one_from_words_is_zero_shot_text_and_a_shallow_visual_prompt() -> None:
    method, clip = make("maple", depth=1), tiny_backbone("vit")
    close(method.bank().text, method.plain(NAMES, ("a photo of a {}.",)))
    shallow = clip.encode_image(batch().pixels(clip.spec), [append(method.couple.first(method.context.ctx))]).pooled
    assert torch.equal(method.image(batch()).pooled, shallow)


@pytest.mark.parametrize("side", ["text", "image"])
def test_maple_deep_prompts_hear_both_towers(side: str) -> None:
    method = make("maple", depth=2)
    (method.text(NAMES.prompts()) if side == "text" else method.image(batch()).pooled).square().sum().backward()
    assert method.deep.tokens[0].grad.abs().sum() > 0
    assert (method.couple.deep[0].weight.grad is None) == (side == "text")


def test_maple_depth_is_cut_to_the_towers_and_four_words_at_most() -> None:
    assert len(make("maple", depth=9).deep.tokens) == 2
    assert make("maple", n_ctx=5).context.words is None and make("maple", n_ctx=3).context.ctx.shape[0] == 3


# ---- VP -----------------------------------------------------------------------------------------------------------------


def test_vp_without_a_prompt_is_zero_shot_with_its_own_sentence() -> None:
    close(answer(make("vp", init="zeros")), zero_shot("This is a photo of a {}"))
    assert make("vp").prompt.pad_up.shape[2] == round(32 * 30 / 224)
    with pytest.raises(BadHyper, match="exactly once"):
        make("vp", template="no place for a name")


# ---- CLIP-Adapter -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["raw_then_norm", "norm_first", "norm_first_no_renorm"])
def test_clip_adapter_without_its_share_is_zero_shot(norm: str) -> None:
    close(answer(make("clip_adapter", ratio=0.0, norm=norm)), zero_shot())


@pytest.mark.parametrize("norm,factor", [("raw_then_norm", 1.0), ("norm_first", 1.0), ("norm_first_no_renorm", 0.4)])
def test_clip_adapter_that_adds_nothing_is_zero_shot_where_it_renormalises(norm: str, factor: float) -> None:
    method = make("clip_adapter", ratio=0.6, norm=norm)
    torch.nn.init.zeros_(method.adapter.fc[2].weight)
    close(answer(method), factor * zero_shot())


# ---- TaskRes ------------------------------------------------------------------------------------------------------------


def test_taskres_starts_at_the_mean_of_raw_features_and_answers_for_some_of_its_names() -> None:
    names = replace(NAMES, templates=("a photo of a {}.", "art of the {}."))
    method = build("taskres", tiny_backbone("vit"), replace(TOY.episode.task, classes=names))
    close(method.bank().text, tiny_backbone("vit").zero_shot(names.names, names.templates, mean="raw"))
    torch.nn.init.normal_(method.head.residual)
    close(method.bank(names.subset([2, 0])).text, method.bank().text[[2, 0]])
    with pytest.raises(ClosedVocabulary):
        method.bank(ClassSet(("another",)))


def test_taskres_scale_and_rate_only_enter_as_a_product() -> None:
    """Adam with (alpha, lr) moves the classifier as with (1, alpha · lr), without decay and eps."""
    runs = [make("taskres", alpha=a, lr=lr, steps=5, batch=12, augment="none", weight_decay=0.0, adam_eps=0.0, schedule="constant")
            for a, lr in ((0.5, 0.02), (1.0, 0.01))]
    for method in runs:
        fit(method)
    torch.testing.assert_close(runs[0].bank().text, runs[1].bank().text, rtol=1e-3, atol=1e-4)


def test_taskres_normalised_base_differs_only_in_the_units_of_the_residual() -> None:
    raw, unit = make("taskres"), make("taskres", base="normalised")
    close(unit.bank().text, raw.bank().text)


# ---- CLIP-LoRA ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", ["both", "vision", "text"])
def test_clip_lora_is_zero_shot_at_first_in_both_modes(encoder: str) -> None:
    method = make("clip_lora", encoder=encoder, params="qkvo")
    for mode in (True, False):
        with torch.no_grad():
            close(method.train(mode)(batch(), method.bank()).pred, zero_shot())
    sides = {e.at.split(".")[0] for e in method.edits()}
    assert sides == {"both": {"image", "text"}, "vision": {"image"}, "text": {"text"}}[encoder]


def test_clip_lora_trains_so_many_steps_a_shot() -> None:
    method = make("clip_lora", steps_per_shot=2, batch=4, layers="1-2", augment="none")
    assert sum(isinstance(e, Step) for e in fit(method)) == 2 * TOY.episode.shots
    assert not torch.equal(answer(method), zero_shot())
    with pytest.raises(BadHyper, match="qkvo"):
        make("clip_lora", params="qx")
    with pytest.raises(BadHyper, match="0 ... 2"):
        make("clip_lora", layers="3")


# ---- WiSE-FT ------------------------------------------------------------------------------------------------------------


def moved(**hyper: Any) -> Method:
    method = make("wise_ft", **hyper)
    with torch.no_grad():
        for p in method.parameters():
            p.normal_(std=0.02)
    return method


def at(method: Method, alpha: float) -> Tensor:
    method.hyper = replace(method.hyper, alpha=alpha)
    return answer(method)


def test_wise_ft_hits_both_ends() -> None:
    method = moved()
    with torch.no_grad():
        fine_tuned = method.train()(batch(), method.bank()).pred
    assert torch.equal(at(method, 1.0), fine_tuned)
    close(at(method, 0.0), zero_shot())
    assert torch.equal(at(method, 0.0), at(make("wise_ft"), 0.0))


def test_wise_ft_interpolates_logits_of_the_head_alone_but_not_of_the_tower() -> None:
    for train in ("head", "all"):
        method = moved(train=train)
        gap = (at(method, 0.3) - (0.7 * at(method, 0.0) + 0.3 * at(method, 1.0))).abs().max()
        assert (gap < 1e-4) == (train == "head"), (train, gap)


# ---- Tip-Adapter --------------------------------------------------------------------------------------------------------


def test_tip_adapter_without_its_share_is_zero_shot_and_votes_for_its_shots() -> None:
    method = make("tip_adapter", passes=3)
    close(answer(method), zero_shot())
    events = fit(method)
    assert len(method.cache) == len(TOY.episode.support) and isinstance(events[0], Started) and isinstance(events[-1], Finished)
    assert "validation" in next(e.text for e in events if isinstance(e, Note))
    method.hyper = replace(method.hyper, alpha=0.0)
    close(answer(method), zero_shot())
    method.hyper = replace(method.hyper, alpha=500.0, beta=8.0)
    assert torch.equal(answer(method).argmax(-1), batch().target)


def test_tip_adapter_f_starts_as_tip_adapter_and_trains_keys_only() -> None:
    plain, tuned, still = (make("tip_adapter", passes=2, select_on="init", **more)
                           for more in ({}, {"finetune": True}, {"finetune": True, "epochs": 0}))
    for method in (plain, tuned, still):
        fit(method)
    assert torch.equal(answer(plain), answer(still)) and not torch.equal(answer(plain), answer(tuned))
    assert [n for n, _ in tuned.named_parameters()] == ["cache.keys"] and not list(plain.parameters())


def test_tip_adapter_selects_where_it_may() -> None:
    def note(episode: Any = TOY.episode, **hyper: Any) -> tuple[str, list[float]]:
        method = make("tip_adapter", passes=1, **hyper)
        return next(e.text for e in fit(method, episode) if isinstance(e, Note)), method.found.tolist()

    blind = TOY.episode.replace(val=None)
    assert "left out" in note(blind)[0] and "validation" in note()[0]
    text, found = note(blind, finetune=True, epochs=1)
    assert "no validation" in text and found == pytest.approx([1.17, 1.0])
    assert note(select_on="init", init_alpha=3.0)[1] == pytest.approx([3.0, 1.0])


def test_tip_adapter_never_sees_test_pictures_by_itself() -> None:
    method = make("tip_adapter", passes=1, select_on="test_compat")
    with pytest.raises(BadData, match="test"):
        fit(method)
    method.test = TOY.test.split
    assert any("TEST" in e.text for e in fit(method) if isinstance(e, Note))


def test_tip_adapter_keys_are_unit_means_of_raw_features() -> None:
    method = make("tip_adapter", passes=1, augment="none")
    fit(method)
    close(method.cache.keys, F.normalize(tiny_backbone("vit").cached_image(batch()).pooled, dim=-1))
    other = make("tip_adapter")
    other.load_state_dict(method.state_dict())
    assert torch.equal(answer(other), answer(method))


def test_every_method_here_has_a_demo_and_says_what_differs() -> None:
    for key in ("maple", "vp", "clip_adapter", "tip_adapter", "taskres", "clip_lora", "wise_ft"):
        card = registry.card(key)
        assert "demo" in card.presets and card.departs
