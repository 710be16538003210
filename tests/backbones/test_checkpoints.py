"""Real checkpoints, as far as they can be had without a network: files that open_clip would write, good, wrong and broken."""

import json
import urllib.error
import urllib.request
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from promptlab.backbones import checkpoint
from promptlab.backbones.load import load
from promptlab.errors import BackboneLacks
from tests.golden import fill

TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
NAMES = ("Tiny-Test", "Tiny-Test-quickgelu")


@pytest.fixture(scope="module", autouse=True)
def configs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two small model names, known to open_clip like its own: with and without quick-GELU."""
    folder = tmp_path_factory.mktemp("configs")
    for name in NAMES:
        (folder / f"{name}.json").write_text(json.dumps({**TINY, "quick_gelu": name.endswith("quickgelu")}))
    open_clip.add_model_config(folder)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return fill.fill(checkpoint.build({**TINY}).eval(), 4)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone().contiguous() for k, v in model.state_dict().items()}


def write(model: nn.Module, path: Path) -> Path:
    """The state dict as the ending says, a ``.ckpt`` the way training scripts nest it."""
    state = tensors(model)
    if path.suffix == ".safetensors":
        save_file(state, path)
    elif path.suffix == ".ckpt":
        torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("file", ["w.safetensors", "w.pt", "w.ckpt"])
@torch.no_grad()
def test_a_file_gives_its_own_features(file: str, model: nn.Module, tmp_path: Path) -> None:
    clip = load("Tiny-Test", str(write(model, tmp_path / file)), device="cpu")
    pixels, ids = fill.images(3, 32, 1), clip.tokenize(["a photo of a cat.", "sea"])
    torch.testing.assert_close(clip.encode_image(pixels).pooled, model.encode_image(pixels), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(clip.encode_text(["a photo of a cat.", "sea"]).pooled, model.encode_text(ids), rtol=1e-5, atol=1e-5)
    assert float(clip.scale) == pytest.approx(20.0)
    one = load(f"Tiny-Test:{tmp_path / file}", device="cpu")  # the same in one word, as the command line says it
    assert (one.name, one.tag) == (clip.name, clip.tag) and torch.equal(one.encode_image(pixels).pooled, clip.encode_image(pixels).pooled)


@torch.no_grad()
def test_quick_gelu_is_the_name_s(model: nn.Module, tmp_path: Path) -> None:
    """The same weights under the two names differ by the activation alone, and by more than rounding."""
    path = str(write(model, tmp_path / "w.safetensors"))
    pixels = fill.images(2, 32, 0)
    plain, quick = (load(name, path, device="cpu").encode_image(pixels).pooled for name in NAMES)
    assert (plain - quick).abs().max() > 1e-3


def test_a_file_of_quick_weights_is_refused_by_the_plain_model(model: nn.Module, tmp_path: Path) -> None:
    path = str(write(model, tmp_path / "tiny-openai-quickgelu.safetensors"))
    with pytest.raises(BackboneLacks, match="Tiny-Test-quickgelu"):
        load("Tiny-Test", path, device="cpu")
    assert load("Tiny-Test-quickgelu", path, device="cpu").joint_dim == 32


def test_a_tag_of_plain_weights_is_refused_by_the_quick_model() -> None:
    """The answer names the model that fits, before anything is downloaded."""
    with pytest.raises(BackboneLacks, match="without quick-GELU.*load 'ViT-B-16'"):
        load("ViT-B-16-quickgelu", "laion2b_s34b_b88k", device="cpu")


@pytest.mark.parametrize("file", ["w.safetensors", "w.pt"])
def test_broken_files(file: str, model: nn.Module, tmp_path: Path) -> None:
    """Cut off, empty, and other bytes: one sentence that names the file."""
    path = write(model, tmp_path / file)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not weights at all" * 100):
        path.write_bytes(content)
        with pytest.raises(BackboneLacks, match=file) as caught:
            load("Tiny-Test", str(path), device="cpu")
        assert "\n" not in str(caught.value)


def test_weights_of_another_model(model: nn.Module, tmp_path: Path) -> None:
    state = tensors(model)
    state["visual.proj"] = state["visual.proj"][:, :16].contiguous()
    save_file(state, tmp_path / "narrow.safetensors")
    del state["visual.proj"]
    save_file(state, tmp_path / "short.safetensors")
    for file in ("narrow.safetensors", "short.safetensors"):
        with pytest.raises(BackboneLacks, match="visual.proj"):
            load("Tiny-Test", str(tmp_path / file), device="cpu")


class _Trap:
    """What a hostile pickle does: call something on loading."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_a_file_never_runs_code(tmp_path: Path) -> None:
    torch.save({"state_dict": _Trap(tmp_path / "sprung")}, tmp_path / "w.pt")
    with pytest.raises(BackboneLacks, match=r"w\.pt"):
        load("Tiny-Test", str(tmp_path / "w.pt"), device="cpu")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(("name", "tag"), [("ViT-B-32", "laion2b_s34b_b79k"), ("RN50-quickgelu", "openai")])
def test_offline_says_what_is_missing_and_what_works(name: str, tag: str, no_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which file, how large, and what works without a network."""
    monkeypatch.setattr(checkpoint, "try_to_load_from_cache", lambda *_, **__: None)
    with pytest.raises(BackboneLacks) as caught:
        load(name, tag, device="cpu")
    said = str(caught.value)
    assert name in said and tag in said and "MB" in said and "pocket" in said and "\n" not in said


def test_wrong_names_and_paths(tmp_path: Path) -> None:
    for name, given, expected in (
        ("ViT-B-17", "openai", "ViT-B-16"), ("Tiny-Test", None, "random"), ("ViT-B-32", "no-such-tag", "laion"),
        ("Tiny-Test", str(tmp_path / "absent.safetensors"), "absent.safetensors"),
    ):
        with pytest.raises(BackboneLacks, match=expected):
            load(name, given, device="cpu")
