"""The page: the frame around six numbered screens, and what happens when it is opened."""

import asyncio
from collections.abc import Callable
from typing import Any

import gradio as gr

from promptlab.ui.handlers import compare, frame, keep, share, shots, train, zero
from promptlab.ui.handlers import inspect as look
from promptlab.ui.handlers.views import Up
from promptlab.ui.screens import api
from promptlab.ui.screens import compare as compare_screen
from promptlab.ui.screens import frame as frame_screen
from promptlab.ui.screens import inspect as inspect_screen
from promptlab.ui.screens import learn as learn_screen
from promptlab.ui.screens import share as share_screen
from promptlab.ui.screens import shots as shots_screen
from promptlab.ui.screens import train as train_screen
from promptlab.ui.screens import zero as zero_screen
from promptlab.ui.screens.wire import EVERY, Page
from promptlab.ui.session import SESSIONS, Session

SCREENS = (
    ("shots", "1 Shots", shots_screen, shots.show),
    ("zero", "2 Zero-shot", zero_screen, zero.enter),
    ("train", "3 Train", train_screen, train.enter),
    ("compare", "4 Compare", compare_screen, compare.show),
    ("inspect", "5 Inspect", inspect_screen, look.show),
    ("share", "6 Try and share", share_screen, share.show),
)
FOLD = (
    "() => { if (window.innerWidth < 769) document.querySelector('#side.open .toggle-button')?.click(); }"  # a phone shows the page first
)
WIDE = "(token) => [token, window.innerWidth]"
TICK = 0.4  # seconds between two looks at a running fit


def build_app(start: Callable[[Session], None] | None = None) -> gr.Blocks:
    """All components, wired. ``start``: called with every new session."""
    page = Page()
    with gr.Blocks(title="promptlab", fill_width=True, analytics_enabled=False, delete_cache=(600, 7200)) as app:
        page.token = gr.BrowserState(None, storage_key="promptlab-session", secret="promptlab")  # noqa: S106 - no secret: it only scrambles
        page["kept"] = gr.BrowserState(None, storage_key="promptlab-settings", secret="promptlab")  # noqa: S106 - likewise
        page["pulse"], page["mark"] = gr.Timer(TICK, active=False), gr.State(None)  # looks at running fits; what the last look saw
        page["wide"] = gr.Number(visible=False)  # px of the window; only its script knows
        page["ready"] = gr.State(False)  # a page selects its first tab by itself; only what a visitor selects later counts
        frame_screen.build(page)
        learn_screen.build(page)
        with gr.Column(elem_id="main"):
            page["tabs"] = gr.Tabs(selected="shots", elem_id="screens")
            with page["tabs"]:
                for key, title, screen, _ in SCREENS:
                    with gr.Tab(title, id=key, elem_id=f"tab-{key}", render_children=True) as tab:
                        page[f"tab_{key}"] = tab
                        screen.build(page)
            frame_screen.foot(page)
        _wire(page, app, start)
        api.add()
    return app


def _wire(page: Page, app: gr.Blocks, start: Callable[[Session], None] | None) -> None:
    for key, _, screen, show in SCREENS:
        page.on(page[f"tab_{key}"].select, _shown(key, show), [page["ready"]], [*screen.OUTPUTS])
        screen.wire(page)
    frame_screen.wire(page)
    learn_screen.wire(page)
    everything = [n for n in page.c if not n.startswith("tab_")]
    opened = app.load(
        _enter(page, start),
        [page.token, page["kept"]],
        [page.token, *(page[n] for n in everything)],
        show_progress="hidden",
        api_visibility="private",
        concurrency_limit=None,
    )
    page.on(opened.then, frame.wide, [page["wide"]], (), js=WIDE, queue=False)
    watch(page, opened.then)
    _follow(page)
    app.load(None, js=FOLD)


def _shown(key: str, show: Any) -> Any:
    def shown(session: Session, _: bool) -> dict[str, Any]:
        session.view["screen"] = key
        return show(session)

    shown.only_if = bool  # a page selects a tab of its own before it has asked for its session
    return shown


def _enter(page: Page, start: Callable[[Session], None] | None = None) -> Any:
    """A page is opened: a new token for a new browser; everything as it was for one that is known."""

    def enter(token: Any, kept: Any) -> dict[Any, Any]:
        from promptlab.errors import PromptlabError

        fresh = not SESSIONS.known(token)
        token = SESSIONS.new() if token is None else token
        try:
            with SESSIONS.using(token, back=True) as session:
                if fresh and session.returned:
                    keep.restore(session, kept)
                if fresh and start is not None:
                    start(session)
                view = {"tabs": Up(selected=session.view.get("screen", "shots")), **frame.settings(session)}
                view |= page.safely(session, shots.show)
                if session.data is not None:
                    for part in (zero.show, train.show, compare.show, look.show, share.show):
                        view |= page.safely(session, part)
                view |= frame.show(session)
        except PromptlabError as error:
            token = SESSIONS.new() if "session" in str(error) else token
            view = {"status": frame.error(str(error))}
        view |= {"ready": True, "sample": Up(interactive=True), "own": Up(interactive=True)}  # from now on a press has a session
        return {page.token: token, **page.update(view)}

    return enter


def watch(page: Page, after: Any) -> None:
    """Follow the session's fits until none is left; any tab of the same browser may do so."""
    after(lambda: gr.Timer(active=True), None, page["pulse"], show_progress="hidden", api_visibility="private", queue=False)


def _follow(page: Page) -> None:
    """One look a tick. Not a generator: gradio sends those as differences, and a browser that misses one is lost."""
    names = [*dict.fromkeys(["pulse", "mark", "curves", "progress", "train_done", "stop", "go_train", *EVERY, *compare_screen.OUTPUTS])]

    async def look(token: Any, last: Any) -> dict[Any, Any]:
        # the session's lock may be held for seconds: never wait for it on the server's own thread
        view, mark, going = await asyncio.to_thread(_look, token, last)
        return page.update({**view, "mark": mark, **({} if going else {"pulse": Up(active=False)})})

    outputs = [page[n] for n in names]
    options = {"show_progress": "hidden", "api_visibility": "private", "queue": False, "trigger_mode": "once"}
    page["pulse"].tick(look, [page.token, page["mark"]], outputs, **options)


def _look(token: Any, last: Any) -> tuple[dict[str, Any], Any, bool]:
    """What is new in a session's fits since ``last``, and whether there will be more."""
    if not SESSIONS.known(token):
        return {}, None, False
    with SESSIONS.using(token) as session:
        if session.open:
            mark = [(x.id, session.jobs.job(x.id).live.done, session.jobs.job(x.id).live.phase) for x in session.open]
            return ({**train.live(session), **frame.show(session)} if mark != last else {}), mark, True
        train.learned(session)
        view = frame.show(session)
        if session.data is not None:
            view |= {**train.live(session), "go_train": train.label(session)}
            view |= compare.show(session) if session.view.get("screen") == "compare" else {}
        return view, None, False
