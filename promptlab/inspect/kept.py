"""Methods that are held near the frozen model: how near they stayed, and which epochs their average is made of."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.errors import WrongKind
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.replay import epochs_of
from promptlab.inspect.subject import as_batch, class_text, method_of
from promptlab.method import Method, sandbox


@torch.no_grad()
def kept(subject: Any, images: Any) -> Exhibit:
    """Cosine of tuned and frozen features, per class.

    arrays: ``text`` [C], to the method's own teacher (the plain sentence where it has none); ``pictures`` [C], mean over the pictures
    of a class (the predicted one where there are no labels), nan where there are none; with several teacher sentences a class also
    ``text lowest`` and ``text highest`` [C]. sanity: mean of both beside that of the plain sentence.
    """
    method = method_of(subject)
    batch, names = as_batch(method, images), method.task.classes
    with sandbox(method):
        bank = method.bank()
        out = method.predict(batch, bank)
        text, moved = class_text(bank, out), out.aux.get("image", method.image(batch).pooled)
    if text is None or moved.shape[-1] != text.shape[-1] or out.pred.ndim != 2 or len(moved) != len(batch):
        raise WrongKind(f"{method.card.name} answers without one text feature per class, so there is nothing to hold near the frozen one.")
    each = _cosines(text, method.teacher(names) if hasattr(method, "teacher") else method.plain(names))
    own = F.cosine_similarity(moved.float(), method.backbone.cached_image(batch).pooled.float(), dim=-1).cpu()
    target = batch.target.cpu() if batch.target is not None and batch.target.ndim == 1 else out.pred.argmax(-1).cpu()
    mean = [float(own[target == c].mean()) if bool((target == c).any()) else np.nan for c in range(len(names))]
    arrays = {"text": each.mean(0).numpy(), "pictures": np.array(mean)}
    if len(each) > 1:
        arrays |= {"text lowest": each.amin(0).numpy(), "text highest": each.amax(0).numpy()}
    plain = float(_cosines(text, method.plain(names)).mean())
    return Exhibit(
        "matrix",
        f"How near {method.card.name} stayed to the frozen model",
        arrays,
        {"class": names.names},
        "Cosine of the tuned and the frozen feature; 1: nothing moved.",
        (Sanity("mean cosine of the class texts to their teacher (to the plain sentence)", float(each.mean()), plain),
         Sanity("mean cosine of the pictures (of the class texts)", float(own.mean()), float(each.mean()))),
    )


def _cosines(text: Tensor, teacher: Tensor) -> Tensor:
    """text [C, E], teacher [C, E] or [J, C, E] → [J, C]."""
    return F.cosine_similarity(text.float(), teacher.float().reshape(-1, *text.shape), dim=-1).cpu()


def averaging(run: Any) -> Exhibit:
    """Distance of the learnables after each epoch from the average that answers, and the weight that the epoch has in it.

    arrays: ``epoch``, ``distance``, ``weight`` [T]. sanity: distance of the last epoch beside that of the nearest one.
    """
    steps = [e for e in epochs_of(run) if e > 0]
    last = method_of(run)
    if not hasattr(last, "epoch_weights"):
        raise WrongKind(f"{last.card.name} does not average its epochs; promptsrc does.")
    weights = last.epoch_weights(max(steps))
    end = _flat(last)
    distance = np.array([float((_flat(run.at(e)) - end).norm()) for e in steps])
    return Exhibit(
        "curve",
        f"Epochs that {last.card.name} averages",
        {"epoch": np.array(steps), "distance": distance, "weight": np.array([weights[e - 1] for e in steps])},
        {},
        "Distance of each epoch's prompts from the weighted average; the average is near the epochs that have weight.",
        (Sanity("distance of the last epoch (of the nearest)", float(distance[-1]), float(distance.min())),),
        {"x": "epoch", "y": "distance"},
    )


def _flat(method: Method) -> Tensor:
    return torch.cat([p.detach().float().cpu().flatten() for p in method.parameters()])


EXHIBITS = {"averaging": averaging, "kept": kept}
SHOWS = {"averaging": "averaging", "kept": "kept"}
OF_RUNS = ("averaging",)
