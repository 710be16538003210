"""Parts of the documents that are generated, so that they cannot go stale: run ``python -m promptlab.docs`` after a card changes."""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from promptlab import registry
from promptlab.card import FAMILIES, Card
from promptlab.errors import BadData

LINKS = (("arXiv:", "https://arxiv.org/abs/"), ("doi:", "https://doi.org/"))


def found_cards() -> tuple[list[Card], dict[str, str]]:
    """The cards of all methods that load, by family, then year, then id; and why each of the others does not."""
    cards, broken = [], {}
    for key in registry.ids():
        try:
            cards.append(registry.card(key))
        except Exception as error:  # noqa: BLE001 - a method of another package may fail in any way; it must not take the others along
            broken[key] = f"{type(error).__name__}: {error}"
    return sorted(cards, key=lambda c: (FAMILIES.index(c.family), c.year, c.id)), broken


def paper_link(card: Card) -> str:
    """Name, venue and year of the method, linked to its paper where the card gives an identifier."""
    text = f"{card.venue} {card.year}"
    for prefix, url in LINKS:
        if card.paper.startswith(prefix):
            return f"[{text}]({url}{card.paper[len(prefix):]})"
    return f"[{text}]({card.paper})" if card.paper.startswith("http") else text


def methods_table(cards: Iterable[Card]) -> str:
    """Markdown table of the methods, one row a card."""
    head = ("method", "paper", "family", "learns from", "difference from zero-shot", "trainable (ViT-B/16, 100 classes)")
    rows = [head, tuple("---" for _ in head)]
    for c in cards:
        count = "fixed by the data" if c.params_b16_k100 is None else f"{c.params_b16_k100:,}"
        rows.append((f"`{c.id}` {c.name}", paper_link(c), c.family, c.supervision, c.difference, count))
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def between(text: str, name: str) -> str:
    """What stands between the markers ``<!-- name:begin -->`` and ``<!-- name:end -->``."""
    found = re.search(rf"<!-- {name}:begin -->\n(.*?)\n?<!-- {name}:end -->", text, re.S)
    if not found:
        raise BadData(f"no markers '<!-- {name}:begin -->' and '<!-- {name}:end -->' were found; put them where the text belongs.")
    return found.group(1)


def replace_between(text: str, name: str, new: str) -> str:
    """The text with what stands between the markers replaced."""
    between(text, name)
    begin, end = f"<!-- {name}:begin -->\n", f"\n<!-- {name}:end -->"
    return re.sub(rf"<!-- {name}:begin -->\n.*?\n?<!-- {name}:end -->", lambda _: begin + new + end, text, flags=re.S)


def render(readme: str) -> str:
    """README with its generated parts made new."""
    return replace_between(readme, "methods", methods_table(found_cards()[0]))


def main(argv: list[str]) -> int:
    """Rewrite the README given (default: the one in the current folder)."""
    path = Path(argv[0] if argv else "README.md")
    path.write_text(render(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
