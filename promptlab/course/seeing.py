"""Exercises of notebooks 00 (tour) and 01 (zero-shot), 10 (a method of one's own) and 11 (own photographs)."""

import math
from typing import Any

import torch
import torch.nn.functional as F

from promptlab.course.exercise import EXERCISES, Exercise, choice, draw, function

choice("00.1", "b", "Right. Validation pictures choose, test pictures judge; a test picture that chose anything is spent.", {
    "a": "The shots are what the context was fitted on: every epoch looks better on them than the last, so they cannot say when to stop.",
    "c": "If the test pictures chose the epoch, the reported accuracy would be that of a model tuned on them; it would be too high.",
    "d": "Training loss keeps falling while a method overfits; it is no judge."}, "Which pictures may a fit look at to choose?")

function("00.2", lambda logits, target: (logits.argmax(1) == target).float().mean(),
         [(draw(50, 4), torch.arange(50) % 4), (draw(7, 3, seed=3), torch.zeros(7, dtype=torch.long))],
         "argmax over classes, compare with the target, take the mean.",
         "def answer(logits, target):\n    return (logits.argmax(1) == target).float().mean()",
         [(lambda logits, target: (logits.argmax(1) == target).sum(), "That is the number of right answers; accuracy is their share."),
          (lambda logits, target: (logits.argmin(1) == target).float().mean(), "The answer is the largest logit, not the smallest.")])

function("00.3", lambda rows: [n for n, gain, spread in rows if gain > spread],
         [([("coop", 0.10, 0.02), ("vp", 0.01, 0.03), ("upl", -0.10, 0.02), ("taskres", 0.03, 0.03)],)],
         "Keep the names whose gain is larger than the spread over seeds.",
         "def answer(rows):\n    return [name for name, gain, spread in rows if gain > spread]",
         [(lambda rows: [n for n, gain, spread in rows if gain > 0],
          "A gain above zero can still be seed noise: compare it with the spread."),
          (lambda rows: [n for n, gain, spread in rows if abs(gain) > spread],
           "A clear loss is clear too, but it is no gain: upl lost ten points here."),
          (lambda rows: [n for n, gain, spread in rows if gain >= spread],
           "taskres gained exactly its spread; that is not more than the spread.")])


def _logits(image: torch.Tensor, text: torch.Tensor, scale: float) -> torch.Tensor:
    return scale * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T


function("01.1", _logits, [(draw(5, 8), draw(3, 8), 20.0)],
         "Give both features unit length, multiply, and scale.",
         "def answer(image, text, scale):\n    image = image / image.norm(dim=-1, keepdim=True)\n"
         "    text = text / text.norm(dim=-1, keepdim=True)\n    return scale * image @ text.T",
         [(lambda i, t, s: s * i @ t.T, "Neither feature has unit length yet; long vectors would win by their length."),
          (lambda i, t, s: s * F.normalize(i, dim=-1) @ t.T, "The text features still have their own lengths."),
          (lambda i, t, s: s * i @ F.normalize(t, dim=-1).T,
           "The image features still have their own lengths: the order of the classes is right, the confidence is not."),
          (lambda i, t, s: F.normalize(i, dim=-1) @ F.normalize(t, dim=-1).T,
           "These are cosines; without the scale the softmax is almost uniform.")])

function("01.2", lambda f: F.normalize(F.normalize(f, dim=-1).mean(0), dim=-1), [(draw(4, 3, 8),)],
         "Unit length for every sentence, mean over templates, unit length again.",
         "def answer(features):\n    unit = features / features.norm(dim=-1, keepdim=True)\n    mean = unit.mean(0)\n"
         "    return mean / mean.norm(dim=-1, keepdim=True)",
         [(lambda f: F.normalize(f, dim=-1).mean(0), "The mean of unit vectors is shorter than one; give it unit length again."),
          (lambda f: F.normalize(f.mean(0), dim=-1), "Long sentences count more when they are not given unit length before the mean."),
          (lambda f: F.normalize(F.normalize(f, dim=-1).mean(1), dim=-1),
           "The mean must go over the templates (axis 0), not the classes.")])

choice("01.3", "c", "Right. The towers stay as they are; only the points that pictures are compared with move.", {
    "a": "The image features do not depend on the sentence at all; compute them for two templates and compare.",
    "b": "No weight changes: the backbone's digest is the same before and after.",
    "d": "The scale is one number of the frozen backbone."}, "What does a template go into, and what not?")

