"""Small pieces of HTML. Whatever a person typed or named passes through :func:`t`, so it is shown and never read as HTML."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from promptlab.plots.curves import BASELINE, colour


def t(text: Any) -> str:
    """Any value as text for HTML, attributes included."""
    return html.escape(str(text), quote=True)


def act(
    label: str, name: str, *, kind: str = "", title: str = "", pressed: bool | None = None, off: str = "", raw: bool = False, **data: Any
) -> str:
    """A button that tells the server ``name`` and ``data``. ``off``: why it cannot be pressed."""
    values = "".join(f' data-{k}="{t(v)}"' for k, v in data.items())
    state = "" if pressed is None else f' aria-pressed="{"true" if pressed else "false"}"'
    dead = f' disabled title="{t(off)}"' if off else f' title="{t(title)}"' if title else ""
    name_ = f' aria-label="{t(title)}"' if title else ""
    return (
        f'<button type="button" class="pl-b {kind}" data-act="{t(name)}"{values}{state}{dead}{name_}>{label if raw else t(label)}</button>'
    )


def word_said(word: str) -> str:
    """A token of the vocabulary as it can be read; one that is only a part of a letter is told as such."""
    return word.strip() if word.isprintable() and chr(0xFFFD) not in word else "(part of a letter)"


def error(sentence: str) -> str:
    return f"<div class='pl-error' role='alert'>{t(sentence)}</div>"


def note(sentence: str) -> str:
    return f"<p class='pl-note'>{t(sentence)}</p>"


def empty(sentence: str, *buttons: str) -> str:
    """An empty state: a sentence and one action."""
    return f"<div class='pl-empty'><p>{t(sentence)}</p>{''.join(buttons)}</div>"


def listed(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{t(line)}</li>" for line in lines)
    return f"<ul class='pl-list'>{items}</ul>" if items else ""


def table(columns: Sequence[Any], rows: Sequence[Sequence[str]], *, caption: str = "", label: str = "") -> str:
    """Cells are HTML already: pass text through :func:`t`."""
    head = "".join(f"<th scope='col'>{c}</th>" for c in columns)
    body = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
    above = f"<caption>{t(caption)}</caption>" if caption else ""
    named = f' aria-label="{t(label)}"' if label else ""
    return f"<div class='pl-table' tabindex='0'><table{named}>{above}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def chip(index: int | None) -> str:
    """A dot in a run's colour; None: zero-shot."""
    return f"<span class='pl-chip' style='background:{BASELINE if index is None else colour(index)}'></span>"


def grid(pictures: Sequence[Mapping[str, Any]], label: str) -> str:
    """Pictures as buttons: ``src``, ``index``, ``name``, ``mark`` ("right", "wrong" or ""), ``said`` (under the picture)."""
    out = []
    for p in pictures:
        mark = {"right": "<span class='pl-ok'>✓</span>", "wrong": "<span class='pl-no'>✗</span>"}.get(p.get("mark", ""), "")
        body = f"<img src='{p['src']}' alt=''><span class='pl-cap'>{mark}{t(p.get('said', ''))}</span>"
        out.append(
            act(
                body,
                "picture",
                kind="pl-pic",
                title=f"{p.get('said', '')} {p.get('mark', '')}. Look at picture {p['index']}".strip(),
                raw=True,
                index=p["index"],
            )
        )
    return f"<div class='pl-grid' role='group' aria-label='{t(label)}'>{''.join(out)}</div>"


def bar(share: float) -> str:
    """A progress bar without a number of its own."""
    return f"<progress max='1' value='{min(max(share, 0), 1):.3f}'></progress>"


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}"


def points(value: float) -> str:
    """A difference in percentage points with its sign."""
    return f"{100 * value:+.1f}"
