"""Exercises of notebooks 02 (CoOp), 03 (base and new), 04 (both towers)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from promptlab.course.exercise import choice, draw, function

function("02.1", lambda n, width, classes, own: n * width * (classes if own else 1),
         [(16, 512, 100, False), (16, 512, 100, True), (4, 192, 40, False)],
         "One vector of the text tower's width for each place; with an own context, once for every class.",
         "def answer(n_ctx, width, classes, class_specific):\n    return n_ctx * width * (classes if class_specific else 1)",
         [(lambda n, width, classes, own: n * width * classes, "A shared context is learned once, however many classes there are."),
          (lambda n, width, classes, own: n * width, "With a context of its own, every class has its own vectors.")])


def _assemble(start: Tensor, context: Tensor, rest: Tensor) -> Tensor:
    c = len(rest)
    return torch.cat([start.expand(c, -1, -1), context.expand(c, -1, -1), rest], 1)


function("02.2", _assemble, [(draw(1, 1, 6), draw(3, 6), draw(5, 4, 6))],
         "Repeat the start and the context for every class with expand, then concatenate along the positions.",
         "def answer(start, context, rest):\n    c = len(rest)\n"
         "    return torch.cat([start.expand(c, -1, -1), context.expand(c, -1, -1), rest], dim=1)",
         [(lambda s, x, r: torch.cat([x.expand(len(r), -1, -1), s.expand(len(r), -1, -1), r], 1),
           "The start token must stay first; a causal tower reads it before everything."),
          (lambda s, x, r: torch.cat([s.expand(len(r), -1, -1), r, x.expand(len(r), -1, -1)], 1),
           "The context stands behind the name and the end token here, where a causal tower never reads it.")])

function("02.3", lambda logits, target: F.cross_entropy(logits, target), [(draw(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])),
                                                                         (100 * draw(3, 2), torch.tensor([0, 1, 0]))],
         "minus the log-softmax at the target, mean over pictures. torch.logsumexp keeps large logits finite.",
         "def answer(logits, target):\n    own = logits[torch.arange(len(target)), target]\n"
         "    return (logits.logsumexp(1) - own).mean()",
         [(lambda logits, target: (logits.logsumexp(1) - logits[torch.arange(len(target)), target]).sum(),
           "That is the sum over pictures; the learning rate would then depend on the batch. Take the mean."),
          (lambda logits, target: -logits[torch.arange(len(target)), target].mean(),
           "Without the log-sum-exp, raising all logits would count as learning."),
          (lambda logits, target: -logits.softmax(1)[torch.arange(len(target)), target].mean(),
           "That is minus the probability, not minus its logarithm.")])

function("03.1", lambda base, new: 2 * base * new / (base + new), [(0.8, 0.6), (0.9, 0.1)],
         "Two over the sum of the inverses.", "def answer(base, new):\n    return 2 / (1 / base + 1 / new)",
         [(lambda base, new: (base + new) / 2, "That is the arithmetic mean, which lets a good base hide a ruined new."),
          (lambda base, new: (base * new) ** 0.5, "That is the geometric mean; H is the harmonic one.")],
         "Right. H is near the smaller of the two: 90 and 10 give 18.")


def _project(g: Tensor, advice: Tensor) -> Tensor:
    dot = g @ advice
    return g if dot >= 0 else g - dot / (advice @ advice) * advice


function("03.2", _project, [(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])), (torch.tensor([1.0, 0.0]), torch.tensor([-2.0, 1.0])),
                            (draw(6), -draw(6) + 0.1 * draw(6, seed=1))],
         "If the two gradients point apart (dot product below zero), take out the part of g along the advice; else leave g alone.",
         "def answer(g, advice):\n    dot = g @ advice\n    return g if dot >= 0 else g - dot / (advice @ advice) * advice",
         [(lambda g, a: g - (g @ a) / (a @ a) * a, "You project always; where the two agree, ProGrad leaves the gradient alone."),
          (lambda g, a: g if g @ a >= 0 else g - (g @ a) * a, "Divide by the squared length of the advice: it has no unit length."),
          (lambda g, a: g if g @ a >= 0 else torch.zeros_like(g), "Only the opposing part goes; what is orthogonal to the advice stays."),
          (lambda g, a: g if g @ a >= 0 else (g @ a) / (a @ a) * a, "That is the opposing part itself; take it out of g.")])

choice("03.3", "c", "Right. The context depends on the picture, so every picture of the batch needs its own text features.", {
    "a": "The meta-network is tiny: two linear maps on one feature.",
    "b": "The image tower is frozen, and its features are cached as for CoOp.",
    "d": "The loss is the same cross-entropy."}, "Count how many sentences go through the text tower in one step.")

function("04.1", lambda size, pad: 3 * (size**2 - (size - 2 * pad) ** 2), [(224, 30), (64, 4)],
         "The whole picture less the part inside the frame, in three colours.",
         "def answer(size, pad):\n    return 3 * (size ** 2 - (size - 2 * pad) ** 2)",
         [(lambda size, pad: size**2 - (size - 2 * pad) ** 2, "Every pixel has three colours."),
          (lambda size, pad: 3 * (size**2 - (size - pad) ** 2), "The frame takes its width on both sides: the inside is size - 2 pad."),
          (lambda size, pad: 3 * 4 * size * pad, "The corners are counted twice.")],
         "Right: 69,840 at 224 px and a frame of 30, the paper's count.")


def _deep(tokens: Tensor, prompts: Tensor) -> Tensor:
    n = len(prompts)
    return torch.cat([tokens[:, :-n], prompts.expand(len(tokens), -1, -1)], 1)


function("04.2", _deep, [(draw(2, 7, 4), draw(3, 4)), (draw(1, 3, 4), draw(1, 4))],
         "The last n tokens are the prompts of the layer before; put this layer's in their place.",
         "def answer(tokens, prompts):\n    n = len(prompts)\n"
         "    return torch.cat([tokens[:, :-n], prompts.expand(len(tokens), -1, -1)], dim=1)",
         [(lambda t, p: torch.cat([t, p.expand(len(t), -1, -1)], 1),
           "You append: the sequence would grow in every layer. Deep prompts replace those of the layer before."),
          (lambda t, p: torch.cat([p.expand(len(t), -1, -1), t[:, len(p):]], 1),
           "You replace the first tokens; among them is the class token, which the answer is read from.")])

function("04.3", lambda before, after: (F.normalize(after, dim=-1) - F.normalize(before, dim=-1)).norm(dim=-1).mean(),
         [(draw(5, 8), draw(5, 8, seed=2)), (draw(5, 8), 3 * draw(5, 8))],
         "Unit length for both, difference, its length, mean over pictures.",
         "def answer(before, after):\n    a = after / after.norm(dim=-1, keepdim=True)\n"
         "    b = before / before.norm(dim=-1, keepdim=True)\n"
         "    return (a - b).norm(dim=-1).mean()",
         [(lambda b, a: (a - b).norm(dim=-1).mean(),
          "A feature that only grew longer has not moved: the answer reads directions. Normalise first."),
          (lambda b, a: (F.normalize(a, dim=-1) - F.normalize(b, dim=-1)).mean(),
           "Differences of opposite sign cancel; take the length of each first."),
          (lambda b, a: (F.normalize(a, dim=-1).mean(0) - F.normalize(b, dim=-1).mean(0)).norm(),
           "That is how far the mean moved; pictures that move in different directions cancel.")])
