"""Which texts of a class a picture matches: the reasons behind an answer of a method that scores many texts a class."""

from typing import Any

import torch

from promptlab.errors import WrongKind
from promptlab.inspect.evidence import picture
from promptlab.inspect.exhibit import Exhibit, Sanity
from promptlab.inspect.subject import class_index, method_of, one_picture
from promptlab.method import sandbox

MOST = 12  # texts shown of a class


@torch.no_grad()
def texts(subject: Any, image: Any, name: str | int | None = None) -> Exhibit:
    """Cosine of the picture with each text of the answered class, best first, and with those of a rival.

    The rival is the second answer, or the class that was asked for. arrays: ``picture`` [H, W, 3]; one [n] of cosines under each class's
    name, with its texts as labels; ``agreement`` [C], the length of each class's mean text (1: all its texts say the same).
    sanity: mean cosine of the answered class beside the rival's.
    """
    method = method_of(subject)
    if not any(e.as_ == "texts" for e in method.card.exposes):
        raise WrongKind(f"{method.card.name} scores one text a class; vcd, cupl and waffleclip score many.")
    batch, names = one_picture(method, image), method.task.classes.names
    with sandbox(method):
        bank = method.bank()
        out = method.predict(batch, bank)
    found, pred = bank.extra["sentences"], out.pred[0].float().cpu()
    first = int(pred.argmax())
    second = int(pred.argsort(descending=True)[min(1, len(pred) - 1)]) if name is None else class_index(method, name, pred)
    arrays, labels, means = {"picture": picture(method, batch)}, {}, []
    for c in dict.fromkeys((first, second)):
        place = (found.owner == c).nonzero()[:, 0]
        cosine = out.aux["per_text"][0].float()[place]
        order = cosine.argsort(descending=True, stable=True)[:MOST]
        arrays[names[c]] = cosine[order].cpu().numpy()
        labels[names[c]] = tuple(found.texts[int(i)] for i in place[order])
        means.append(float(cosine.mean()))
    arrays["agreement"], labels["class"] = found.means.norm(dim=-1).cpu().numpy(), names
    return Exhibit("texts", f"Texts behind an answer of {method.card.name}", arrays, labels,
                   "A class is scored by all of its texts together; a long bar is a text that this picture matches.",
                   (Sanity("mean cosine of the answered class", means[0], means[-1]),), {"answer": names[first], "rival": names[second]})


EXHIBITS = {"texts": texts}
SHOWS = {"texts": "texts"}
