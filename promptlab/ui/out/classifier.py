"""The classifier of a run as an npz of text features with a short script, where the method's answer is a cosine with frozen pictures."""

import io
import zipfile
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
    arrays = {"text": text.cpu().numpy(), "scale": clip.scale.cpu().numpy(), "bias": clip.bias.cpu().numpy(),
              "names": np.array(run.classes.names), "backbone": np.array(clip.name), "tag": np.array(clip.tag or "")}
    return arrays


def _refuse(run: Any) -> str:
    return (f"{run.method.card.name} changes more than the class texts, so text features alone would not give its answers; save the project, "
            "which holds the whole run.")


def export(run: Any, batch: Any, folder: Path) -> Path:
    """A zip with ``classifier.npz`` and ``classify.py``."""
    arrays, packed = weights(run, batch), io.BytesIO()
    np.savez_compressed(packed, **arrays)
    path = folder / f"classifier-{run.key}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("classifier.npz", packed.getvalue())
        out.writestr("classify.py", SCRIPT)
    return path
