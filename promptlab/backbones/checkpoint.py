"""open_clip names, pretrained tags and checkpoint files → an open_clip model with weights, or one sentence why not."""

import copy
import difflib
import math
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.constants import ENDPOINT
from open_clip import pretrained as catalogue
from open_clip.coca_model import CoCa
from open_clip.factory import load_checkpoint
from torch import nn

from promptlab.backbones.pocket import PocketTokenizer
from promptlab.errors import BackboneLacks

OFFLINE = "offline, 'pocket' works, and so does a checkpoint file on disk (pretrained=\"path/to/file.safetensors\")"


@dataclass(frozen=True)
class Found:
    """A model with its weights, its tokenizer, and its tag's preprocessing (mean, std, resize_mode, interpolation; {} if none)."""

    model: nn.Module
    tokenizer: Any
    preprocess: dict[str, Any]


def find(name: str, pretrained: str | None) -> Found:
    """``pretrained``: a tag of ``name``, a checkpoint file, or "random". Nothing is downloaded unless a tag needs it."""
    config = known_config(name)
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained is None:
        raise BackboneLacks(f"{name} needs weights: give pretrained= one of {_some(tags)}, a checkpoint file, "
                            "or \"random\" for random weights.")
    if pretrained == "random":
        return Found(build(config), offline_tokenizer(config), {})
    if (path := Path(pretrained).expanduser()).is_file():
        _refuse_lost_gelu(name, config, path)
        return Found(fill(build(config), path), tokenizer(name, config), {})
    if path.suffix in (".safetensors", ".pt", ".pth", ".bin", ".ckpt") or path.is_dir():
        raise BackboneLacks(f"there is no checkpoint file {path}; give a safetensors file, a torch state dict, or a tag: {_some(tags)}.")
    tag = known_tag(name, pretrained, tags)
    config = copy.deepcopy(config)
    if tag.get("quick_gelu"):
        config["quick_gelu"] = True  # the activation that these weights were trained with
    return Found(fill(build(config), download(name, pretrained, tag, config)), tokenizer(name, config), dict(tag))


def known_config(name: str) -> dict[str, Any]:
    """open_clip's configuration of a model name."""
    config = open_clip.get_model_config(name)
    if config is None:
        near = ", ".join(difflib.get_close_matches(name, ["pocket", *open_clip.list_models()], 3, 0.3))
        raise BackboneLacks(f"there is no backbone '{name}'; the nearest names are {near or 'pocket, ViT-B-32, ViT-B-16'}.")
    return copy.deepcopy(config)


def known_tag(name: str, tag: str, tags: list[str]) -> dict[str, Any]:
    """The entry of a tag; a tag that belongs to the other activation's model is an error that names that model."""
    if entry := open_clip.pretrained.get_pretrained_cfg(name, tag):
        return entry
    other = name.removesuffix("-quickgelu") if name.endswith("-quickgelu") else f"{name}-quickgelu"
    if open_clip.pretrained.is_pretrained_cfg(other, tag):
        plain = "without quick-GELU" if name.endswith("-quickgelu") else "with quick-GELU"
        raise BackboneLacks(f"the weights '{tag}' were trained {plain}, so {name} would give wrong features; load '{other}' with this tag.")
    raise BackboneLacks(f"{name} has no pretrained tag '{tag}'; choose one of {_some(tags)} or give a checkpoint file.")


def _refuse_lost_gelu(name: str, config: dict[str, Any], path: Path) -> None:
    """A file says by its name only which activation it was trained with; refuse the sure mismatches."""
    said = path.name.lower().replace("_", "-")
    quick = "quickgelu" in said or "openai" in said
    if quick and not config.get("quick_gelu") and open_clip.get_model_config(f"{name}-quickgelu"):
        raise BackboneLacks(f"{path.name} was trained with quick-GELU by its name, but {name} has none; "
                            f"load '{name}-quickgelu' with this file.")


