"""What is installed, which device is used and why, which shipped files are there, and what is missing and how to get it."""

import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from promptlab.assets import assets_dir
from promptlab.docs import found_cards
from promptlab.errors import BadData

NEEDED = ("torch", "open_clip_torch", "timm", "safetensors", "numpy", "Pillow", "torchmetrics", "matplotlib", "plotly", "typer", "rich",
          "gradio", "anywidget", "ipywidgets")
EXTRAS = {"ray": ("ray",), "notebook": ("jupyterlab", "nbclient"), "test": ("pytest", "pytest-xdist", "hypothesis", "POT", "ruff")}
SHIPPED = {"pocket.safetensors": "the weights of pocket", "sprites.webp": "the sprite atlas of the world",
           "sprites.json": "the names of the sprites"}


@dataclass(frozen=True)
class Finding:
    """One line: ``ok`` is None where it is information and no check; ``todo`` says what to do when it is not ok."""

    group: str
    what: str
    value: str
    ok: bool | None = None
    todo: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All findings, and whether everything that promptlab needs is there."""

    findings: tuple[Finding, ...] = field(default_factory=tuple)

    @property
    def healthy(self) -> bool:
        return all(f.ok is not False or f.group == "optional" for f in self.findings)

    def to_json(self) -> dict[str, Any]:
        return {"healthy": self.healthy, "findings": [asdict(f) for f in self.findings]}


def diagnose() -> Diagnosis:
    """Look at this installation; nothing is downloaded or changed."""
    return Diagnosis((*_system(), *_packages(), *_device(), *_shipped(), *_methods(), *_optional()))


def version(distribution: str) -> str | None:
    """Installed version of a distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def device_choice() -> tuple[str, str]:
    """The device that "auto" means here, and why."""
    if torch.cuda.is_available():
        return "cuda", f"torch sees {torch.cuda.get_device_name(0)}"
    if torch.version.cuda is None:
        return "cpu", "this torch was built without CUDA"
    return "cpu", "torch has CUDA but sees no GPU or no driver"


def _system() -> list[Finding]:
    good = (3, 10) <= sys.version_info[:2] < (3, 14)
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        Finding("system", "promptlab", version("promptlab-vlm") or "not installed as a distribution"),
        Finding("system", "Python", platform.python_version(), good, "install Python 3.10, 3.11, 3.12 or 3.13."),
        Finding("system", "machine", f"{platform.system()} {platform.machine()}, {cores} cores, {free:.0f} GB of disk free"),
    ]


def _packages() -> list[Finding]:
    found = [(name, version(name)) for name in NEEDED]
    return [Finding("packages", name, v or "missing", v is not None, f"pip install {name}") for name, v in found]


def _device() -> list[Finding]:
    device, why = device_choice()
    bf16 = device == "cuda" and torch.cuda.is_bf16_supported()
    return [Finding("device", "used by default", f"{device} ({why})"),
            Finding("device", "threads", str(torch.get_num_threads())),
            *([Finding("device", "bfloat16", "yes" if bf16 else "no")] if device == "cuda" else [])]


def _shipped() -> list[Finding]:
    try:
        folder = assets_dir()
    except BadData as error:
        return [Finding("offline", "shipped files", "missing", False, str(error))]
    out = []
    for name, what in SHIPPED.items():
        path = folder / name
        size = f"{path.stat().st_size / 2**20:.1f} MB" if path.is_file() else "missing"
        out.append(Finding("offline", what, f"{name}, {size}", path.is_file(), "reinstall promptlab-vlm, or run `promptlab pretrain`."))
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface")) / "hub")
    models = sorted(p.name.removeprefix("models--").replace("--", "/") for p in cache.glob("models--*"))
    more = f" and {len(models) - 6} more" if len(models) > 6 else ""
    return [*out, Finding("offline", "downloaded models", ", ".join(models[:6]) + more if models else "none; pocket needs no download")]


def _methods() -> list[Finding]:
    cards, broken = found_cards()
    names = ", ".join(c.id for c in cards)
    return [Finding("methods", "found", f"{len(cards)}: {names}", bool(cards), "reinstall promptlab-vlm."),
            *(Finding("methods", key, why, False, "mend or uninstall the package that brings it.") for key, why in broken.items())]


def _optional() -> list[Finding]:
    out = []
    for extra, names in EXTRAS.items():
        lacks = [n for n in names if version(n) is None]
        out.append(Finding("optional", f"[{extra}]", "installed" if not lacks else f"lacks {', '.join(lacks)}", not lacks,
                           f'pip install "promptlab-vlm[{extra}]"'))
    return out
