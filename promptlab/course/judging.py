"""Exercises of notebooks 08 (several labels, pixels) and 09 (robustness)."""

import torch
from torch import Tensor

from promptlab.course.exercise import choice, draw, function


def _ap(scores: Tensor, target: Tensor) -> Tensor:
    relevant = target[scores.argsort(descending=True)] == 1
    at = relevant.cumsum(0) / torch.arange(1, len(relevant) + 1)
    return (at * relevant).sum() / relevant.sum()


function("08.1", _ap, [(draw(10), torch.tensor([1, 0, 0, 1, 0, 0, 1, 0, 0, 0])), (torch.tensor([3.0, 2, 1]), torch.tensor([0, 1, 1]))],
         "Sort by score; at every positive, the share of positives among all ranked so far; mean over the positives.",
         "def answer(scores, target):\n    hit = target[scores.argsort(descending=True)] == 1\n"
         "    precision = hit.cumsum(0) / torch.arange(1, len(hit) + 1)\n    return (precision * hit).sum() / hit.sum()",
         [(lambda s, t: (t[s.argsort(descending=True)] == 1).cumsum(0).div(torch.arange(1, len(t) + 1)).mean(),
           "You take the mean over all ranks; average precision is read at the positives only."),
          (lambda s, t: _ap(-s, t), "You sort upwards: the largest score comes first."),
          (lambda s, t: ((s > 0) == (t == 1)).float().mean(),
           "That is accuracy at a threshold; with few positives, saying 'no' always would score high.")])

function("08.2", lambda a, b, c: ((a == c) & (b == c)).sum() / ((a == c) | (b == c)).sum(),
         [(torch.tensor([[0, 1], [1, 1]]), torch.tensor([[0, 1], [0, 1]]), 1),
          (torch.tensor([[2, 2], [0, 1]]), torch.tensor([[2, 0], [0, 1]]), 2)],
         "Pixels that are class c in both, over pixels that are class c in either.",
         "def answer(found, true, c):\n    return ((found == c) & (true == c)).sum() / ((found == c) | (true == c)).sum()",
         [(lambda a, b, c: ((a == c) & (b == c)).sum() / (b == c).sum(), "That is recall: painting everything with class c would score 1."),
          (lambda a, b, c: ((a == c) & (b == c)).sum() / (a == c).sum(), "That is precision: one right pixel would score 1."),
          (lambda a, b, c: (a == b).float().mean(), "That is pixel accuracy over all classes; a large background would decide it.")])

choice("08.3", "b", "Right. The last attention would mix all places into one; the values keep their place and live in the same space.", {
    "a": "No weight is trained; MaskCLIP is training-free.",
    "c": "The sentences are CLIP's own.",
    "d": "The picture is encoded once, as a whole."}, "What does the last attention do to the patches?")

function("09.1", lambda a, b, alpha: (1 - alpha) * a + alpha * b, [(draw(4, 3), draw(4, 3, seed=1), 0.25), (draw(5), draw(5, seed=1), 0.0)],
         "alpha = 0 must give the zero-shot weights, alpha = 1 the fine-tuned ones.",
         "def answer(zero, tuned, alpha):\n    return (1 - alpha) * zero + alpha * tuned",
         [(lambda a, b, alpha: alpha * a + (1 - alpha) * b, "Turned round: at alpha = 0 you give the fine-tuned weights."),
          (lambda a, b, alpha: a + alpha * b, "That adds the fine-tuned weights on top; move along the line from one to the other.")])


def _ece(confidence: Tensor, right: Tensor, bins: int) -> Tensor:
    place = (confidence * bins).long().clamp(max=bins - 1)
    total = torch.zeros(())
    for b in range(bins):
        here = place == b
        if here.any():
            total = total + here.float().mean() * (confidence[here].mean() - right[here].float().mean()).abs()
    return total


def _plain_gap(confidence: Tensor, right: Tensor, bins: int) -> Tensor:
    return (confidence.mean() - right.float().mean()).abs()


def _unweighted(confidence: Tensor, right: Tensor, bins: int) -> Tensor:
    place = (confidence * bins).long().clamp(max=bins - 1)
    gaps = [(confidence[place == b].mean() - right[place == b].float().mean()).abs() for b in range(bins) if (place == b).any()]
    return torch.stack(gaps).mean()


_P = torch.rand(60, generator=torch.Generator().manual_seed(4))
function("09.2", _ece, [(_P, torch.rand(60, generator=torch.Generator().manual_seed(5)) < 0.5, 5)],
         "In every bin of confidence: |mean confidence - accuracy|, weighted with the share of pictures in the bin.",
         "def answer(confidence, right, bins):\n    place = (confidence * bins).long().clamp(max=bins - 1)\n    total = 0.0\n"
         "    for b in range(bins):\n        here = place == b\n        if here.any():\n"
         "            gap = (confidence[here].mean() - right[here].float().mean()).abs()\n            total += here.float().mean() * gap\n"
         "    return total",
         [(_plain_gap, "One gap over all pictures: over- and under-confidence cancel. Take it bin by bin."),
          (_unweighted, "A bin with one picture counts as much as one with fifty; weight each by its share.")])

choice("09.3", "c", "Right. Below the spread over seeds, another draw of shots could turn the order round.", {
    "a": "A larger mean over three seeds can be luck.",
    "b": "More epochs do not change how much the draw of shots matters.",
    "d": "A difference can be real and small; it needs more seeds, not a veto."}, "Compare the difference with the ± of both rows.")