choice("10.1", "a", "Right. What depends on the names only belongs into `classes`: it is computed once for all pictures.", {
    "b": "`forward` runs for every batch of pictures; computing the class side there repeats it each time.",
    "c": "`fit` learns; a method must also answer after it was loaded from a file, when `fit` does not run.",
    "d": "`loss` sees the answer when it is made already."}, "Which of the verbs sees class names and no pictures?")


def _own_method(cls: Any) -> str:
    from promptlab.method import Method
    from promptlab.testing import checks

    if not (isinstance(cls, type) and issubclass(cls, Method)):
        return f"The answer must be a subclass of pl.Method; got {cls!r}."
    for one in checks(cls):
        try:
            one()
        except AssertionError as error:
            return f"The check '{one.name}' of the public suite fails: {str(error).splitlines()[0] if str(error) else 'an assertion'}"
    return ""


EXERCISES["10.2"] = Exercise("10.2", "Start from the cell above, and give your class a new id.", """\
import torch
from torch import nn
import promptlab as pl

class OwnVectors(pl.Method):
    card = pl.Card(id="own_vectors", name="Own vectors", year=2026, venue="course", paper="", code="", checked="none", family="adapter",
                   supervision="supervised", difference="a learned vector added to the class feature", trains="one vector a class",
                   open_vocabulary=False, identity_at_init=True, protocols=("few_shot",), params_b16_k100=51_200,
                   presets={"demo": {"steps": 20, "augment": "none"}})

    def __init__(self, backbone, task, hyper):
        super().__init__(backbone, task, hyper)
        self.own = nn.Parameter(torch.zeros(len(task.classes), backbone.joint_dim, device=backbone.device))

    def classes(self, names):
        text = self.plain(names) + self.own[self.rows(names)]
        return pl.Bank(names, text / text.norm(dim=-1, keepdim=True))

answer = OwnVectors""", _own_method, "Right: your method passes the whole public check suite.")

choice("10.3", "b", "Right. A knob carries its range, so the command line, the app and this library refuse 7 in the same sentence.", {
    "a": "Nothing clamps silently: a value that was not asked for would be used.",
    "c": "A wrong value must be found before anything is computed, not by a strange result.",
    "d": "The check is not the app's: it comes from the knob and holds everywhere."}, "Try it: pl.fit(..., strength=7.0).")


def _parts(labels: list[int], shots: int) -> tuple[list[int], list[int]]:
    seen: dict[int, int] = {}
    train = []
    for i, label in enumerate(labels):
        seen[label] = seen.get(label, 0) + 1
        if seen[label] <= shots:
            train.append(i)
    return train, [i for i in range(len(labels)) if i not in train]


function("11.1", _parts, [([0, 0, 1, 0, 1, 1, 2, 2, 2], 2), ([1, 0, 0, 0], 1)],
         "Go through the labels, count per class, and keep the first `shots` of each.",
         "def answer(labels, shots):\n    seen, train, test = {}, [], []\n    for i, label in enumerate(labels):\n"
         "        seen[label] = seen.get(label, 0) + 1\n        (train if seen[label] <= shots else test).append(i)\n"
         "    return train, test",
         [(lambda labels, shots: (list(range(shots)), list(range(shots, len(labels)))),
           "These are the first pictures of all, not of each class: a class may get none."),
          (lambda labels, shots: (_parts(labels, shots)[0], list(range(len(labels)))),
           "The shots are in the test part as well; a method would be judged on what it has seen.")])

choice("11.2", "a", "Right. The method has seen the test picture, so its accuracy there says nothing about new pictures.", {
    "b": "The loss does not know that two pictures are alike; nothing goes wrong there.",
    "c": "It is the other way round: a seen picture is easy.",
    "d": "The template reads names only."}, "Think of what a nearest-neighbour method would answer.")

function("11.3", lambda p, n: math.sqrt(p * (1 - p) / n), [(0.8, 25), (0.5, 400)],
         "The variance of one right-or-wrong answer is p(1-p); of a mean of n answers it is n times smaller.",
         "def answer(p, n):\n    return (p * (1 - p) / n) ** 0.5",
         [(lambda p, n: p * (1 - p) / n, "That is the variance; its root is the standard error."),
          (lambda p, n: math.sqrt(p * (1 - p)), "That is the spread of one answer; the mean of n answers varies less.")],
         "Right. With 25 test pictures, 80 % is 80 ± 8 %.")
