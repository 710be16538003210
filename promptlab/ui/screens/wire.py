"""From components to handlers and back: the session of the token, errors as sentences, views as component updates."""

import logging
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from promptlab.errors import PromptlabError
from promptlab.ui import says, script
from promptlab.ui.handlers import frame, keep
from promptlab.ui.handlers.views import Up
from promptlab.ui.session import SESSIONS, Session

LOG = logging.getLogger("promptlab")
EVERY = ("runs", "status", "bug", "bug_box", "kept")  # what every answer brings up to date


class Page:
    """The components by name, and the token that every event carries."""

    def __init__(self) -> None:
        self.c: dict[str, Any] = {}
        self.token: Any = None

    def __getitem__(self, name: str) -> Any:
        return self.c[name]

    def __setitem__(self, name: str, component: Any) -> None:
        self.c[name] = component

    def actions(self, name: str, value: str = "", **options: Any) -> Any:
        """HTML whose buttons tell the server what was pressed."""
        self.c[name] = gr.HTML(value, js_on_load=script.ACTIONS, elem_id=name, **options)
        return self.c[name]

    def chart(self, name: str, label: str, **options: Any) -> Any:
        """A plotly figure that is clickable and, where its drag mode says so, has a lasso."""
        self.c[name] = gr.HTML(None, html_template=script.CHART_TEMPLATE, js_on_load=script.CHART, elem_id=name, label=label,
                               elem_classes="pl-chartbox", **options)
        return self.c[name]

    def on(self, listener: Callable[..., Any], fn: Callable[..., Any], inputs: Sequence[Any] = (), outputs: Iterable[str] = (),
           **options: Any) -> Any:
        """Wire ``fn(session, *values)`` (or ``fn(session, data)`` for a press inside HTML, ``event=True``) to an event."""
        event = options.pop("event", False)
        names = list(dict.fromkeys([*outputs, *EVERY]))
        call = self._pressed(fn, names) if event else self._called(fn, names)
        options = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": 8, "trigger_mode": "multiple", **options}
        return listener(call, [self.token, *inputs], [self.c[n] for n in names], **options)

    def _called(self, fn: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
        def handler(token: Any, *values: Any) -> dict[Any, Any]:
            return self.answer(token, fn, names, *values)

        return handler

    def _pressed(self, fn: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
        def handler(token: Any, event: gr.EventData, *values: Any) -> dict[Any, Any]:
            data = event._data if isinstance(event._data, dict) else {}
            return self.answer(token, fn, names, data, *values)

        return handler

    def answer(self, token: Any, fn: Callable[..., Any], names: Iterable[str], *values: Any) -> dict[Any, Any]:
        """Call a handler; what it does not know how to say becomes a report that can be copied. ``fn.only_if(value)``: whether to."""
        if not getattr(fn, "only_if", lambda *_: True)(*values):
            return gr.skip()
        try:
            with SESSIONS.using(token) as session:
                view = self.safely(session, fn, *values)
                if not getattr(fn, "quiet", False):  # a late answer of what the page does by itself must not hide a newer error
                    view = {**view, **frame.show(session), **keep.changes(session)}
        except PromptlabError as error:
            view = {"status": frame.error(str(error))}
        return self.update({k: v for k, v in view.items() if k in set(names)})

    def safely(self, session: Session, fn: Callable[..., Any], *values: Any) -> dict[str, Any]:
        """What ``fn`` shows; an error is kept for the status line, and nothing else of the page is lost by it."""
        what = getattr(fn, "__name__", "the page")
        try:
            view = fn(session, *values) or {}
            if view and not getattr(fn, "quiet", False) and session.over(what):
                session.failed = ""  # what a visitor did went well; what the page does by itself leaves the last error standing
            return view
        except PromptlabError as error:
            session.fail(str(error), what)
            return {}
        except Exception as error:  # noqa: BLE001 - a page must never show a traceback; the log has it
            LOG.error("error in %s\n%s", what, traceback.format_exc())
            session.fail(says.BUG.format(what=what.replace("_", " ")), what)
            return {"bug": frame.report(session, what, error), "bug_box": Up(visible=True)}

    def update(self, view: dict[str, Any]) -> Any:
        """Plain values and properties as gradio wants them; nothing to change is not an empty dictionary for it."""
        return gr.skip() if not view else {self.c[k]: gr.update(**v) if isinstance(v, Up) else v for k, v in view.items() if k in self.c}


def uploaded(session: Session, path: Any, roots: Sequence[Path]) -> Path | None:
    """The path of a file that this server has received; None for anything else that a request may name."""
    found = Path(str(path))
    if found.is_symlink() or not found.is_file() or not any(found.resolve().is_relative_to(r.resolve()) for r in roots):
        return None
    session.uploads.add(found.resolve())
    return found


