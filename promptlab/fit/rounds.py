"""Fitting on true and pseudo-labels together: what is labelled in which setting, one split of both, the loss of two kinds of labels.

"ul": nothing is labelled; "ssl": the support is, beside the pool; "trzsl": the support of the first classes is, the others are looked
for in the pool. Source: *Enhancing CLIP with CLIP*, arXiv:2306.01669 (section 3).
"""

import torch
from torch import Tensor

from promptlab.data.batch import Split
from promptlab.data.task import Episode
from promptlab.errors import BadData
from promptlab.fit.boards import choose
from promptlab.fit.pseudo import Chosen
from promptlab.losses import cross_entropy

SETTINGS = ("ul", "ssl", "trzsl")


def known_classes(setting: str, classes: int, seen: float) -> list[int]:
    """Classes whose labels may be read."""
    return {"ul": [], "ssl": list(range(classes)), "trzsl": list(range(min(max(1, round(seen * classes)), classes - 1)))}[setting]


def unnamed(episode: Episode) -> Split:
    """The unlabelled pictures as a split to descend on; its targets are zeros that nobody may read."""
    _, pool = labelled_and_pool(episode, [])
    return Split(pool.source, pool.rows, torch.zeros(len(pool), dtype=torch.long))


def labelled_and_pool(episode: Episode, known: list[int]) -> tuple[Split | None, Split]:
    """The labelled pictures of the ``known`` classes (None: none) and the unlabelled ones, which leave the former out."""
    pool, support = episode.pool or episode.support, episode.support
    if not pool:
        raise BadData(f"pseudo-labels need unlabelled pictures and '{episode.task.name}' has none; give it some.")
    pool = Split(pool.source, pool.rows)
    if not known:
        return None, pool
    if support is None or support.targets is None:
        raise BadData(f"this setting needs labelled pictures beside the unlabelled ones and '{episode.task.name}' has none; give it shots.")
    true = support.take([i for i, y in enumerate(support.targets.tolist()) if y in set(known)])
    if true.source is not pool.source:
        raise BadData("the labelled and the unlabelled pictures must be rows of one source; open them as one data set.")
    own = set(true.rows)
    rest = tuple(r for r in pool.rows if r not in own)
    return true, Split(pool.source, rest or pool.rows)


def among(logits: Tensor, k: int | None, rule: str, asked: list[int]) -> Chosen:
    """Pseudo-labels from logits [n, C] among the classes ``asked``; pictures whose most probable class is another one are left out."""
    if len(asked) == logits.shape[1]:
        return choose(logits.softmax(-1), k, rule)
    free = torch.isin(logits.argmax(-1), torch.tensor(asked)).nonzero()[:, 0]
    found = choose(logits[free][:, asked].softmax(-1), k, rule)
    return Chosen(free[found.index], torch.tensor(asked)[found.label], found.confidence)


def together(true: Split | None, pool: Split, chosen: Chosen, held_out: float = 0.0) -> Split:
    """One split of true and pseudo-labelled pictures; a share of the latter, drawn with seed 0 as in the public code, is left out."""
    order = torch.arange(len(chosen.index))
    if held_out:
        mixed = torch.randperm(len(order), generator=torch.Generator().manual_seed(0))
        order = mixed[: max(1, round((1 - held_out) * len(order)))].sort().values
    rows = tuple(pool.rows[i] for i in chosen.index[order].tolist())
    labels = chosen.label[order]
    if true is None:
        return Split(pool.source, rows, labels)
    return Split(pool.source, true.rows + rows, torch.cat([true.targets, labels]))


def balance(setting: str, labelled: int, pseudo: int, inverse: bool = False) -> tuple[float, float]:
    """Weights of the two cross-entropies (labelled, pseudo-labelled)."""
    ratio = (labelled / max(pseudo, 1)) if inverse or setting == "trzsl" else (pseudo / max(labelled, 1))
    return {"ul": (0.0, 1.0), "ssl": (ratio, 1.0), "trzsl": (1.0, ratio)}[setting]


def mixed(logits: Tensor, target: Tensor, true: Tensor, weights: tuple[float, float]) -> Tensor:
    """w_0 · mean cross-entropy of the rows that are ``true`` [B] + w_1 · that of the others; a part without rows counts 0."""
    return weights[0] * cross_entropy(logits[true], target[true]) + weights[1] * cross_entropy(logits[~true], target[~true])
