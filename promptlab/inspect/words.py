"""Learned words: the vocabulary tokens nearest to each context vector, with what chance would give and whether the words work."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from promptlab.data.batch import Split
from promptlab.errors import WrongKind
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.subject import method_of
from promptlab.method import Method, sandbox

DRAWS = 128  # random vectors of the null band


def word_parameters(method: Method) -> list[tuple[str, nn.Parameter]]:
    """The learnables that the card exposes as words; one sentence where there are none."""
    wanted = [e.name for e in method.card.exposes if e.as_ == "words"]
    found = [(n, p) for n, p in method.named_parameters() if n in wanted]
    if not found:
        raise WrongKind(f"{method.card.name} has no learned words; look at its weights, evidence or shift instead.")
    return found


def nearest(vectors: Tensor, vocabulary: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """vectors [n, D], vocabulary [V, D] → Euclidean distances and token ids, both [n, k], nearest first."""
    k = min(k, len(vocabulary))
    found = torch.cdist(vectors.float(), vocabulary.float(), compute_mode="donot_use_mm_for_euclid_dist").topk(k, largest=False)
    return found.values, found.indices


def null_band(vectors: Tensor, vocabulary: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """5th and 95th percentile [n] of the distance from random directions, of each vector's own length, to their nearest token."""
    generator, bands = torch.Generator().manual_seed(seed), []
    noise = F.normalize(torch.randn(DRAWS, vocabulary.shape[1], generator=generator), dim=-1).to(vectors.device).double()
    words = vocabulary.double()
    along, square = noise @ words.T, (words**2).sum(1)
    for length in vectors.double().norm(dim=-1):
        d = (length**2 - 2 * length * along + square).amin(1).clamp_min(0).sqrt()
        bands.append(torch.quantile(d, torch.tensor([0.05, 0.95], device=d.device, dtype=d.dtype)).float())
    low_high = torch.stack(bands)
    return low_high[:, 0], low_high[:, 1]


def words(subject: Any, *, k: int = 5, split: Split | None = None, seed: int = 0) -> Exhibit:
    """Nearest tokens of every learned vector.

    arrays: ``distance`` [n, k], ``null_low`` and ``null_high`` [n] (a vector inside the band is no nearer to a word than a random one
    of its length), ``id`` [n, k]. labels: ``vector``, ``word 1`` ... ``word k``. With ``split`` (held-out pictures) the accuracy is
    measured with the vectors and with the nearest words in their place. Source: CoOp's ``interpret_prompt.py``, to which the null
    band and the replacement are added.
    """
    method = method_of(subject)
    clip, found = method.backbone, word_parameters(method)
    vocabulary = clip.text.weights["text.weights.token"]
    flat = torch.cat([p.detach().reshape(-1, p.shape[-1]) for _, p in found])
    distance, ids = nearest(flat, vocabulary, k)
    low, high = null_band(flat, vocabulary, seed)
    outside = float((distance[:, 0] < low).float().mean())
    sanity = [Sanity("share of vectors nearer to a word than chance", outside, 0.05)]
    if split is not None:
        kept, replaced = _faithful(method, found, vocabulary, ids[:, 0], split)
        sanity.append(Sanity("accuracy with the nearest words in place of the vectors", replaced, kept))
    heads = {f"word {j + 1}": [clip.words.decode([int(i)]) for i in ids[:, j]] for j in range(ids.shape[1])}
    return Exhibit(
        "words",
        f"Words nearest to the learned vectors of {method.card.name}",
        {"distance": distance.cpu().numpy(), "null_low": low.cpu().numpy(), "null_high": high.cpu().numpy(), "id": ids.cpu().numpy()},
        {"vector": labels(found), **heads},
        "A vector whose distance lies inside the null band is no closer to its nearest word than a random vector of its length, "
        "so do not read meaning into the word.",
        tuple(sanity),
        {"k": k, "seed": seed},
    )


def labels(found: list[tuple[str, nn.Parameter]]) -> list[str]:
    """v1, v2, ... within a context; the context's own index in front where there are several."""
    out = []
    for name, p in found:
        lead = name.rsplit(".", 1)[0] if len(found) > 1 else ""
        for index in np.ndindex(*p.shape[:-1]):
            out.append(" ".join([lead, *(f"{i + 1}" for i in index[:-1]), f"v{index[-1] + 1}"]).strip())
    return out


def _faithful(method: Method, found: list[tuple[str, nn.Parameter]], vocabulary: Tensor, ids: Tensor, split: Split) -> tuple[float, float]:
    """Accuracy on ``split`` with the learned vectors, and with their nearest words instead."""
    with sandbox(method), torch.no_grad():
        kept = accuracy(method, split)
        start = 0
        for _, p in found:
            n = p[..., 0].numel()
            p.copy_(vocabulary[ids[start : start + n]].reshape(p.shape))
            start += n
        return kept, accuracy(method, split)


@torch.no_grad()
def accuracy(method: Method, split: Split) -> float:
    """Top-1 accuracy of a single-label method on a split."""
    bank, right = method.bank(), 0
    for batch in split.batches(64):
        right += int((method.predict(batch, bank).pred.argmax(1).cpu() == batch.target).sum())
    return right / len(split)


EXHIBITS = {"words": words}
SHOWS = {"words": "words"}
