"""Algebra of the methods that learn or choose words: degenerate settings must equal what they degenerate to."""

import dataclasses
import functools
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from promptlab.card import build_hyper
from promptlab.create import build
from promptlab.data.batch import Batch
from promptlab.data.classes import ClassSet
from promptlab.data.kinds import kind_of
from promptlab.data.kinds.toy import Toy
from promptlab.data.task import Task
from promptlab.errors import BadData, BadHyper, ClosedVocabulary
from promptlab.fit.context import FitContext
from promptlab.fit.events import Finished, Labelled, Started
from promptlab.method import Method, sandbox
from tests.golden import fill, small

NAMES = ClassSet(("cat", "golden_retriever", "Boeing 737", "t-shirt"))


@functools.lru_cache(maxsize=2)
def clip(kind: str = "vit") -> Any:
    return small.pair(kind, seed=1)[1]


def make(key: str, names: ClassSet = NAMES, on: str = "vit", **hyper: Any) -> Method:
    return build(key, clip(on), Task("single", names, "test"), hyper)


def batch(n: int = 3, size: int = 64) -> Batch:
    return Batch.of(fill.images(n, size, 5), torch.arange(n) % len(NAMES))


def logits(method: Method, names: ClassSet | None = None, of: Batch | None = None) -> torch.Tensor:
    return method(of or batch(), method.bank(names)).pred


def same(a: torch.Tensor, b: torch.Tensor, tolerance: float = 5e-5) -> None:
    torch.testing.assert_close(a, b, rtol=1e-5, atol=tolerance)


@functools.lru_cache(maxsize=1)
def toy() -> Toy:
    return kind_of("single").toy(size=64, classes=3, shots=4)


WORDS = "a photo of a"


@pytest.mark.parametrize(("key", "hyper"), [
    ("coop", {"ctx_init": WORDS}),
    ("coop", {"ctx_init": WORDS, "class_specific": True}),
    ("kgcoop", {"ctx_init": WORDS}),
    ("upl", {"ctx_init": WORDS, "copies": 3}),
    ("tpt", {"ctx_init": WORDS}),
])
def test_words_of_the_template_are_zero_shot(key: str, hyper: dict[str, Any]) -> None:
    same(logits(make(key, **hyper)), logits(make("zero_shot")))


@pytest.mark.parametrize("key", ["coop", "cocoop", "kgcoop", "plot", "upl", "tpt"])
def test_only_the_learnables_get_gradients(key: str) -> None:
    on = "resnet" if key == "plot" else "vit"
    method, before = make(key, on=on, **({"copies": 2} if key == "upl" else {})), clip(on).digest()
    part = batch(size=128 if key == "plot" else 64)
    sum(method.loss(method(part, method.bank()), part).values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in method.parameters())
    assert set(method.state_dict()) == {name for name, _ in method.named_parameters()} and clip(on).digest() == before


def test_zero_shot_templates() -> None:
    names = dataclasses.replace(NAMES, templates=("a photo of a {}.", "a sketch of a {}."))
    same(logits(make("zero_shot", names)), logits(make("zero_shot", NAMES)))
    both = make("zero_shot", names, templates="dataset-all")
    assert (logits(both) - logits(make("zero_shot", names))).abs().max() > 1e-3
    both.hyper = build_hyper("zero_shot", type(both).Hyper, {"template": "a sketch of a {}."})  # a live knob
    same(logits(both), logits(make("zero_shot", dataclasses.replace(NAMES, templates=("a sketch of a {}.",)))))
    with pytest.raises(BadHyper, match="exactly once"):
        logits(make("zero_shot", template="a photo"))


def test_coop_new_names() -> None:
    other = ClassSet(("dog", "house", "a far longer name than any other"))
    same(logits(make("coop", ctx_init=WORDS), other), logits(make("zero_shot"), other))
    with pytest.raises(ClosedVocabulary):
        logits(make("coop", class_specific=True), other)


def test_cocoop_without_its_network_is_coop() -> None:
    cocoop, coop = make("cocoop"), make("coop", ctx_init=WORDS)
    with torch.no_grad():
        coop.context.ctx.copy_(cocoop.context.ctx)
        for p in cocoop.meta_net.linear2.parameters():
            p.zero_()
    same(logits(cocoop), logits(coop))


def test_cocoop_images_do_not_see_each_other() -> None:
    method, whole = make("cocoop"), batch(4)
    together = logits(method, of=whole)
    for i in range(4):
        same(logits(method, of=whole.row(i)), together[i : i + 1])


def test_kgcoop_guidance() -> None:
    method, part = make("kgcoop"), batch()
    assert method.loss(method(part, method.bank()), part)["guidance"].item() / 8 < 1e-6
    method = make("kgcoop", ctx_init="", n_ctx=6, reference="a picture of the {}.", weight=3.0)
    bank = method.bank()
    frozen = clip().encode_text(NAMES.prompts("a picture of the {}.")).pooled
    same(method.loss(method(part, bank), part)["guidance"], 3 * (1 - cosine_similarity(bank.text, frozen).mean()))


def test_plot_with_one_prompt_is_the_mean_over_regions() -> None:
    method, part = make("plot", on="resnet", n_prompts=1), batch(size=128)
    tokens = torch.nn.functional.normalize(method.image(part, tokens=True).tokens, dim=-1)
    # one prompt makes [N, C, E] of one: every region sends its share there, whatever the cost
    same(logits(method, of=part), clip("resnet").scale * (tokens @ method.bank().text[0].T).mean(1))


