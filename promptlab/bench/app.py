"""``promptlab bench app``: how long a visitor waits. A page of its own is served and driven by a headless browser.

*first paint*: from the request to the first contentful paint, the server being up; *ready*: until the first button can be pressed;
*bars*: from the last key of a new class name to the new bars (encodings cached); *first point*: from Train to the first point of the
curve; *trained*: until the CoOp of the demo preset is judged. All on pocket, medians over ``repeats``.
"""

import shutil
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

from promptlab.errors import BadData

WAIT = 180_000  # ms
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def measure(repeats: int = 3) -> dict[str, float]:
    """Seconds by name."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise BadData("promptlab bench app needs playwright; run pip install playwright.") from None
    path = next((p for name in BROWSERS if (p := shutil.which(name))), None)
    if path is None:
        raise BadData("promptlab bench app needs a chromium; run apt-get install chromium.")
    from promptlab.ui import build_app, launch
    from promptlab.ui.session import SESSIONS

    app = build_app()
    _, url, _ = launch(app, port=None, wait=False, quiet=True)
    _settled()
    try:
        with sync_playwright() as p:
            browser = p.chromium.launch(executable_path=path, args=["--no-sandbox"])
            rows = [_visit(browser, url) for _ in range(repeats)]
            browser.close()
    finally:
        SESSIONS.clear()
        app.close()
    return {k: statistics.median(r[k] for r in rows) for k in rows[0]}


def _settled() -> None:
    """The backbone is loaded beside the page; wait for it, so that it is not measured with the paint."""
    for thread in threading.enumerate():
        if thread.name == "promptlab-warm":
            thread.join()


def _visit(browser: Any, url: str) -> dict[str, float]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(WAIT)
    found: dict[str, float] = {}

    def timed(name: str, do: Callable[[], Any]) -> None:
        start = time.perf_counter()
        do()
        found[name] = time.perf_counter() - start

    timed("ready", lambda: (page.goto(url), page.locator("#sample:not([disabled])").wait_for()))
    found = {"first paint": page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"), **found}
    page.locator("#sample").click()
    page.get_by_text("held out to judge by").first.wait_for()
    _bars(page, timed)
    page.locator("#tab-train-button").click()
    page.locator("#go_train:not([disabled])").wait_for()
    page.wait_for_timeout(1500)  # whoever reads the cards presses later than the page has come to rest
    start = time.perf_counter()
    page.locator("#go_train").click()
    page.locator("#curves .trace").first.wait_for()
    found["first point"] = time.perf_counter() - start
    page.locator("#train_done").get_by_text("vs zero-shot").wait_for()
    found["trained"] = time.perf_counter() - start
    context.close()
    return found


def _bars(page: Any, timed: Callable[[str, Callable[[], Any]], None]) -> None:
    """Type one more class name and wait until its bar is there."""
    page.locator("#tab-zero-button").click()
    page.locator("#zero_bars .ytick").first.wait_for()
    box = page.locator("#names textarea")
    box.fill("cat, dog, fox")
    page.locator("#zero_bars .ytick").get_by_text("dog").first.wait_for()
    page.wait_for_timeout(1500)
    box.press("End")
    box.press_sequentially(", zebr")
    page.wait_for_timeout(1500)
    box.press("a")
    timed("bars", lambda: page.locator("#zero_bars .ytick").get_by_text("zebra", exact=False).first.wait_for())
