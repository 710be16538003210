"""The picture world: the same seed draws the same pictures, and what is said of them is true."""

import pytest
import torch

import promptlab.world
from promptlab.errors import BadData
from promptlab.world import COLOURS, PATTERNS, SEEN_STYLES, STYLES, TASKS, UNSEEN_STYLES, load_atlas, task_spec
from promptlab.world.captions import Facts, caption, false_caption, full_caption, random_caption, with_article
from promptlab.world.motion import MOTIONS, backlit_pairs, clip
from promptlab.world.sampler import pretrain_batch

ATLAS = load_atlas()


def test_atlas_has_distinct_names_with_taxonomy_and_some_are_held_out():
    assert 600 <= len(ATLAS.names) <= 700 and len(set(ATLAS.names)) == len(ATLAS.names)
    assert ATLAS.art.shape == (len(ATLAS.names), 4, 64, 64)
    assert 0.08 < len(ATLAS.unseen) / len(ATLAS.names) < 0.12
    assert len({ATLAS.groups[i] for i in ATLAS.unseen}) == len(set(ATLAS.groups))
    assert "fox" in [ATLAS.names[i] for i in ATLAS.of(group="Animals", subgroup="animal-mammal")]


@pytest.mark.parametrize("style", STYLES)
def test_a_picture_does_not_depend_on_its_batch(style):
    task = task_spec(f"scenes@{style}")
    whole, alone = task.render("train", range(6)), task.render("train", [4])
    assert torch.equal(whole.pixels[4], alone.pixels[0]) and torch.equal(whole.mask[4], alone.mask[0])
    assert whole.captions[4] == alone.captions[0]
    assert whole.pixels.float().std() > 5


def test_splits_differ_and_styles_share_the_things():
    train, test = (task_spec("animals").render(split, range(8)) for split in ("train", "test"))
    assert not torch.equal(train.pixels, test.pixels)
    night = task_spec("animals@night").render("train", range(8))
    assert torch.equal(night.box, train.box) and night.colours == train.colours
    assert night.pixels.float().mean() < train.pixels.float().mean()


@pytest.mark.parametrize("name", TASKS)
def test_labels_are_true(name):
    task = task_spec(name)
    assert task.count("val") == 8 * (len(task.classes) - (task.kind == "dense"))
    made = task.render("val", range(30))
    for i in range(30):
        if task.kind == "multi":
            assert {task.classes[c] for c in made.labels[i].nonzero()[:, 0].tolist()} == set(made.names[i])
            assert made.counts[i] == len(set(made.names[i]))
        elif task.kind == "dense":
            assert {task.classes[c] for c in made.labels[i].unique().tolist()} - {"background"} <= set(made.names[i])
            assert torch.equal(made.labels[i] > 0, made.mask[i].any(0))
        else:
            truth = made.names[i] or [f"{made.patterns[i]} {made.colours[i]} background"]
            assert truth == [task.classes[made.labels[i]]] == [task.classes[i % len(task.classes)]]


def test_masks_lie_in_their_boxes_and_touch_all_four_sides():
    made = task_spec("scenes").render("train", range(12))
    for i in range(12):
        for k in range(made.counts[i]):
            left, top, right, bottom = made.box[i, k].int().tolist()
            inside = made.mask[i, k, top:bottom, left:right]
            assert inside.sum() == made.mask[i, k].sum() > 0
            assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
            assert abs((right - left) / 64 - made.size[i, k]) < 0.35
        assert not made.mask[i, made.counts[i]:].any() and (made.mask[i].sum(0) <= 1).all()


def test_captions_say_what_is_there():
    made = task_spec("scenes@night").render("train", range(12))
    for i, words in enumerate(made.captions):
        sized = any(f"{how} {made.names[i][0]}" in words for how in ("large", "small"))
        assert sized or all(with_article(n) in words for n in made.names[i])
        assert made.colours[i] in words and made.patterns[i] in words and "night" in words


def test_false_captions_are_false_in_one_fact_and_random_ones_never_contradict():
    from random import Random
    rng, facts = Random(0), Facts(("owl",), "blurry", "striped", "blue", "large")
    assert full_caption(facts) == "a blurry photo of a large owl on a striped blue background"
    assert caption(facts, style=False, place=0) == "an owl"
    for _ in range(200):
        words = random_caption(facts, rng).rstrip(".").split()
        assert "owl" in words and not {"red", "dotted", "foggy", "night", "small"} & set(words)
        wrong = false_caption(facts, rng)
        true = [("blue" in wrong) or not any(c in wrong.split() for c in COLOURS),
                ("striped" in wrong) or not any(p in wrong.split() for p in PATTERNS),
                "blurry" in wrong or not any(w in wrong for w in ("poster", "night", "dark", "fog", "vintage", "old"))]
        assert "owl" in wrong and (not all(true) or wrong.startswith(("a photo", "a picture", "an image")))


def test_pretraining_never_shows_held_out_names_or_styles_and_repeats_itself():
    never = {ATLAS.names[i] for i in ATLAS.unseen}
    for step in range(3):
        batch = pretrain_batch(ATLAS, 96, seed=3, step=step, side=16)
        shown = batch.plan.objects[batch.plan.objects >= 0].tolist()
        assert not {ATLAS.names[i] for i in shown} & never and len(shown) == len(set(shown))
        assert {STYLES[s] for s in batch.plan.style.tolist()} <= set(SEEN_STYLES) and not set(SEEN_STYLES) & set(UNSEEN_STYLES)
        again = pretrain_batch(ATLAS, 96, seed=3, step=step, side=16)
        assert torch.equal(batch.pixels, again.pixels) and batch.captions == again.captions and batch.distractors == again.distractors
        assert len(set(batch.captions)) == len(batch.captions) and not set(batch.captions) & set(batch.distractors)


def test_clips_move_as_they_say():
    for motion in MOTIONS:
        film = clip(2, motion, frames=5, size=32)
        assert len(film.frames) == 5 and motion in film.caption
        dx, dy = (film.centres[-1] - film.centres[0]).tolist()
        if motion in ("left", "right"):
            assert (dx > 0.1) == (motion == "right") and (dx < -0.1) == (motion == "left") and dy == 0
        if motion in ("up", "down"):
            assert (dy > 0.1) == (motion == "down") and (dy < -0.1) == (motion == "up") and dx == 0
        area = film.frames.mask[:, 0].flatten(1).sum(1)
        assert (area[-1] > area[0] * 1.5) == (motion == "growing") and (area[0] > area[-1] * 1.5) == (motion == "shrinking")
        assert torch.equal(film.frames.pixels[0], film.frames.pixels[-1]) == (motion == "still")


def test_backlit_pairs_darken_the_object_only():
    lit, dark = backlit_pairs([0, 1, 2])
    inside = lit.mask[:, :1].expand(-1, 3, -1, -1)
    assert dark.pixels[inside].float().mean() < 0.5 * lit.pixels[inside].float().mean()
    assert dark.pixels[~inside].float().mean() >= lit.pixels[~inside].float().mean()
    assert torch.equal(lit.mask, dark.mask)


@pytest.mark.parametrize("wrong", ["animal", "animals@oil", "world:nothing@photo"])
def test_unknown_names_are_one_sentence_that_says_what_is_allowed(wrong):
    with pytest.raises(BadData, match="The picture world has the (tasks animals|styles photo)"):
        task_spec(wrong)
    with pytest.raises(BadData, match="train, val, test"):
        task_spec("world:animals@night").render("dev", [0])


def test_a_task_by_name_and_style_is_the_task_of_its_spelling():
    assert promptlab.world.task("animals", style="night") == task_spec("animals@night")
