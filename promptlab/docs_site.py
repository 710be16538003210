"""Pages of the documentation site that are generated: one a method from its card, tutorials from the notebooks, the API reference.

``docs/hooks.py`` hands them to mkdocs; everything here is text in, text out.
"""

import html
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from promptlab import registry
from promptlab.card import Card, Knob, Train, knobs
from promptlab.docs import found_cards, methods_table, paper_link
from promptlab.errors import PromptlabError

SIZES = {  # what the letters of the docstrings are, by backbone
    "ViT-B/16, 100 classes": {"C": 100, "E": 512, "D": 512, "D_t": 512, "D_v": 768, "L": 77, "M": 196, "H": 224, "W": 224},
    "pocket, 40 classes": {"C": 40, "E": 192, "D": 192, "D_t": 192, "D_v": 192, "L": 77, "M": 64, "H": 64, "W": 64},
}
SHAPE = re.compile(r"(?<![\w.])\[([A-Zhwn3](?:_\w)?(?:, ?(?:[A-Zhwn3](?:_\w)?))*)\]")
REFERENCE = {
    "Start here": ("promptlab.api", "promptlab.project"),
    "Methods": ("promptlab.method", "promptlab.card", "promptlab.registry", "promptlab.create"),
    "Runs and comparisons": ("promptlab.runs", "promptlab.compare", "promptlab.evaluate", "promptlab.metrics", "promptlab.shots"),
    "Data": ("promptlab.data.sources", "promptlab.data.protocols", "promptlab.data.task", "promptlab.data.classes", "promptlab.data.batch"),
    "Fitting": ("promptlab.fit.gradient", "promptlab.fit.context", "promptlab.fit.events", "promptlab.fit.pseudo"),
    "Backbones": ("promptlab.backbones.load", "promptlab.backbones.clip", "promptlab.backbones.points"),
    "Inspection": ("promptlab.inspect", "promptlab.inspect.exhibit", "promptlab.plots"),
    "Widgets": ("promptlab.widgets.trainer", "promptlab.widgets.lens", "promptlab.widgets.compare", "promptlab.widgets.shots",
                "promptlab.widgets.playground", "promptlab.widgets.explorers", "promptlab.widgets.shown"),
    "Course and tests": ("promptlab.course.exercise", "promptlab.testing"), "World": ("promptlab.world", "promptlab.world.tasks"),
}


