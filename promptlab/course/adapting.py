"""Exercises of notebooks 05 (optimal transport), 06 (adapters and caches), 07 (no labels)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.course.exercise import choice, draw, function


def _sweep(kernel: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    m, n = kernel.shape
    r = (1 / m) / (kernel @ c)
    return r, (1 / n) / (kernel.T @ r)


def _plan(kernel: Tensor, sweep: object) -> Tensor:
    """The plan after thirty sweeps: what a pair of scalings is for (one of them alone has no meaning)."""
    r, c = torch.ones(len(kernel)), torch.ones(kernel.shape[1])
    for _ in range(30):
        r, c = sweep(kernel, c)
    return r[:, None] * kernel * c


def _as_plan(sweep: object) -> object:
    return lambda kernel: _plan(kernel, sweep)


KERNEL = torch.exp(-draw(6, 3).abs() / 0.5)
_SWEEPS = [
    (lambda k, c: (1 / (k @ c), 1 / (k.T @ (1 / (k @ c)))), "Each row must carry 1/M and each column 1/N; yours carry 1."),
    (lambda k, c: ((1 / len(k)) / (k @ c), c), "The columns are never rescaled: return the new c as well."),
    (lambda k, c: ((1 / len(k)) / (k @ c), (1 / k.shape[1]) / (k.T @ torch.ones(len(k)))),
     "The new c must be made with the new r, not with ones."),
]


def _sweep_exercise() -> None:
    """The student's function is one sweep; it is judged by the plan it leads to."""
    from promptlab.course.exercise import EXERCISES, Exercise, difference

    def judge(answer: object) -> str:
        want, got = _plan(KERNEL, _sweep), _plan(KERNEL, answer)
        if not difference(got, want):
            return ""
        for other, why in _SWEEPS:
            if not difference(got, _plan(KERNEL, other)):
                return why
        rows, columns = (
            (got.sum(axis) * n).round(decimals=2).tolist() for axis, n in ((1, len(got)), (0, got.shape[1])))
        return f"After thirty sweeps the rows carry {rows} times 1/M and the columns {columns} times 1/N; all should be 1."

    EXERCISES["05.1"] = Exercise(
        "05.1", "r makes every row of diag(r) K diag(c) sum to 1/M; then c, with the new r, every column to 1/N.",
        "def answer(kernel, c):\n    m, n = kernel.shape\n    r = (1 / m) / (kernel @ c)\n"
        "    c = (1 / n) / (kernel.T @ r)\n    return r, c",
        judge,
        "Right: these two lines are Sinkhorn's algorithm.")


_sweep_exercise()

function("05.2", lambda plan, cost: (plan * cost).sum(), [(torch.rand(4, 2, generator=torch.Generator().manual_seed(1)), draw(4, 2).abs())],
         "Every bit of mass pays the cost of its own way.", "def answer(plan, cost):\n    return (plan * cost).sum()",
         [(lambda p, c: (p * c).mean(), "The plan sums to one already; a mean divides by the number of ways once more."),
          (lambda p, c: (p @ c.T).sum(), "A matrix product pays for ways that the mass does not take; multiply entry by entry.")])

choice("05.3", "b", "Right. Entropy wins over cost: the plan becomes 1/(MN) everywhere and all prompts look at everything.", {
    "a": "That is what a *small* eps does.",
    "c": "The marginals are kept at every eps; Sinkhorn enforces them.",
    "d": "Sweeps do become fewer, but the plan changes a great deal."}, "Look at the maps with the largest eps.")

function("06.1", lambda a, v, alpha, beta: alpha * torch.exp(-beta * (1 - a)) @ v,
         [(torch.rand(3, 5, generator=torch.Generator().manual_seed(2)), F.one_hot(torch.tensor([0, 1, 1, 0, 2]), 3).float(), 2.0, 5.0)],
         "Affinity near 1 gives a full vote; beta says how fast a vote fades; the one-hot labels collect the votes by class.",
         "def answer(affinity, labels, alpha, beta):\n    return alpha * torch.exp(-beta * (1 - affinity)) @ labels",
         [(lambda a, v, alpha, beta: alpha * a @ v, "Without the exponential, far shots vote almost as much as near ones."),
          (lambda a, v, alpha, beta: torch.exp(-beta * (1 - a)) @ v, "alpha, the weight of the memory against zero-shot, is missing."),
          (lambda a, v, alpha, beta: alpha * torch.exp(-beta * a) @ v, "The sign is turned round: this lets the farthest shots vote most."),
          (lambda a, v, alpha, beta: alpha * torch.exp(-beta * (1 - a)) @ v / v.sum(0),
           "Tip-Adapter sums the votes of a class; it takes no mean.")])

