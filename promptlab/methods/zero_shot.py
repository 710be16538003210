"""Zero-shot CLIP: the frozen backbone's own answer, with one template or the mean of many.

t_c = unit(mean_k unit(T(template_k(name_c)))) [E], pred = scale · v̂ · t_c. Nothing is learned.
Source: Radford et al. 2021, arXiv:2103.00020 (section 3.1.4, prompt ensembling); ``KaiyangZhou/CoOp: trainers/zsclip.py``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from promptlab.card import Card, Train, knob
from promptlab.data.classes import ClassSet
from promptlab.data.task import Episode
from promptlab.data.templates import SETS, template_set
from promptlab.errors import BadHyper
from promptlab.fit.events import Note
from promptlab.method import Bank, Method


@dataclass(frozen=True)
class Hyper(Train):
    templates: str = knob("dataset", choices=SETS, live=True, help="sentences around the name; several are averaged")
    template: str | None = knob(None, live=True, help="one sentence of your own with {} for the name, instead of a list")


class ZeroShot(Method):
    card = Card(
        id="zero_shot", name="Zero-shot CLIP", year=2021, venue="ICML", paper="arXiv:2103.00020", code="openai/CLIP",
        family="text prompt", supervision="training-free", difference="none: the frozen backbone with hand-written sentences",
        trains="nothing", kinds=("single", "multi"), needs=(), identity_at_init=True,
        presets={"demo": {}, "ensemble": {"templates": "ensemble7"}},
        departs=("the public ensemble trainer grows its template list every time it is built (7, 8, 9, ...); ours does not",),
    )
    Hyper = Hyper

    def classes(self, names: ClassSet) -> Bank:
        own = self.hyper.template
        if own is not None and own.count("{}") != 1:
            raise BadHyper(f"template of zero_shot must hold the name's place {{}} exactly once; got {own!r}.")
        return Bank(names, self.plain(names, (own,) if own else template_set(self.hyper.templates, names)))

    def fit(self, episode: Episode, ctx: Any) -> Iterator[Any]:
        yield Note("zero-shot needs no training: the sentences around the class names are all there is.")
