"""Asking a language model for descriptions: any endpoint that speaks OpenAI's chat format, and only when somebody asks for it.

``POST {url}/chat/completions`` with {"model", "messages", "temperature", "max_tokens"}; the texts of "choices" are parsed into a store
(:mod:`promptlab.data.descriptions`). Standard library only. A key is sent as a bearer token and is never written anywhere.
"""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from promptlab.data.descriptions import KINDS, Descriptions, read, write
from promptlab.errors import BadData

QUESTIONS = {
    "descriptors": ("List the visual features by which one tells a {} from other things in a photo. One feature a line, each line starting "
                    "with '- ', each a short phrase that completes 'a {}, which has ...'. No other text.",),
    "sentences": ("Describe in one sentence what a {} looks like. Name it in the sentence.",
                  "In one sentence, how can one identify a {} in a photo? Name it in the sentence.",
                  "Write a one-sentence caption of a photo of a {}. Name it in the sentence."),
}
TRIES, AGAIN = 3, (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Endpoint:
    """``url``: up to and without "/chat/completions", such as "http://localhost:8000/v1"; ``samples``: answers to each question."""

    url: str
    model: str
    key: str | None = None
    temperature: float = 0.7
    max_tokens: int = 200
    samples: int = 1
    seconds: float = 60.0
    pause: float = 1.0

    def __post_init__(self) -> None:
        if not re.match(r"https?://[^/\s]+", self.url):
            raise BadData(f"an endpoint is an address that starts with http:// or https://; got {self.url!r}.")

    @property
    def address(self) -> str:
        base = self.url.rstrip("/")
        return base if base.endswith("/chat/completions") else f"{base}/chat/completions"

    def ask(self, question: str) -> str:
        """The model's answer to one question; :class:`BadData` in one sentence if there is none."""
        body = {"model": self.model, "messages": [{"role": "user", "content": question}], "temperature": self.temperature,
                "max_tokens": self.max_tokens}
        head = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        request = urllib.request.Request(self.address, json.dumps(body).encode(), head)
        for left in reversed(range(TRIES)):
            try:
                with urllib.request.urlopen(request, timeout=self.seconds) as answer:
                    return _content(answer.read(), self.address)
            except urllib.error.HTTPError as error:
                if error.code not in AGAIN or not left:
                    raise BadData(f"{self.address} answered {error.code} ({error.reason}) to model {self.model!r}; "
                                  f"check the address, the model's name and the key.") from None
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                if not left:
                    why = getattr(error, "reason", error)
                    raise BadData(f"{self.address} cannot be reached ({why}); is the server running?") from None
            time.sleep(self.pause)
        raise AssertionError("unreachable")


def _content(raw: bytes, address: str) -> str:
    try:
        return str(json.loads(raw)["choices"][0]["message"]["content"])
    except (ValueError, KeyError, IndexError, TypeError):
        raise BadData(f"{address} answered, but not in the format of chat completions; it starts with {raw[:60]!r}.") from None


def listed(answer: str) -> list[str]:
    """The items of a list, one a line: "- x", "* x", "1. x"; short lines without a mark count too when no line has one."""
    lines = [line.strip() for line in answer.splitlines() if line.strip()]
    marked = [m[1] for line in lines if (m := re.match(r"(?:[-*•]|\d+[.)])\s+(.+)", line))]
    return [item.strip().rstrip(".;,") for item in marked or [line for line in lines if len(line) < 80]]


def first_sentence(answer: str) -> str:
    """Up to the first full stop, on one line, with that stop."""
    text = " ".join(answer.split()).strip("\"'“” ")
    found = re.match(r".+?[.!?](?=\s|$)", text)
    return (found[0] if found else f"{text}.") if text else ""


def describe(names: Sequence[str], endpoint: Endpoint, *, kinds: Sequence[str] = KINDS, path: Path | str | None = None,
             start: Descriptions | None = None) -> Iterator[tuple[str, Descriptions]]:
    """(class, the store so far) after each class. With ``path`` the file is written each time, and classes that it already describes are
    left alone, so that a run that was cut short goes on."""
    if odd := [k for k in kinds if k not in KINDS]:
        raise BadData(f"descriptions are {' or '.join(KINDS)}; got {odd[0]!r}.")
    if path is not None and Path(path).is_file():
        start = read(path)
    store = start or Descriptions()
    store = replace(store, about={**store.about, **_about(endpoint, kinds)})
    for name in names:
        todo = [k for k, known in zip(kinds, (store.of([name], k)[0] for k in kinds), strict=True) if not known]
        for kind in todo:
            store = replace(store, **{kind: {**getattr(store, kind), name: tuple(_answers(endpoint, kind, name))}})
        if todo and path is not None:
            write(path, store)
        yield name, store


def _answers(endpoint: Endpoint, kind: str, name: str) -> list[str]:
    said = name.replace("_", " ")
    answers = [endpoint.ask(q.replace("{}", said)) for q in QUESTIONS[kind] for _ in range(endpoint.samples)]
    texts = [t for a in answers for t in (listed(a) if kind == "descriptors" else [first_sentence(a)]) if t]
    if not texts:
        raise BadData(f"{endpoint.model!r} gave no {kind} for '{name}'; it said {answers[0][:60]!r}.")
    return list(dict.fromkeys(texts))


def _about(endpoint: Endpoint, kinds: Sequence[str]) -> dict[str, Any]:
    """Where the texts come from; the key is not among it."""
    where = re.sub("//[^/]*@", "//", endpoint.url)  # without a name and password in the address
    return {"written_by": "a language model", "model": endpoint.model, "endpoint": where, "temperature": endpoint.temperature,
            "samples": endpoint.samples, "questions": {k: list(QUESTIONS[k]) for k in kinds}, "date": date.today().isoformat()}