def slug(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-")


# ---- methods --------------------------------------------------------------------------------------------------------


def method_index() -> str:
    """The table of all methods, each linked to its page."""
    cards, _ = found_cards()
    table = methods_table(cards)
    for c in cards:
        table = table.replace(f"| `{c.id}` {c.name} |", f"| [{c.name}]({c.id}.md) `{c.id}` |")
    return f"# Methods\n\n{len(cards)} methods, each one file. The pages are made from the methods' cards and docstrings.\n\n{table}\n"


def method_page(key: str, root: Path) -> str:
    """Idea, formula with shapes, what trains, where, knobs, pictures, results, source, departures."""
    cls = registry.get(key)
    card, doc = cls.card, inspect.getdoc(inspect.getmodule(cls)) or ""
    title, _, rest = doc.partition("\n")
    parts = [f"# {card.name}", f"*{card.family} · learns from: {card.supervision} · {paper_link(card)}*", _sentence(title)]
    if rest.strip():
        parts += ["```text\n" + rest.strip() + "\n```"]
    parts += [*_shapes(doc), *_trains(card), *_pictures(card, root), *_results(card, root), *_knobs(cls), *_presets(card), *_departs(card)]
    parts += ["## Use", f'```python\nrun = pl.fit("{key}", clip, task)\n```',
              f"```sh\npromptlab fit {key} --data DATA\npromptlab methods {key}\n```"]
    parts += ["## Source", f"Paper: {paper_link(card)}. Public code: {f'`{card.code}`' if card.code else 'none'}; checked against: "
              f"{card.checked}. File: `promptlab/methods/{key}.py`."]
    return "\n\n".join(parts) + "\n"


def _sentence(title: str) -> str:
    name, _, idea = title.partition(": ")
    return f"**{name}**: {idea}" if idea else title


def _shapes(doc: str) -> list[str]:
    """The bracketed shapes of the docstring with the numbers that they have on two backbones."""
    found = [s for s in dict.fromkeys(m.group(1) for m in SHAPE.finditer(doc)) if _sized(s, next(iter(SIZES.values())))]
    if not found:
        return []
    rows = ["| shape | " + " | ".join(SIZES) + " |", "| --- |" + " --- |" * len(SIZES)]
    for shape in found:
        rows.append(f"| `[{shape}]` | " + " | ".join(f"[{_sized(shape, sizes)}]" for sizes in SIZES.values()) + " |")
    left = "Letters without a number (B pictures of a batch, n or N prompts) depend on the call or on a knob."
    return ["## Shapes", "\n".join(rows), left]


def _sized(shape: str, sizes: dict[str, int]) -> str:
    letters = [part.strip() for part in shape.split(",")]
    return ", ".join(str(sizes.get(part, part)) for part in letters) if any(part in sizes for part in letters) else ""


def _trains(card: Card) -> list[str]:
    count = "fixed by the data" if card.params_b16_k100 is None else f"{card.params_b16_k100:,}"
    opened = "any class names" if card.open_vocabulary else "the classes that it was fitted on only"
    rows = [("Difference from zero-shot", card.difference), ("What trains", card.trains),
            ("Numbers trained, ViT-B/16, 100 classes", count),
            ("Answers for", opened), ("Tasks", ", ".join(card.kinds)),
            ("Needs of the backbone", ", ".join(card.needs) or "nothing special"),
            ("Before any step", "equal to zero-shot" if card.identity_at_init else "differs from zero-shot")]
    places = edited(card.id)
    if places:
        rows.append(("Edits inside the towers", ", ".join(f"`{p}`" for p in places)))
    return ["## What trains, and where", "| what | here |\n| --- | --- |\n" + "\n".join(f"| {a} | {_cell(b)} |" for a, b in rows)]


def edited(key: str) -> list[str]:
    """Names of the points that a method edits, as seen on a tiny backbone, layers put together."""
    from promptlab.testing import Subject

    try:
        found = [e.at for e in Subject(registry.get(key)).make().edits()]
    except (PromptlabError, AttributeError, TypeError, ValueError):  # methods whose edits need a batch
        return []
    return sorted({re.sub(r"\.block\.\d+\.", ".block.*.", at) for at in found})


def _pictures(card: Card, root: Path) -> list[str]:
    """Pictures of the gallery that were made with this method."""
    gallery = root / "docs" / "gallery.md"
    text = gallery.read_text(encoding="utf-8") if gallery.is_file() else ""
    found = [m.group(1) for m in re.finditer(rf"^## .* \({card.id}\)\n\n(!\[.*?\]\(.*?\))", text, re.M)]
    shown = [re.sub(r"\]\(\.\./assets/", "](../", picture) for picture in found[:3]]
    return ["## Picture", *shown] if shown else []


def _results(card: Card, root: Path) -> list[str]:
    """Rows about this method in the tables of results.md, each under its table's head."""
    page = root / "docs" / "results.md"
    if not page.is_file():
        return []
    out: list[str] = []
    for heading, table in _tables(page.read_text(encoding="utf-8")):
        rows = [r for r in table[2:] if r.split("|")[1].strip().strip("`") in (card.name, card.id, f"{card.name}-F")]
        if rows:
            out += [f"From [{heading}](../results.md):", "\n".join([*table[:2], *rows])]
    return ["## Results", *out] if out else []


def _tables(text: str) -> Iterator[tuple[str, list[str]]]:
    """(heading above it, lines) of every Markdown table."""
    heading, table = "", []
    for line in [*text.split("\n"), ""]:
        if line.startswith("|"):
            table.append(line)
            continue
        if len(table) > 2:
            yield heading, table
        table = []
        heading = line.lstrip("# ").replace("`", "") if line.startswith("#") else heading


def _knobs(cls: Any) -> list[str]:
    own = {n: k for n, k in knobs(cls.Hyper).items() if n not in knobs(Train) or k.default != knobs(Train)[n].default}
    if not own:
        return []
    rows = [f"| `{n}` | {_value(k.default)} | {_range(k)} | {'yes' if k.live else ''} | {_cell(k.help)} |" for n, k in own.items()]
    head = "| knob | default | allowed | live | what it is |\n| --- | --- | --- | --- | --- |\n"
    about = "Its own, and training knobs whose default differs from CoOp's. A *live* knob may change after the fit."
    return ["## Knobs", about, head + "\n".join(rows)]


def _range(k: Knob) -> str:
    if k.choices:
        return ", ".join(f"`{c}`" for c in k.choices)
    span = f"{k.low:g} to {k.high:g}" if k.low is not None and k.high is not None else ""
    return f"{span}{' or none' if k.optional else ''}".strip() or k.type.__name__


def _value(value: Any) -> str:
    return "none" if value is None else f"`{_cell(value)}`"


def _presets(card: Card) -> list[str]:
    rows = [f"- `{name}`: " + ", ".join(f"{k}={v}" for k, v in values.items()) for name, values in card.presets.items()]
    return ["## Presets", "\n".join(rows)] if rows else []


def _departs(card: Card) -> list[str]:
    claims = [f"- {c.data}, {c.shots or 'all'} shots, {c.backbone}: {c.metric} {c.value} ({c.where})" for c in card.claims]
    out = ["## Numbers of the paper", "\n".join(claims)] if claims else []
    return out + (["## Differences from the public code", "\n".join(f"- {d}" for d in card.departs)] if card.departs else [])


def _cell(text: Any) -> str:
    return html.escape(str(text), quote=False).replace("|", "\\|").replace("\n", " ")


# ---- reference and tutorials ----------------------------------------------------------------------------------------


def reference_pages() -> dict[str, str]:
    """Page → Markdown for mkdocstrings, one page a topic."""
    return {f"reference/{slug(title)}.md": f"# {title}\n\n" + "\n\n".join(f"::: {m}" for m in modules) + "\n"
            for title, modules in REFERENCE.items()}


def tutorial(notebook: Any, name: str) -> tuple[str, dict[str, str]]:
    """A notebook as Markdown, and its outputs by the key of the place that holds them (they are put in after Markdown is done)."""
    parts, outputs = [], {}
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.source.strip():
            parts.append(f"```python\n{cell.source}\n```")
            shown = "".join(_output(o) for o in cell.get("outputs", ()))
            if shown:
                key = f"{name}-{i}"
                outputs[key] = shown
                parts.append(f'<div class="nb-output" id="{key}"></div>')
    if "seconds" in notebook.metadata and notebook.metadata["seconds"]:
        took = f"{notebook.metadata['seconds']:.0f} s"
        parts.append(f"*This page is the executed notebook `{name}`; on the machine that built it, it took {took}.*")
    return "\n\n".join(parts) + "\n", outputs


def _output(o: Any) -> str:
    if o.output_type == "stream":
        return f"<pre>{html.escape(o.text)}</pre>" if o.name == "stdout" else ""
    data = o.get("data", {})
    if "text/html" in data:
        return f"<div>{data['text/html']}</div>"
    if "image/png" in data:
        return f'<img src="data:image/png;base64,{data["image/png"].strip()}" alt="output"/>'
    return f"<pre>{html.escape(data['text/plain'])}</pre>" if "text/plain" in data else ""


def pages(root: Path) -> dict[str, str]:
    """All generated pages but the tutorials: path below docs → Markdown."""
    found = {"methods/index.md": method_index()}
    found |= {f"methods/{c.id}.md": method_page(c.id, root) for c in found_cards()[0]}
    found |= reference_pages()
    for name in ("ARCHITECTURE", "CONTRIBUTING", "CHANGELOG"):
        found[f"{name.lower()}.md"] = (root / f"{name}.md").read_text(encoding="utf-8")
    return found


def navigation(tutorials: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """The generated parts of the navigation: tutorials (title, page), methods by family, reference."""
    cards, _ = found_cards()
    families: dict[str, list[dict[str, str]]] = {}
    for c in cards:
        families.setdefault(c.family, []).append({c.name: f"methods/{c.id}.md"})
    listed: list[Any] = [{"All": "methods/index.md"}, *({family.capitalize(): entries} for family, entries in families.items())]
    return [{"Course": [{title: page} for title, page in tutorials]}, {"Methods": listed},
            {"Reference": [{title: f"reference/{slug(title)}.md"} for title in REFERENCE]}]
