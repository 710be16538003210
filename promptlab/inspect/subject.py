"""What is looked at: the fitted method behind a run, the pictures, and a copy of the method with observing edits."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.answers import batch_of
from promptlab.backbones.points import Edit
from promptlab.data.batch import Batch, Split
from promptlab.errors import BackboneLacks, BadData
from promptlab.method import Bank, Method, Out


def method_of(subject: Any) -> Method:
    """The fitted method of a run, or the method itself, in eval mode."""
    method = subject if isinstance(subject, Method) else subject.method
    return method.eval()


def as_batch(method: Method, images: Any, limit: int = 256) -> Batch:
    """Pictures as a batch: a Batch, a Split (its first ``limit`` rows), normalised pixels [B, 3, H, W], or what ``Run.predict`` takes."""
    if isinstance(images, Batch):
        return images
    if isinstance(images, Split):
        return next(images.take(range(min(limit, len(images)))).batches(limit))
    if isinstance(images, Tensor) and images.ndim == 4 and images.is_floating_point():
        return Batch.of(images)
    return batch_of(images, method.backbone.spec)[0]


def one_picture(method: Method, image: Any) -> Batch:
    """A batch of exactly one picture."""
    batch = as_batch(method, image)
    if len(batch) != 1:
        raise BadData(f"this exhibit looks at one picture at a time; got {len(batch)}, so pass one of them.")
    return batch


def with_edits(method: Method, extra: Sequence[Edit]) -> Method:
    """A shallow copy that shares all learnables and applies ``extra`` after the method's own edits; the method itself stays as it is."""
    seen = copy.copy(method)
    own = method.edits
    object.__setattr__(seen, "edits", lambda batch=None: [*own(batch), *extra])
    return seen


def class_index(method: Method, name: str | int | None, pred: Tensor) -> int:
    """The label asked for by name or number; by default the predicted one of ``pred`` [C]."""
    names = method.task.classes.names
    if name is None:
        return int(pred.argmax())
    if isinstance(name, int) and 0 <= name < len(names):
        return name
    if name in names:
        return names.index(name)
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    raise BadData(f"the method has no class {name!r}; its classes are {', '.join(names[:12])}{more}.")


def class_text(bank: Bank, out: Out) -> Tensor | None:
    """Class features [C, E], unit length, that an answer was made with: of the bank, the mean of several prompts, or the mean over
    pictures of image-conditioned ones; None for a method whose class side is no text feature."""
    text = bank.text if bank.text is not None else out.aux.get("text")
    if not isinstance(text, Tensor):
        return None
    text = text.detach().float()
    return F.normalize(text if text.ndim == 2 else F.normalize(text, dim=-1).mean(0), dim=-1)


def need(method: Method, *offers: str) -> None:
    """Refuse in one sentence where the backbone lacks what an exhibit reads."""
    if lacks := [o for o in offers if o not in method.backbone.offers]:
        raise BackboneLacks(
            f"this exhibit needs {', '.join(lacks)}, which backbone {method.backbone.name} does not offer; "
            f"use a ViT backbone such as pocket or ViT-B-32, or the occlusion map of promptlab.inspect.evidence."
        )


def random_like(feature: Tensor, seed: int) -> Tensor:
    """A random direction of the same length as ``feature`` [..., E]; the control of many exhibits."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(feature.shape, generator=generator).to(feature.device)
    return F.normalize(noise, dim=-1) * feature.norm(dim=-1, keepdim=True)
