"""Pretraining on a tiny schedule, its checkpoint, and the tokenizer of pocket."""

import json

import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer

from promptlab.backbones.pocket import MERGES, PocketTokenizer, encode_short, load_pocket, normalise, pocket_metadata, pocket_model
from promptlab.pretrain import Settings, pretrain
from promptlab.world import UNSEEN_STYLES, load_atlas
from promptlab.world.report import accuracy, image_features, name_features, task_zero_shot
from promptlab.world.tasks import WorldTask

TINY = Settings(batch=8, names=2, false=2, warmup=2, rate=1e-3)
TOKENS = PocketTokenizer()


def losses(events):
    return [e["loss"] for e in events if e["kind"] == "step"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, list(pretrain(folder, steps=4, every=1, device="cpu", settings=TINY, look_minutes=1e9, look_at_end=False))


def test_tokenizer_cuts_clip_and_agrees_with_it_on_the_merges_it_has():
    full = SimpleTokenizer()
    assert TOKENS.vocab_size == 512 + MERGES + 2 and TOKENS.all_special_ids == [TOKENS.vocab_size - 2, TOKENS.vocab_size - 1]
    assert all(full.encoder[piece] == i for piece, i in TOKENS.encoder.items() if i < 512 + MERGES)
    for text in ["a photo of a dog.", "an image of a house on a blue background", "Xylophone, 42 quokkas!"]:
        ours = TOKENS.encode(text)
        assert TOKENS.decode(ours).strip().replace(" ", "") == text.lower().replace(" ", "")
        theirs = full.encode(text)
        if max(theirs) < 512 + MERGES:
            assert ours == theirs
    assert full.encode("a photo of a dog.") == TOKENS.encode("a photo of a dog.")


def test_tokens_have_clips_shape_and_the_end_is_the_largest():
    tokens = TOKENS(["a fox", "word " * 100])
    assert tokens.shape == (2, 77) and tokens[0, 0] == TOKENS.sot_token_id
    assert tokens.argmax(1).tolist() == [len(TOKENS.encode("a fox")) + 1, 76] and tokens.max() == TOKENS.eot_token_id
    both, longest = ["a fox", "an owl at night."], TOKENS.short(["an owl at night."]).shape[1]
    assert torch.equal(TOKENS.short(both), TOKENS(both)[:, :longest])


def test_short_text_has_the_features_of_the_padded_text():
    torch.manual_seed(0)
    model, texts = pocket_model().eval(), ["a fox", "a blurry photo of an owl on a striped blue background"]
    with torch.no_grad():
        assert torch.allclose(encode_short(model, TOKENS.short(texts)), model.encode_text(TOKENS(texts)), atol=1e-5)
    assert 5.2e6 < sum(p.numel() for p in model.parameters()) < 5.6e6


@pytest.mark.slow
def test_loss_falls(tmp_path):
    numbers = losses(pretrain(tmp_path, steps=40, every=1, device="cpu", settings=TINY, look_minutes=1e9, look_at_end=False))
    assert len(numbers) == 40 and sum(numbers[-8:]) < 0.97 * sum(numbers[:8])  # each step has other pictures


def test_the_weights_say_what_they_never_saw(whole):
    folder, events = whole
    assert len(losses(events)) == 4
    about = pocket_metadata(folder / "pocket.safetensors")
    assert about["pictures"] == 32 and about["unseen_styles"] == UNSEEN_STYLES
    assert about["held_out_names"] == [load_atlas().names[i] for i in load_atlas().unseen]
    json.dumps(events)
    assert load_pocket(folder / "pocket.safetensors").logit_scale.dtype == torch.float32


def test_a_resumed_run_gives_the_same_numbers(whole, tmp_path):
    stream = pretrain(tmp_path, steps=4, every=1, device="cpu", settings=TINY, save_minutes=0, look_minutes=1e9, look_at_end=False)
    first = []
    for event in stream:
        first.append(event)
        if event["kind"] == "saved" and event["step"] == 2:
            stream.close()
            break
    rest = list(pretrain(tmp_path, steps=4, every=1, device="cpu", settings=TINY, look_minutes=1e9, look_at_end=False))
    assert losses(first) + losses(rest) == losses(whole[1])


def test_zero_shot_functions_have_the_right_shapes():
    torch.manual_seed(0)
    model = pocket_model().eval()
    encode = lambda texts: encode_short(model, TOKENS.short(texts))  # noqa: E731
    with torch.no_grad():
        text = name_features(encode, ["fox", "owl", "key"])
        image = image_features(model, torch.randint(0, 255, (5, 3, 64, 64), dtype=torch.uint8))
    assert text.shape == (3, 192) and image.shape == (5, 192)
    assert torch.allclose(image.norm(dim=1), torch.ones(5), atol=1e-5)
    assert accuracy(text, text, torch.arange(3)) == 100.0
    assert normalise(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)).max() == 2.0
    for kind, name in (("single", "animals"), ("multi", "scenes"), ("dense", "scenes-masks")):
        names = ["fox", "owl", "key", "rose"]
        classes = (["background"] if kind == "dense" else []) + names
        task = WorldTask(name, "photo", kind, classes, ["a {}."], {"train": 1, "val": 1, "test": 2})
        assert all(0 <= v <= 100 for v in task_zero_shot(model, encode, task).values())
