"""Captions in the place of pictures: a source of sentences, labels mined from their nouns, and an episode that holds only those.

Source of the noun filter: TaI-DPT, arXiv:2211.12739 (``guozix/TaI-DPT: datasets/coco2014_distill.py``): captions are lower-cased and
brought to the singular, names of several words are looked for first and taken out, then single words; captions that name no
class are dropped.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from promptlab.data.batch import PixelSpec, Split, View
from promptlab.data.classes import ClassSet
from promptlab.data.dataset import DataSet
from promptlab.data.gallery import digest
from promptlab.data.protocols import few_shot
from promptlab.data.task import Episode, TestSet
from promptlab.errors import BadData

WORLD_CAPTIONS = 2000  # sentences that are written for a task of the world
MAX_FILE_BYTES = 256 << 20
WORD = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*")
UNCHANGED = ("ss", "us", "is")  # endings of singular words
IRREGULAR = {"people": "person", "men": "man", "women": "woman", "children": "child", "mice": "mouse", "geese": "goose", "feet": "foot",
             "teeth": "tooth", "knives": "knife", "wolves": "wolf", "leaves": "leaf", "shelves": "shelf", "loaves": "loaf",
             "buses": "bus", "gases": "gas", "shoes": "shoe", "toes": "toe", "canoes": "canoe"}


class Captions:
    """A source whose rows are sentences. It has no pictures; methods that learn from texts ask :meth:`said`."""

    def __init__(self, texts: Sequence[str]):
        self.texts = tuple(texts)
        self.key = f"captions:{digest(self.texts)}"

    def __len__(self) -> int:
        return len(self.texts)

    def said(self, rows: Sequence[int]) -> list[str]:
        """The sentences of the rows."""
        return [self.texts[r] for r in rows]

    def name(self, row: int) -> str:
        return self.texts[row]

    def pixels(self, rows: Sequence[int], spec: PixelSpec, view: View = View()) -> Tensor:
        raise BadData("these are captions, not pictures; learn from them with a method that takes texts, such as tai_dpt.")


def singular(word: str) -> str:
    """An English noun without its plural ending, by rule."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) < 4 or not word.endswith("s") or word.endswith(UNCHANGED):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("ches", "shes", "xes", "sses", "oes")) else word[:-1]


def nouns(text: str) -> list[str]:
    """Lower-case words of a text, each in the singular."""
    return [singular(w) for w in WORD.findall(text.lower())]


def mine(captions: Sequence[str], classes: ClassSet, synonyms: Mapping[str, Sequence[str]] | None = None) -> Tensor:
    """Labels [n, C] in {0, 1}: which classes each caption names. ``synonyms``: class → further names.

    Longer names are looked for first and their words are taken out, so that "hot dog" is no dog.
    """
    extra = synonyms or {}
    phrases = [(tuple(nouns(said)), c) for c, (name, clean) in enumerate(zip(classes.names, classes.clean, strict=True))
               for said in (clean, *extra.get(name, ()))]
    by_length: dict[int, dict[tuple[str, ...], list[int]]] = {}
    for words, c in phrases:
        by_length.setdefault(len(words), {}).setdefault(words, []).append(c)
    labels = torch.zeros(len(captions), len(classes), dtype=torch.long)
    for row, caption in enumerate(captions):
        words: list[str | None] = list(nouns(caption))
        for n in sorted(by_length, reverse=True):
            for i in range(len(words) - n + 1):
                found = by_length[n].get(tuple(words[i:i + n])) if n else None
                if found:
                    labels[row, found] = 1
                    words[i:i + n] = [None] * n
    return labels


def corpus(captions: Sequence[str], classes: ClassSet, synonyms: Mapping[str, Sequence[str]] | None = None) -> Split:
    """The captions that name at least one class, with their labels; :class:`BadData` where none does."""
    labels = mine(captions, classes, synonyms)
    keep = labels.any(1).nonzero()[:, 0].tolist()
    if not keep:
        raise BadData(f"none of the {len(captions)} captions names one of the {len(classes)} classes; give captions that mention them.")
    source = Captions([captions[i] for i in keep])
    return Split(source, tuple(range(len(keep))), labels[keep])


def read_captions(path: str | Path) -> tuple[str, ...]:
    """A text file with one caption a line (UTF-8); empty lines are passed over."""
    path = Path(path).expanduser()
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadData(f"{path.name} has more than {MAX_FILE_BYTES >> 20} MB; give a part of it.")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise BadData(f"{path.name} cannot be read ({error.strerror or error}); give a text file with one caption a line.") from None
    except UnicodeDecodeError:
        raise BadData(f"{path.name} is no UTF-8 text; save it as UTF-8 with one caption a line.") from None
    found = tuple(line.strip() for line in lines if line.strip())
    if not found:
        raise BadData(f"{path.name} holds no caption; write one a line.")
    return found


def captions_of(data: DataSet, seed: int = 1) -> tuple[str, ...]:
    """The captions that came with a data set, or those that the world writes for one of its tasks."""
    if data.captions:
        return data.captions
    task = getattr(data.train and data.train.source, "task", None)
    if task is None or not hasattr(task, "style"):
        raise BadData(f"{data.name} came without captions; put a captions.txt with one caption a line into its folder.")
    from promptlab.world.corpus import write

    return tuple(text for text, _ in write(data.classes.names, WORLD_CAPTIONS, seed))


def caption_only(data: DataSet, shots: int | None = None, seed: int = 1) -> tuple[Episode, list[TestSet]]:
    """Learn from captions alone, judge by the test pictures. ``shots``: at most so many captions a class (None or more: all)."""
    if data.kind != "multi":
        raise BadData(f"learning from captions is for multi-label data; {data.name} is {data.kind}.")
    episode, tests = few_shot(data, 1, seed)
    return episode.replace(support=corpus(captions_of(data, seed), data.classes), pool=None, shots=None), tests
