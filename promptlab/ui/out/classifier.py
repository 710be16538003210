"""The classifier of a run as an npz of text features with a short script, where the method's answer is a cosine with frozen pictures."""

import io
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from promptlab.errors import BadData
from promptlab.inspect.subject import class_text
from promptlab.method import sandbox

CLOSE = 1e-4
CHECKED = 16  # pictures on which the file is held against the run before it is given away
SCRIPT = '''"""Scores of a picture: python classify.py picture.jpg"""
import sys

import numpy as np
import promptlab as pl
from promptlab.answers import batch_of

z = np.load("classifier.npz")
clip = pl.load(str(z["backbone"]), str(z["tag"]) or None)
image = clip.cached_image(batch_of(sys.argv[1], clip.spec)[0]).pooled.cpu().numpy()[0]
logits = float(z["scale"]) * (z["text"] @ (image / np.linalg.norm(image))) + float(z["bias"])
p = np.exp(logits - logits.max())
p = p / p.sum()
for i in (-p).argsort()[:5]:
    print(f"{p[i]:.6f} {z['names'][i]}")
'''


@torch.no_grad()
def weights(run: Any, batch: Any) -> dict[str, np.ndarray]:
    """Arrays of the npz; one sentence where the run's answer is no cosine of frozen pictures and text features."""
    method = run.method
    with sandbox(method):
        bank = method.bank()
        out = method.predict(batch, bank)
        text = class_text(bank, out)
    if text is None:
        raise BadData(_refuse(run))
    clip = method.backbone
    image = torch.nn.functional.normalize(clip.cached_image(batch).pooled.float(), dim=-1)
    ours = clip.scale * image @ text.T + clip.bias
    if float((ours.softmax(-1) - out.pred.softmax(-1)).abs().max()) > CLOSE / 2:
        raise BadData(_refuse(run))
    arrays = {
        "text": text.cpu().numpy(),
        "scale": clip.scale.cpu().numpy(),
        "bias": clip.bias.cpu().numpy(),
        "names": np.array(run.classes.names),
        "backbone": np.array(clip.name),
        "tag": np.array(clip.tag or ""),
    }
    return arrays


def _refuse(run: Any) -> str:
    return (
        f"{run.method.card.name} changes more than the class texts, so text features alone would not give its answers; save the project, "
        "which holds the whole run."
    )


class Whole(torch.nn.Module):
    """Pixels [1, 3, size, size] → probabilities [1, C]: the frozen image tower and the table of texts in one."""

    def __init__(self, clip: Any, text: Any):
        super().__init__()
        self.clip, self.text = clip, torch.as_tensor(text, device=clip.device)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        image = torch.nn.functional.normalize(self.clip.encode_image(pixels).pooled.float(), dim=-1)
        return (self.clip.scale * image @ self.text.T + self.clip.bias).softmax(-1)


@torch.no_grad()
def onnx(clip: Any, text: Any, file: Path) -> str:
    """Write the whole classifier as ONNX where the packages are there and torch can; else why not, in one sentence."""
    lacks = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if lacks:
        return f"classifier.onnx is left out, because {' and '.join(lacks)} are not installed: pip install 'promptlab-vlm[onnx]'."
    pixels = torch.zeros(1, 3, clip.spec.size, clip.spec.size, device=clip.device)
    try:
        made = torch.onnx.export(
            Whole(clip, text).eval(), (pixels,), dynamo=True, input_names=["pixels"], output_names=["probabilities"], verbose=False
        )
        made.save(str(file))
    except Exception as error:  # noqa: BLE001 - the exporter fails in many ways on towers that it does not know
        return f"classifier.onnx is left out, because torch could not export {clip.name} ({type(error).__name__})."
    return ""


def export(run: Any, batch: Any, folder: Path) -> Path:
    """A zip with ``classifier.npz`` and ``classify.py``, and ``classifier.onnx`` where that can be made."""
    arrays, packed = weights(run, batch), io.BytesIO()
    np.savez_compressed(packed, **arrays)
    path, clip = folder / f"classifier-{run.key}.zip", run.method.backbone
    why = onnx(clip, arrays["text"], folder / "classifier.onnx")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("classifier.npz", packed.getvalue())
        out.writestr("classify.py", SCRIPT)
        for file in folder.glob("classifier.onnx*"):
            out.write(file, file.name)
        spec = clip.spec
        out.writestr(
            "README.txt",
            why
            or f"classifier.onnx takes pixels [1, 3, {spec.size}, {spec.size}], (value / 255 - mean) / std with mean "
            f"{spec.mean} and std {spec.std}, and gives a probability for each name in classifier.npz.",
        )
    return path
