"""What the tests of the app share: a session over a tiny backbone, a served page, a browser."""

import shutil

import numpy as np
import pytest
from PIL import Image

from promptlab.backbones.tiny import tiny_backbone
from promptlab.ui import core
from promptlab.ui.handlers import shots
from promptlab.ui.session import SESSIONS, Sessions

CHROMIUM = next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)
FAST = {"steps": 4, "batch": 8}


def picture(path, value, size=40):
    """A file with a picture of noise that only ``value`` decides."""
    rng = np.random.default_rng(value)
    Image.fromarray(rng.integers(0, 255, (size, size, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def tiny(monkeypatch):
    """A tiny backbone in place of pocket, few test pictures."""
    clip = tiny_backbone()
    monkeypatch.setattr(core, "load_backbone", lambda name, device: clip)
    monkeypatch.setattr(core, "MOST_TESTS", 24)
    return clip


@pytest.fixture
def sessions(tmp_path):
    made = Sessions(tmp_path)
    yield made
    made.clear()


@pytest.fixture
def session(sessions, tiny):
    """An empty session."""
    return sessions.get(sessions.new())


@pytest.fixture
def ready(session):
    """A session with a sample pack, one shot a class."""
    shots.sample(session, "Vehicles, blurry", 1)
    return session


@pytest.fixture(scope="package")
def served():
    """The address of a page that runs in this process, on pocket."""
    from promptlab.ui import build_app, launch

    app = build_app()
    _, url, _ = launch(app, port=None, wait=False, quiet=True)
    yield url
    SESSIONS.clear()
    app.close()


@pytest.fixture(scope="package")
def chromium():
    """A headless browser; skipped with the reason where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'promptlab-vlm[test]'")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