def build(config: dict[str, Any]) -> nn.Module:
    """The model of a configuration with open_clip's random initialisation, nothing downloaded."""
    config = copy.deepcopy(config)
    custom = config.pop("custom_text", False) or "hf_model_name" in config["text_cfg"]
    config.pop("custom_model", None)
    if "timm_model_name" in config["vision_cfg"]:
        config["vision_cfg"]["timm_model_pretrained"] = False
    if "hf_model_name" in config["text_cfg"]:
        config["text_cfg"]["hf_model_pretrained"] = False
    make = CoCa if "multimodal_cfg" in config else open_clip.CustomTextCLIP if custom else open_clip.CLIP
    try:
        return make(**config).eval()
    except (OSError, RuntimeError, ImportError) as e:
        raise BackboneLacks(f"this model's text tower needs files or a package that are not here ({_line(e)}); {OFFLINE}.") from e


def fill(model: nn.Module, path: Path) -> nn.Module:
    """Read weights from a safetensors file or a torch state dict (never by unpickling code)."""
    try:
        load_checkpoint(model, str(path), strict=True, weights_only=True)
    except Exception as e:  # wrong keys, wrong shapes, and the own error types of torch, zip and safetensors for broken files
        if "TorchScript" in str(e):
            raise BackboneLacks(f"{path.name} is a TorchScript archive; save its state_dict as safetensors and load that.") from e
        raise BackboneLacks(f"{path.name} does not hold the weights of this model: {_line(e)}.") from e
    return model.eval()


def download(name: str, tag: str, entry: dict[str, Any], config: dict[str, Any]) -> Path:
    """The file of a tag, from open_clip's cache or the network."""
    if (cached := _cached(entry)) is not None:
        return cached
    file = (entry.get("hf_hub") or entry.get("url") or tag).rstrip("/")
    try:
        # the hub's client retries for a minute before it says that there is no network
        urllib.request.urlopen(urllib.request.Request(ENDPOINT if entry.get("hf_hub") else entry["url"], method="HEAD"), timeout=10).close()
        return Path(catalogue.download_pretrained(entry))
    except urllib.error.HTTPError as e:
        why = f"the server says {e.code}"
    except (OSError, RuntimeError, ValueError, KeyError) as e:
        why = _line(e)
    raise BackboneLacks(f"could not download {file} ({size_of(config)}) for {name} '{tag}': {why}; {OFFLINE}.")


def _cached(entry: dict[str, Any]) -> Path | None:
    """The file of a tag in the Hugging Face cache, without asking the network."""
    repo, _, file = entry.get("hf_hub", "").rpartition("/")
    for name in [file] if file else [open_clip.constants.HF_SAFE_WEIGHTS_NAME, open_clip.constants.HF_WEIGHTS_NAME]:
        if repo and isinstance(path := try_to_load_from_cache(repo, name), str):
            return Path(path)
    return None


def size_of(config: dict[str, Any]) -> str:
    """How large the weights are, counted without making them."""
    with torch.device("meta"):
        try:
            count = sum(p.numel() for p in build(config).parameters())
        except (BackboneLacks, NotImplementedError):
            return "size unknown"
    return f"about {math.ceil(count * 4 / 1e6)} MB in float32"


def tokenizer(name: str, config: dict[str, Any]) -> Any:
    """open_clip's tokenizer of a model name; SigLIP's and others come from the Hugging Face hub."""
    try:
        return open_clip.get_tokenizer(name)
    except (OSError, RuntimeError, ImportError, ValueError) as e:
        repo = config["text_cfg"].get("hf_tokenizer_name", name)
        raise BackboneLacks(f"{name} needs the tokenizer files of {repo} (a few MB, and the package transformers), which are not here "
                            f"({_line(e)}); {OFFLINE}.") from e


def offline_tokenizer(config: dict[str, Any]) -> Any:
    """CLIP's tokenizer where the vocabulary holds it, else pocket's smaller one: for random weights, which know no words anyway."""
    text = config["text_cfg"]
    length = text.get("context_length", 77)
    roomy = text.get("vocab_size", 49408) >= 49408
    return open_clip.SimpleTokenizer(context_length=length) if roomy else PocketTokenizer(context_length=length)


def imagenet_names() -> tuple[str, ...]:
    """The thousand ImageNet class names that open_clip ships."""
    return tuple(open_clip.IMAGENET_CLASSNAMES)


def _some(tags: list[str]) -> str:
    return ", ".join(tags[:8]) + (" ..." if len(tags) > 8 else "") if tags else "(open_clip lists no tags for it)"


def _line(e: Exception) -> str:
    return " ".join(str(e).split())[:160] or type(e).__name__
