"""The algebra of TaI-DPT's card, and the noun filter against the truth of the world's sentences."""

import pytest
import torch

from promptlab.data.batch import Batch, PixelSpec, Split
from promptlab.data.captions import Captions, corpus, mine, nouns, read_captions
from promptlab.data.classes import ClassSet
from promptlab.errors import BadData
from promptlab.losses import pairwise_ranking
from promptlab.methods.tai_dpt import TaIDPT
from promptlab.parts.sentences import word_features
from promptlab.testing import Subject
from promptlab.world.catalogue import classes
from promptlab.world.corpus import write

SAID = ("two cats and a boat", "a red panda", "a dog under a tree beside the boat")


def made(**hyper):
    s = Subject(TaIDPT, kind="multi")
    return s, s.make(**hyper), Batch(Captions(SAID), (0, 1, 2), mine(SAID, s.toy.episode.task.classes))


def test_padding_never_counts():
    _, method, batch = made()
    bank = method.bank()
    whole = method(batch, bank)
    alone = torch.cat([method(batch.row(i), bank).aux["local"] for i in range(3)])  # no padding beside shorter captions
    torch.testing.assert_close(whole.aux["local"], alone)
    padding = method.seen(batch)[2]
    assert padding.any() and (whole.aux["word_weights"][padding] == 0).all()


@pytest.mark.parametrize("words", [0.0, 7.0, 50.0])
def test_equal_words_give_the_cosine_whatever_the_scale(words):
    s, method, batch = made(words=words)
    one = torch.nn.functional.normalize(torch.randn(s.clip.joint_dim), dim=0)
    method.seen = lambda b: (one.expand(3, -1), one.expand(3, 5, -1), torch.tensor([[0, 0, 0, 1, 1]]).bool().expand(3, -1), None)
    bank = method.bank()
    torch.testing.assert_close(method(batch, bank).aux["local"], 4 * (bank.text[1] @ one).expand(3, -1))


def test_ranking_is_the_double_loop():
    torch.manual_seed(0)
    scores, target = torch.randn(3, 4), torch.tensor([[1, 0, 0, 1], [0, 1, -1, 0], [0, 0, 0, 0]])
    total = 0.0
    for y, t in zip(scores.tolist(), target.tolist(), strict=True):
        total += sum(max(0.0, 0.7 - y[p] + y[n]) for p in range(4) for n in range(4) if t[p] == 1 and t[n] == 0)
    assert float(pairwise_ranking(scores, target, 0.7)) == pytest.approx(total / 3)


def test_word_features_end_with_the_sentence_feature():
    s, _, _ = made()
    words, pooled, padding = word_features(s.clip, SAID)
    torch.testing.assert_close(pooled, s.clip.encode_text(list(SAID)).pooled, rtol=1e-4, atol=1e-5)
    assert words.shape[:2] == padding.shape and not padding[2].any()


def test_a_fit_reads_the_captions_and_no_picture():
    s = Subject(TaIDPT, kind="multi")
    episode = s.toy.episode.replace(support=corpus(SAID, s.toy.episode.task.classes))
    method = s.make(steps=2, batch=4)
    before = method.whole.ctx.detach().clone()
    notes = [e for e in method.fit(episode, None) if type(e).__name__ == "Note"]
    assert not notes and not torch.equal(before, method.whole.ctx)


def test_nouns_are_found_longest_name_first():
    names = ClassSet(("dog", "hot_dog", "berry", "bus", "person"))
    said = ["Two HOT DOGS on a bus.", "dogs and berries", "people, buses", "a boat"]
    assert mine(said, names).tolist() == [[0, 1, 0, 1, 0], [1, 0, 1, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]
    assert mine(["a man"], names, {"person": ("man", "woman")}).tolist() == [[0, 0, 0, 0, 1]]
    assert nouns("Glasses, boxes and a cross") == ["glass", "box", "and", "a", "cross"]
    assert len(corpus(said, names)) == 3
    with pytest.raises(BadData, match="names one of"):
        corpus(["a boat"], names)


def test_the_filter_knows_what_the_world_speaks_of():
    names = ClassSet(tuple(classes("scenes")))
    said = write(names.names, 300, seed=3)
    found = mine([text for text, _ in said], names)
    truth = torch.tensor([[int(n in things) for n in names.names] for _, things in said])
    assert found[truth == 1].all() and (found[truth == 0] == 1).float().mean() < 0.01


def test_captions_are_no_pictures_and_files_are_checked(tmp_path):
    with pytest.raises(BadData, match="not pictures"):
        Split(Captions(SAID), (0,)).source.pixels([0], PixelSpec(8, (0,) * 3, (1,) * 3))
    (tmp_path / "a.txt").write_text("\ufeffa cat\n\n a dog \n", encoding="utf-8")
    assert read_captions(tmp_path / "a.txt") == ("a cat", "a dog")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "c.txt").write_text(" \n")
    for name, why in (("b.txt", "UTF-8"), ("c.txt", "no caption"), ("d.txt", "cannot be read")):
        with pytest.raises(BadData, match=why):
            read_captions(tmp_path / name)
