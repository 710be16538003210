"""The Learn drawer: a page for every screen, and a card for every method, read from its declaration."""

import inspect as _source
from typing import Any

from promptlab import registry
from promptlab.docs import LINKS
from promptlab.ui import controls, core
from promptlab.ui.handlers.views import Up, View
from promptlab.ui.pieces import listed, note, t, table
from promptlab.ui.session import Session
from promptlab.ui.sketch import sketch

PAGES = {
    "How to read this page": (
        "A CLIP model puts pictures and sentences into one space. A picture gets the class whose sentence lies nearest. Nothing "
        "is trained for that: it is called zero-shot. Every method here changes something small (words, pixels, features) and "
        "leaves the model as it is. Shots are the few pictures that a method learns from; held-out pictures are never shown to it "
        "and judge it."
    ),
    "1 Shots": (
        "Give each class 2 or more pictures, better 8. Half of them are set aside before anything is trained. The shot doctor "
        "names what usually goes wrong: a class with far fewer pictures, the same picture in two classes, a label that zero-shot "
        "doubts strongly."
    ),
    "2 Zero-shot": (
        "Change the sentence and watch the accuracy: 'a photo of a {}' and an average of 80 sentences differ by a few points. The "
        "matrix shows the cosine of every picture with every name; a wrong answer is a brighter cell off the true class. In the "
        "playground you may type any names: what is not in the list cannot be answered."
    ),
    "3 Train": (
        "Text prompts learn vectors in place of words; visual prompts learn pixels or tokens of the picture; adapters learn on "
        "top of the features; training-free methods only look your shots up. The left curve should fall. When the right one falls "
        "while the left one goes on falling, the method learns the shots by heart."
    ),
    "4 Compare": (
        "One seed is one draw of shots and of starting values. Run three: a gain smaller than the spread of the dots is luck. The "
        "new-class check asks whether the method still works for names that it was not trained on, where many learned prompts "
        "fall below zero-shot."
    ),
    "5 Inspect": (
        "Evidence marks patches that speak for a class; trust it only if deleting them hurts more than deleting those of a random "
        "prompt. Nearest words of learned vectors look meaningful more often than they are: those inside the grey band are no "
        "nearer to a word than chance. On the map, arrows show where the class texts went."
    ),
    "6 Try and share": (
        "Try pictures that are unlike your shots: another background, another light. A method that only learned the shots shows "
        "it here. The exported classifier is a table of text features: no training code is needed to use it."
    ),
}


def menu() -> tuple[list[str], list[tuple[str, str]]]:
    """Pages, and (what the menu says, method id)."""
    return list(PAGES), [(f"{c.name} · {c.venue} {c.year}", c.id) for c in controls.cards()]


def page(session: Session, name: str) -> View:
    return {"learn": f"<h3>{t(name)}</h3><p>{t(PAGES.get(name, ''))}</p>"}


def show(session: Session, key: str) -> View:
    """The card of a method, in the open drawer."""
    if key not in registry.ids():
        return {}
    return {"learn": card(session, key), "learn_method": Up(value=key), "drawer": Up(open=True)}


def card(session: Session, key: str) -> str:
    """Name, drawing, formula, sizes, paper, what it needs and gives up."""
    cls = registry.get(key)
    c, clip = cls.card, core.backbone(session)
    names = session.data.names if session.data is not None else ("cat", "dog")
    count = controls.trainable(c, clip, names)
    paper = next(
        (
            f"<a href='{url}{t(c.paper[len(p) :])}' rel='noopener' target='_blank'>{t(c.paper)}</a>"
            for p, url in LINKS
            if c.paper.startswith(p)
        ),
        t(c.paper),
    )
    opens = "answers for new class names too" if c.open_vocabulary else "answers only for the classes that it was trained on"
    facts = [
        ("family", t(c.family)),
        ("learns from", t(c.supervision)),
        ("trains", t(c.trains)),
        ("trainable here", count),
        ("at ViT-B/16, 100 classes", "by the data" if c.params_b16_k100 is None else f"{c.params_b16_k100:,}"),
        ("new names", opens),
        ("needs", t(", ".join(c.needs) or "nothing special")),
        ("paper", f"{t(c.venue)} {c.year}, {paper}"),
        ("public code", t(c.code)),
    ]
    formula = _source.getdoc(_source.getmodule(cls)) or ""
    why = controls.lacks(c, clip, "single", 1)
    departs = "<h4>Where it departs from the public code</h4>" + listed(c.departs) if c.departs else ""
    return (
        f"<h3>{sketch(c.family)} {t(c.name)}</h3><p>{t(c.difference)}.</p>{note(why) if why else ''}{table(['', ''], facts)}"
        f"<h4>Idea and formula</h4><pre class='pl-doc'>{t(formula)}</pre>{departs}"
    )


def facts(key: str) -> dict[str, Any]:
    """A card as plain data, for the API."""
    c = registry.card(key)
    return {
        "id": c.id,
        "name": c.name,
        "year": c.year,
        "venue": c.venue,
        "family": c.family,
        "supervision": c.supervision,
        "difference": c.difference,
        "trains": c.trains,
        "needs": list(c.needs),
        "open_vocabulary": c.open_vocabulary,
    }
