"""Pseudo-labels by class: each class takes pictures, where :mod:`promptlab.fit.pseudo` lets each picture take its class.

Source: *Enhancing CLIP with CLIP*, arXiv:2306.01669; ``BatsResearch/menghini-neurips23-code: utils/clip_pseudolabels.py``.
"""

import torch
from torch import Tensor

from promptlab.errors import BadHyper
from promptlab.fit.pseudo import Chosen, top_k_of

BOARD_RULES = ("leaderboard", "top_k", "predicted")


def leaderboard(probabilities: Tensor, k: int) -> Chosen:
    """The public code's boards of [n, C] probabilities, pictures in order of position, output class by class in board order.

    A picture first tries the board of its predicted class: a board with room takes it at the end, a full one if it beats the
    *last* entry (then the board is sorted and cut to ``k``). Refused, it tries *all* other classes in the order of its
    probabilities by the same rule, so it may end up with several labels. A board is unsorted until something is displaced.
    """
    boards: list[list[tuple[float, int]]] = [[] for _ in range(probabilities.shape[1])]
    ranked = probabilities.argsort(dim=-1, descending=True, stable=True)
    for i, (row, order) in enumerate(zip(probabilities.tolist(), ranked.tolist(), strict=True)):
        if not _offer(boards[order[0]], row[order[0]], i, k):
            for c in order[1:]:
                _offer(boards[c], row[c], i, k)
    return _chosen(probabilities, [[i for _, i in board] for board in boards])


def _offer(board: list[tuple[float, int]], p: float, i: int, k: int) -> bool:
    if len(board) < k:
        board.append((p, i))
        return True
    if not board or board[-1][0] >= p:
        return False
    board.append((p, i))
    board.sort(key=lambda entry: -entry[0])
    del board[k:]
    return True


def best_of_each(probabilities: Tensor, k: int) -> Chosen:
    """Every class takes its ``k`` most probable pictures of [n, C], whatever these are predicted as; a picture may have several labels."""
    best = probabilities.argsort(dim=0, descending=True, stable=True)[:k]
    return _chosen(probabilities, best.T.tolist())


def choose(probabilities: Tensor, k: int | None, rule: str = "leaderboard") -> Chosen:
    """Pseudo-labels by a rule; ``k=None``: every picture with its most probable class, in order of position."""
    if k is None:
        confidence, label = probabilities.max(-1)
        return Chosen(torch.arange(len(label)), label, confidence)
    if rule not in BOARD_RULES:
        raise BadHyper(f"there is no pseudo-label rule '{rule}'; choose one of {', '.join(BOARD_RULES)}.")
    return {"leaderboard": leaderboard, "top_k": best_of_each, "predicted": top_k_of}[rule](probabilities, k)


def growing(pictures: int, classes: int, rounds: int) -> list[int]:
    """Pictures a class in each round (GRIP): floor((r + 1) · floor(n / rounds) / C), at most floor(n / C)."""
    step = pictures // rounds
    return [min((r + 1) * step // classes, pictures // classes) for r in range(rounds)]


def _chosen(probabilities: Tensor, boards: list[list[int]]) -> Chosen:
    index = torch.tensor([i for board in boards for i in board], dtype=torch.long)
    label = torch.tensor([c for c, board in enumerate(boards) for _ in board], dtype=torch.long)
    return Chosen(index, label, probabilities[index, label])
