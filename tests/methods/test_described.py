"""Methods that score many texts a class: VCD, CuPL and WaffleCLIP against plain formulas."""

import dataclasses
import json

import torch
import torch.nn.functional as F

from promptlab.create import build
from promptlab.data.classes import ClassSet
from promptlab.data.kinds import kind_of
from promptlab.data.task import Task
from promptlab.fit.context import FitContext
from promptlab.fit.events import Note
from promptlab.parts.texts import class_scores, unit_texts
from promptlab.testing import tiny_backbone

NAMES = ClassSet(("cat", "sun_flower", "bus"), descriptions={
    "bus": ("wheels", "a long body"), "cat": ("has whiskers", "fur", "often sleeps"), "sun_flower": ("yellow petals",)})
BATCH = next(kind_of("single").toy(size=32).episode.support.batches(8))


def make(key, names=NAMES, **hyper):
    return build(key, tiny_backbone(), Task("single", names), hyper)


def unit(texts):
    return F.normalize(tiny_backbone().encode_text(texts).pooled, dim=-1)


def image():
    return F.normalize(tiny_backbone().cached_image(BATCH).pooled, dim=-1)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_vcd_is_the_mean_of_cosines_with_its_texts():
    method = make("vcd")
    assert method.texts(NAMES)[0] == ["cat, which has whiskers", "cat, which has fur", "cat, which often sleeps"]
    assert method.texts(NAMES)[1:] == [["sun flower, which has yellow petals"], ["bus, which has wheels", "bus, which is a long body"]]
    out = method(BATCH, method.bank())
    want = torch.stack([image() @ unit(t).mean(0) for t in method.texts(NAMES)], 1)
    close(out.pred, tiny_backbone().scale * want)
    close(out.aux["score"], want)
    best = make("vcd", aggregate="max")
    close(best(BATCH, best.bank()).aux["score"], torch.stack([(image() @ unit(t).T).amax(1) for t in method.texts(NAMES)], 1))


def test_vcd_with_one_descriptor_is_zero_shot_with_that_text_and_merged_is_cupl():
    one = ClassSet(NAMES.names, descriptions={n: (f"thing {i}",) for i, n in enumerate(NAMES.names)})
    vcd = make("vcd", one)
    close(vcd(BATCH, vcd.bank()).pred, vcd.cosine(image(), unit([t[0] for t in vcd.texts(one)])))
    merged = make("vcd", aggregate="merged")
    written = ClassSet(NAMES.names, descriptions={n: tuple(t) for n, t in zip(NAMES.names, merged.texts(NAMES))})
    cupl = make("cupl", written)
    close(merged(BATCH, merged.bank()).pred, cupl(BATCH, cupl.bank()).pred)


def test_mean_and_merged_scores_differ_by_the_norm_of_the_class_mean():
    g = torch.Generator().manual_seed(0)
    v, x = (F.normalize(torch.randn(n, 8, generator=g), dim=1) for n in (5, 6))
    owner = torch.tensor([0, 1, 1, 2, 2, 2])
    norm = torch.stack([x[owner == c].mean(0).norm() for c in range(3)])
    close(class_scores(v, x, owner, 3), class_scores(v, x, owner, 3, "merged") * norm)


def test_cupl_ignores_order_and_pools_text_by_text():
    names = dataclasses.replace(NAMES, templates=("a photo of a {}.", "art of the {}."))
    back = dataclasses.replace(names, descriptions={k: v[::-1] for k, v in reversed(list(names.descriptions.items()))})
    close(make("cupl", names).bank().text, make("cupl", back).bank().text)
    both = make("cupl", names, texts="both").bank().text
    texts = ["a photo of a cat.", "art of the cat.", *names.descriptions["cat"]]
    close(both[0], F.normalize(unit(texts).mean(0), dim=0))
    close(make("cupl", names, texts="templates").bank().text, tiny_backbone().zero_shot(names.clean, names.templates))


def test_classes_without_texts_are_scored_by_their_name_and_named():
    names = ClassSet(("zeppelin", "owl"))
    method = make("cupl", names)
    assert method.lists(names)[0] == ["a photo of a zeppelin."] and len(method.lists(names)[1]) >= 3
    assert make("vcd", names).texts(names)[0] == ["zeppelin, which has "]
    notes = [e.text for e in method.fit(None, FitContext()) if isinstance(e, Note)]
    assert "'zeppelin'" in notes[-1]


def test_a_file_of_descriptions_comes_first(tmp_path):
    (tmp_path / "d.json").write_text(json.dumps({"bus": ["doors"], "cat": ["paws"]}))
    texts = make("vcd", descriptions=str(tmp_path / "d.json")).texts(NAMES)
    assert texts == [["cat, which has paws"], ["sun flower, which has "], ["bus, which has doors"]]


def test_long_sentences_are_cut_and_not_refused():
    clip, words = tiny_backbone(), "cat " * 200
    cut = clip.tokens(words)[: clip.context_length - 2]
    row = [clip.words.start[0], *cut, clip.words.end]
    want = F.normalize(clip.encode_text(clip.framed(torch.tensor([row]))).pooled, dim=-1)
    close(unit_texts(clip, [words, "cat"]), torch.cat([want, unit(["cat"])]))


def test_waffle_texts_are_shared_and_seeded():
    method = make("waffleclip", pairs=3)
    texts, again, other = method.texts(NAMES), make("waffleclip", pairs=3).texts(NAMES), make("waffleclip", pairs=3, seed=2).texts(NAMES)
    assert all(len(t) == 6 for t in texts) and texts == again != other
    assert [t.replace("cat", "bus", 1) for t in texts[0]] == texts[2]
    assert all(t.startswith("A photo of a cat, which ") and t.endswith(".") for t in texts[0])
    swapped = NAMES.subset([2, 1, 0])
    close(method(BATCH, method.bank(swapped)).pred, method(BATCH, method.bank()).pred[:, [2, 1, 0]])


def test_waffle_modes():
    topic = dataclasses.replace(NAMES, topic="thing")
    assert make("waffleclip", mode="name").texts(NAMES)[1] == ["A photo of a sun flower."]
    assert make("waffleclip", mode="name", concept=True).texts(topic)[0] == ["A photo of a thing: a cat."]
    assert make("waffleclip", mode="descriptors").texts(NAMES)[2][1] == "A photo of a bus, which is a long body."
    assert [len(t) for t in make("waffleclip", mode="waffle_and_descriptors", pairs=3).texts(NAMES)] == [8, 8, 8]
    assert len(make("waffleclip", mode="words", pairs=4).texts(NAMES)[0]) == 4
    method = make("waffleclip", mode="name")
    close(method(BATCH, method.bank()).pred, method.cosine(image(), unit([t[0] for t in method.texts(NAMES)])))
