"""What is known of a backbone before it is loaded (size, memory, licence, whether its weights are on this machine) and of the devices
that torch sees. Nothing here asks the network."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from promptlab.errors import BackboneLacks

CHOICES = (
    "pocket",
    "ViT-B-32:openai",
    "ViT-B-16:openai",
    "ViT-L-14:openai",
    "RN50:openai",
    "ViT-B-16:laion2b_s34b_b88k",
    "ViT-B-16:datacomp_xl_s13b_b90k",
    "ViT-B-16-SigLIP:webli",
)
CARD = "on the model card"
URLS = Path("~/.cache/clip")  # where open_clip keeps files that come from no hub


@dataclass(frozen=True)
class Facts:
    """``parameters``: 0 where open_clip cannot build the model here to count them; ``megabytes``: of the weights in float32, on the way
    and in memory; ``here``: the weights are on this machine; ``shipped``: they came with promptlab."""

    name: str
    parameters: int
    licence: str
    here: bool
    shipped: bool = False

    @property
    def megabytes(self) -> int:
        return round(self.parameters * 4 / 1e6)

    @property
    def words(self) -> str:
        """One line: "151 M parameters · 605 MB · licence MIT"."""
        if not self.parameters:
            return f"size unknown · licence {self.licence}"
        count = f"{self.parameters / 1e6:,.{1 if self.parameters < 1e7 else 0}f} M parameters"
        return f"{count} · {self.megabytes:,} MB · licence {self.licence}"

    @property
    def place(self) -> str:
        return "shipped" if self.shipped else "downloaded" if self.here else "not downloaded"


def facts(wanted: str) -> Facts:
    """The facts of ``pocket`` or NAME:TAG; a name or a tag that open_clip does not have is one sentence."""
    from promptlab.backbones import checkpoint

    name, _, tag = wanted.partition(":")
    if name == "pocket":
        return Facts("pocket", _count("pocket"), "Apache-2.0", True, True)
    checkpoint.known_config(name)
    tags = checkpoint.catalogue.list_pretrained_tags_by_model(name)
    if not tag:
        raise BackboneLacks(f"{name} needs one of its tags after a colon: {', '.join(tags[:8]) or 'open_clip lists none for it'}.")
    entry = checkpoint.known_tag(name, tag, tags)
    return Facts(wanted, _count(name), licence(name, tag, entry), _here(entry))


def licence(name: str, tag: str, entry: Mapping[str, Any]) -> str:
    """The licence of weights, where it is sure; others are looked up where they come from."""
    laion = entry.get("hf_hub", "").startswith("laion/") or "mlfoundations/open_clip/" in entry.get("url", "")
    if tag == "openai" or (laion and tag.startswith(("laion", "datacomp"))):
        return "MIT"
    return "Apache-2.0" if "SigLIP" in name and tag == "webli" else CARD


def _here(entry: Mapping[str, Any]) -> bool:
    """Whether the file that the loader would take is in the local caches."""
    from promptlab.backbones import checkpoint

    if entry.get("hf_hub"):
        return checkpoint._cached(entry) is not None
    return bool(entry.get("url")) and (URLS.expanduser() / entry["url"].rpartition("/")[2]).is_file()


@lru_cache(maxsize=64)
def _count(name: str) -> int:
    """Parameters, counted without making them; 0 where the model needs files that are not here."""
    from promptlab.backbones import checkpoint
    from promptlab.backbones.pocket import pocket_model

    try:
        with torch.device("meta"):
            model = pocket_model() if name == "pocket" else checkpoint.build(checkpoint.known_config(name))
            return sum(p.numel() for p in model.parameters())
    except (BackboneLacks, NotImplementedError):
        return 0


def devices() -> dict[str, str]:
    """Device → why it cannot be chosen here, in one sentence; empty where it can."""
    cuda = mps = ""
    if not torch.cuda.is_available():
        cuda = "torch sees no CUDA GPU on this machine." if torch.backends.cuda.is_built() else "this torch was installed without CUDA."
    if not torch.backends.mps.is_available():
        mps = "torch sees no Metal GPU on this machine." if torch.backends.mps.is_built() else "mps is for Apple's chips, and this is none."
    return {"auto": "", "cpu": "", "cuda": cuda, "mps": mps}


def real(device: str) -> str:
    """The device that a setting stands for here: "auto" is CUDA where there is one, else the CPU."""
    from promptlab.backbones.load import pick_device

    return str(pick_device(device))
