"""A run as one file: a zip of JSON and safetensors, no pickle. Reading trusts nothing: names, sizes and contents are checked."""

import json
import zipfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from promptlab import registry
from promptlab.card import build_hyper
from promptlab.errors import BadData
from promptlab.files import plain, replacing
from promptlab.fit.trace import thinned
from promptlab.runs import Run, check_backbone

FORMAT = 1
LIMITS = {  # bytes when unpacked
    "run.json": 64 << 20,
    "events.jsonl": 256 << 20,
    "state.safetensors": 8 << 30,
    "trace.safetensors": 64 << 20,
}
RATIO = 300  # JSON of curves packs about 10:1; zeros in a bomb 1000:1
NEEDED = ("id", "method", "hyper", "task", "backbone", "learnable", "reports", "status", "seed")


def pack(run: Run, file: Path) -> Path:
    """Write ``file``; it holds all that is needed to answer again on the same backbone, and the learnables after some epochs for
    the replay, but no pictures and no predictions."""
    method = run.method
    meta = {**run.meta, "format": FORMAT, "learnable": [n for n, _ in method.named_parameters()]}
    state = {k: v.detach().cpu().contiguous().clone() for k, v in method.state_dict().items()}
    with replacing(file) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("run.json", json.dumps(plain(meta)))
        out.writestr("events.jsonl", "".join(json.dumps(e) + "\n" for e in run.events))
        out.writestr("state.safetensors", save_tensors(state))
        if frames := {f"{e}/{k}": v.contiguous() for e in thinned(run.epochs) for k, v in run.frame(e).items()}:
            out.writestr("trace.safetensors", save_tensors(frames))
    return file


def unpack(file: Path, clip: Any = None, *, method: type | None = None) -> Run:
    """The run in ``file``, on ``clip`` (or on the backbone of that name and tag, loaded anew)."""
    if not file.is_file():
        raise BadData(f"'{file}' does not exist; give a file that Run.save wrote.")
    parts = _read(file)
    try:
        meta = json.loads(parts["run.json"])
        log = [json.loads(line) for line in parts.get("events.jsonl", b"").decode().splitlines() if line]
        state = load_tensors(parts["state.safetensors"])
        frames = _frames(parts.get("trace.safetensors"))
    except (ValueError, UnicodeDecodeError, RecursionError, SafetensorError) as error:
        raise BadData(f"'{file.name}' is damaged ({type(error).__name__}); save the run again.") from None
    if not isinstance(meta, dict) or any(k not in meta for k in NEEDED) or meta.get("format") != FORMAT:
        raise BadData(f"'{file.name}' is no run of this version of promptlab (format {FORMAT}); save the run again.")
    if clip is None:
        clip = _load(meta)
    check_backbone(meta, clip)
    run = Run(meta, clip=clip, cls=method or registry.get(meta["method"]), state=state, log=log, frames=frames)
    try:
        build_hyper(run.key, run._cls.Hyper, dict(meta["hyper"]))
        run.method  # noqa: B018 - built now, so that what does not fit is refused here
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise BadData(f"'{file.name}' does not fit the method {meta['method']} ({type(error).__name__}); save the run again.") from None
    return run


def _frames(data: bytes | None) -> dict[int, dict[str, Any]]:
    """Epoch → learnables by name."""
    found: dict[int, dict[str, Any]] = {}
    for key, value in (load_tensors(data) if data else {}).items():
        epoch, _, name = key.partition("/")
        found.setdefault(int(epoch), {})[name] = value
    return found


def _read(file: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            names = [i.filename for i in infos]
            if len(set(names)) != len(names) or not set(names) <= set(LIMITS) or not {"run.json", "state.safetensors"} <= set(names):
                odd = next((n for n in names if n not in LIMITS), None)
                why = f"it holds '{odd[:80]}'" if odd else "files are missing or there twice"
                raise BadData(f"'{file.name}' is no saved run: {why}; give a file that Run.save wrote.")
            for info in infos:
                if info.file_size > LIMITS[info.filename] or info.file_size > RATIO * max(info.compress_size, 1024):
                    raise BadData(f"'{file.name}' would unpack '{info.filename}' to {info.file_size:,} bytes, so it is not read.")
            return {info.filename: _bounded(archive, info) for info in infos}
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise BadData(f"'{file.name}' is no readable saved run ({type(error).__name__}); give a file that Run.save wrote.") from None


def _bounded(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as member:
        data = member.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise BadData(f"'{info.filename}' in '{archive.filename}' is not as long as it says, so it is not read.")
    return data


def _load(meta: dict[str, Any]) -> Any:
    from promptlab.backbones.load import load

    return load(meta["backbone"]["name"], meta["backbone"]["tag"])
