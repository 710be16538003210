"""Exercises: the shown solution passes, typical mistakes are named, nothing a student writes breaks the notebook."""

import pytest
import torch

from promptlab.course import EXERCISES, check, solution
from promptlab.course.exercise import difference
from promptlab.errors import BadData

KEYS = sorted(EXERCISES)
MISTAKES = {
    "00.2": ("lambda logits, target: (logits.argmax(1) == target).sum()", "share"),
    "00.3": ("lambda rows: [n for n, g, s in rows if g > 0]", "seed noise"),
    "01.1": ("lambda i, t, s: s * i @ t.T", "unit length"),
    "01.2": ("lambda f: (f / f.norm(dim=-1, keepdim=True)).mean(0)", "shorter than one"),
    "02.1": ("lambda n, w, c, own: n * w * c", "shared context"),
    "02.2": ("lambda s, x, r: torch.cat([s.expand(len(r), -1, -1), r, x.expand(len(r), -1, -1)], 1)", "behind the name"),
    "02.3": ("lambda l, t: -l.softmax(1)[torch.arange(len(t)), t].mean()", "logarithm"),
    "03.1": ("lambda b, n: (b + n) / 2", "arithmetic"),
    "03.2": ("lambda g, a: g - (g @ a) / (a @ a) * a", "always"),
    "04.1": ("lambda s, p: s ** 2 - (s - 2 * p) ** 2", "three colours"),
    "04.2": ("lambda t, p: torch.cat([t, p.expand(len(t), -1, -1)], 1)", "append"),
    "04.3": ("lambda b, a: (a - b).norm(dim=-1).mean()", "longer"),
    "05.1": ("lambda k, c: ((1 / len(k)) / (k @ c), c)", "columns"),
    "05.2": ("lambda p, c: (p * c).mean()", "mean"),
    "06.1": ("lambda a, v, alpha, beta: alpha * torch.exp(-beta * a) @ v", "sign"),
    "06.2": ("lambda v, b, r: torch.nn.functional.normalize(r * v + (1 - r) * b, dim=-1)", "swapped"),
    "07.1": ("lambda p, k: {(int(i), c) for c in range(p.shape[1]) for i in p[:, c].argsort(descending=True)[:k]}", "column"),
    "07.2": ("lambda p: -(p * p.log()).sum(1).mean()", "different classes"),
    "08.1": ("lambda s, t: ((s > 0) == (t == 1)).float().mean()", "accuracy at a threshold"),
    "08.2": ("lambda a, b, c: ((a == c) & (b == c)).sum() / (b == c).sum()", "recall"),
    "09.1": ("lambda a, b, x: x * a + (1 - x) * b", "Turned round"),
    "09.2": ("lambda c, r, bins: (c.mean() - r.float().mean()).abs()", "cancel"),
    "10.2": ("int", "subclass of pl.Method"),
    "11.1": ("lambda l, s: (list(range(s)), list(range(s, len(l))))", "not of each class"),
    "11.3": ("lambda p, n: p * (1 - p) / n", "variance"),
}


def run(source):
    place = {"torch": torch}
    exec(source, place)  # noqa: S102 - our own solutions
    return place["answer"]


def test_there_are_three_exercises_a_notebook():
    assert KEYS == [f"{n:02d}.{i}" for n in range(12) for i in (1, 2, 3)]


@pytest.mark.parametrize("key", KEYS)
def test_the_solution_is_right(key):
    verdict = check(key, run(solution(key)))
    assert verdict.ok is True, verdict


@pytest.mark.parametrize("key", KEYS)
def test_a_wrong_answer_is_explained(key):
    source, word = MISTAKES.get(key, (None, None))
    if source is None:  # a choice: every wrong letter has its own reason
        right = run(solution(key))
        said = {letter: check(key, letter) for letter in "abcd" if letter != right}
        assert all(v.ok is False and len(v.text) > 20 for v in said.values()) and len({v.text for v in said.values()}) == 3
        assert "one letter" in check(key, "z").text
        return
    verdict = check(key, eval(source, {"torch": torch}))  # noqa: S307
    assert verdict.ok is False and word in verdict.text, verdict


@pytest.mark.parametrize("key", KEYS)
def test_open_and_broken_answers_are_no_errors(key):
    assert check(key).ok is None and "Hint" in check(key, ...).text

    def broken(*args):
        raise ZeroDivisionError("by zero")

    for bad in (None, broken, lambda *args: None, 3):
        verdict = check(key, bad)
        assert verdict.ok is False and verdict.text and "<div" in verdict._repr_html_()


def test_unknown_exercises_are_named():
    with pytest.raises(BadData, match="99.9"):
        check("99.9", 1)


def test_differences_are_said():
    assert "shape" in difference(torch.zeros(2), torch.zeros(3)) and "return" in difference(None, 1.0)
    assert difference(1.0, 1.00001) == "" and "differ" in difference(torch.tensor([1.0, 2]), torch.tensor([1.0, 3]))