def test_plot_stopping() -> None:
    """Per image: an answer does not depend on its batch. Per batch, as published, it may."""
    method, whole = make("plot", on="resnet", eps=0.02), batch(4, size=128)
    together = logits(method, of=whole)
    for i in range(4):
        same(logits(method, of=whole.row(i)), together[i : i + 1])
    published = make("plot", on="resnet", eps=0.02, stop="batch")
    assert published(whole, published.bank()).aux["sweeps"].shape == (1,)


def test_plot_global_term() -> None:
    local, both = make("plot", on="resnet"), make("plot", on="resnet", with_global=True)
    both.load_state_dict(local.state_dict())
    part, bank = batch(size=128), local.bank()
    mean = torch.nn.functional.normalize(local.text(local.context.inputs(NAMES)).reshape(4, len(NAMES), -1).mean(0), dim=-1)
    same(logits(both, of=part), logits(local, of=part) + local.cosine(local.image(part).pooled, mean))
    assert bank.text.shape[:2] == (4, len(NAMES))


@pytest.mark.parametrize("k", [1, 3, 16])
def test_upl_takes_the_surest_of_each_predicted_class(k: int) -> None:
    prob = torch.randn(40, 4, generator=torch.Generator().manual_seed(k)).mul(2).softmax(-1)
    prob[7] = prob[3]  # a tie: the earlier picture goes first
    chosen = make("upl", k=k, copies=1).choose(prob)
    p, want = prob.numpy(), []
    for c in range(4):
        of_class = [i for i in range(40) if p[i].argmax() == c]
        want += sorted(of_class, key=lambda i: -p[i].max())[:k]
    np.testing.assert_array_equal(chosen.index.numpy(), sorted(want))
    np.testing.assert_array_equal(chosen.label.numpy(), p[sorted(want)].argmax(1))


def test_upl_averages_the_logits_of_its_copies() -> None:
    method = make("upl", copies=3)
    each = []
    for i in range(3):
        method.only = i
        each.append(logits(method))
    method.only = None
    same(logits(method), torch.stack(each).mean(0))


def test_upl_fits_on_its_own_guesses() -> None:
    episode = toy().episode
    hyper = {"copies": 2, "steps": 3, "augment": "none", "batch": 4, "n_ctx": 2}
    method = make("upl", episode.task.classes, **hyper)
    start = [c.ctx.detach().clone() for c in method.contexts]
    events = list(method.fit(episode, FitContext()))
    assert isinstance(events[0], Labelled) and events[0].count == sum(events[0].per_class.values())
    assert [isinstance(e, Started) for e in events].count(True) == 1 and isinstance(events[-1], Finished)
    assert all(not torch.equal(a, c.ctx) for a, c in zip(start, method.contexts, strict=True))
    assert method.hyper.seed == 1 and method.only is None
    blind = episode.replace(pool=None, support=dataclasses.replace(episode.support, targets=torch.zeros_like(episode.support.targets)))
    again = make("upl", episode.task.classes, **hyper)
    list(again.fit(blind, FitContext()))  # true labels are never read
    same(again.contexts[0].ctx.detach(), method.contexts[0].ctx.detach(), 0)
    with pytest.raises(BadData, match="surer"):
        list(make("upl", episode.task.classes, rule="threshold", threshold=1.0).fit(episode, FitContext()))


def test_upl_stopped_early_is_usable() -> None:
    episode, ctx = toy().episode, FitContext()
    method = make("upl", episode.task.classes, copies=3, steps=2, augment="none", batch=4, n_ctx=2)
    for event in method.fit(episode, ctx):
        ctx.stop.set() if type(event).__name__ == "Progress" else None
    last = event
    assert isinstance(last, Finished) and last.why == "stopped"
    same(method.contexts[2].ctx.detach(), method.contexts[0].ctx.detach(), 0)


def test_tpt_step_and_reset() -> None:
    method = make("tpt", n_views=8, share=0.5, tta_steps=1)
    start, features = method.context.ctx.detach().clone(), torch.randn(8, clip().joint_dim, generator=torch.Generator().manual_seed(0))
    seen = method.adapt(features, NAMES)
    moved = method.context.ctx.detach() - start * (1 - 0.005 * 0.01)
    assert len(seen.kept) == 4 and torch.equal(seen.entropies[seen.kept], seen.entropies.sort().values[:4])
    assert float(moved.abs().max()) <= 0.005 * (1 + 1e-4)
    with torch.no_grad():
        method.context.ctx.copy_(start)
    loss = -torch.special.entr(method.cosine(features[seen.kept], method.bank().text).softmax(-1).mean(0)).sum()
    (minus_g,) = torch.autograd.grad(loss, method.context.ctx)
    clear = minus_g.abs() > 1e-5
    assert torch.equal(moved.sign()[clear], minus_g.sign()[clear])
    with torch.no_grad(), sandbox(method):
        out = method.predict(batch(2), method.bank())
    assert torch.equal(method.context.ctx, start) and out.aux["kept"].shape == (2, 4) and out.aux["entropies"].shape == (2, 8)
    with torch.no_grad():
        alone = method.predict(batch(2).row(1), method.bank()).pred
    same(alone, out.pred[1:2])


def test_tpt_without_steps_is_zero_shot() -> None:
    method = make("tpt", n_views=4, tta_steps=0)
    with torch.no_grad():
        same(method.predict(batch(), method.bank()).pred, logits(make("zero_shot")))


def test_tpt_lowers_the_entropy_of_what_it_kept() -> None:
    features = torch.randn(8, clip().joint_dim, generator=torch.Generator().manual_seed(0))
    losses = [float(make("tpt", share=0.5, tta_steps=n).adapt(features, NAMES).loss) for n in (1, 10)]
    assert losses[1] < losses[0]