function("06.2", lambda v, bent, ratio: F.normalize(ratio * bent + (1 - ratio) * v, dim=-1), [(draw(3, 6), draw(3, 6, seed=5).relu(), 0.2)],
         "A share `ratio` of the adapter, the rest of the feature, then unit length.",
         "def answer(v, bent, ratio):\n    mixed = ratio * bent + (1 - ratio) * v\n    return mixed / mixed.norm(dim=-1, keepdim=True)",
         [(lambda v, b, r: r * b + (1 - r) * v, "The blend has no unit length yet."),
          (lambda v, b, r: F.normalize(r * v + (1 - r) * b, dim=-1), "The shares are swapped: ratio = 0 must be zero-shot."),
          (lambda v, b, r: F.normalize(v + r * b, dim=-1), "The feature keeps its full weight here; CLIP-Adapter gives it 1 - ratio.")])

choice("06.3", "d", "Right. A vote is for a class that has shots; a name without shots gets none, whatever the picture shows.", {
    "a": "The image tower encodes any picture.",
    "b": "The text tower encodes any name; the zero-shot part could answer.",
    "c": "alpha and beta are two numbers; they do not depend on the names."}, "Which of its parts has one row for every shot?")


def _top(p: Tensor, k: int) -> set[tuple[int, int]]:
    confidence, label = p.max(1)
    chosen = set()
    for c in range(p.shape[1]):
        rows = [i for i in confidence.argsort(descending=True).tolist() if label[i] == c][:k]
        chosen |= {(i, c) for i in rows}
    return chosen


def _overall(p: Tensor, k: int) -> set[tuple[int, int]]:
    confidence, label = p.max(1)
    return {(int(i), int(label[i])) for i in confidence.argsort(descending=True)[: k * p.shape[1]]}


def _columns(p: Tensor, k: int) -> set[tuple[int, int]]:
    return {(int(i), c) for c in range(p.shape[1]) for i in p[:, c].argsort(descending=True)[:k]}


function("07.1", _top, [((draw(12, 3) + torch.tensor([2.0, 1.0, 0.0])).softmax(1), 2)],
         "Of the pictures that are predicted as class c, the k with the largest probability; do it for every c.",
         "def answer(p, k):\n    confidence, label = p.max(1)\n    chosen = set()\n    for c in range(p.shape[1]):\n"
         "        rows = [i for i in confidence.argsort(descending=True).tolist() if label[i] == c][:k]\n"
         "        chosen |= {(i, c) for i in rows}\n    return chosen",
         [(_overall, "These are the surest of all pictures; easy classes would crowd out the hard ones. Choose k per predicted class."),
          (_columns, "You take the k largest of each column: a picture can then be labelled with a class that is not its prediction.")])


def _entropy(p: Tensor) -> Tensor:
    mean = p.mean(0)
    return -(mean * mean.log()).sum()


function("07.2", _entropy, [((2 * draw(5, 4)).softmax(1),)],
         "Mean over the views first, then the entropy of that one distribution.",
         "def answer(p):\n    mean = p.mean(0)\n    return -(mean * mean.log()).sum()",
         [(lambda p: -(p * p.log()).sum(1).mean(),
          "That is the mean of the views' entropies: views that are sure of different classes would not be punished."),
          (lambda p: (p.mean(0) * p.mean(0).log()).sum(), "The sign: entropy is not negative.")],
         "Right. It is small only where the views are sure and agree.")

choice("07.3", "a", "Right. A wrong label that the model believes in is learned as if it were true: errors are confirmed.", {
    "b": "The pictures are the same; only their labels come from a guess.",
    "c": "Confident pictures are right more often than others; the printed shares show it.",
    "d": "The text tower is frozen in both cases."}, "Where do the labels come from?")
