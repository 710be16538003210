"""A JupyterLab in a headless browser: Trainer trains, stops and keeps; Lens shows; two of them on a page do not disturb each other."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (the browser extra)")
pytest.importorskip("jupyterlab", reason="needs jupyterlab (the notebook extra)")
pytestmark = [pytest.mark.browser, pytest.mark.slow,
              pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH (Debian: apt-get install chromium)")]

CELLS = [
    "import promptlab as pl\nfrom promptlab.widgets import AttentionExplorer, Lens, PromptPlayground, Trainer, TransportExplorer\n"
    'clip, task = pl.load("pocket", device="cpu"), pl.open_data("world:vehicles@night", shots=2)',
    'trainer = Trainer(clip, task, hyper={"steps": 20})\ntrainer',
    'other = Trainer(clip, task, "taskres", hyper={"steps": 20})\nother',
    'run = pl.fit("coop", clip, task, preset="demo", steps=5, progress=False)\nlens = Lens(run, task)\nlens',
    'plot = pl.fit("plot", clip, task, preset="demo", steps=3, progress=False)\nTransportExplorer(plot, task)',
    "AttentionExplorer(run, task)",
    "PromptPlayground(clip, task, [run])",
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a running JupyterLab with one notebook."""
    folder = tmp_path_factory.mktemp("lab")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(notebook, folder / "widgets.ipynb")
    port = free_port()
    options = [f"--port={port}", "--ip=127.0.0.1", "--no-browser", "--allow-root", "--IdentityProvider.token=", "--ServerApp.password=",
               "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=", "--LabApp.check_for_updates_class="
               "jupyterlab.NeverCheckForUpdate", f"--ServerApp.root_dir={folder}"]
    home = {k: str(folder / "home") for k in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    with open(folder / "lab.log", "w", encoding="utf-8") as log:
        server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], cwd=folder, stdout=log, stderr=log,
                                  env={**os.environ, **home})
    address = f"http://127.0.0.1:{port}"
    until = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"{address}/api/status", timeout=2)
            break
        except OSError:
            assert server.poll() is None and time.monotonic() < until, (folder / "lab.log").read_text(encoding="utf-8")[-2000:]
            time.sleep(0.5)
    yield address
    server.terminate()
    server.wait(30)


@pytest.fixture(scope="module")
def page(lab):
    """The notebook with all its cells run."""
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1300, "height": 2600})
        page.set_default_timeout(150_000)
        outside = []
        own = (lab, lab.replace("http", "ws"), "data:", "blob:")
        page.on("request", lambda r: None if r.url.startswith(own) else outside.append(r.url))
        page.goto(f"{lab}/lab/tree/widgets.ipynb")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        page.wait_for_function("window.jupyterapp !== undefined")
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # else Lab asks which kernel to take
        page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")
        page.get_by_text("Accuracy on").wait_for()  # the last cell has run
        page.outside = outside
        yield page
        browser.close()


def shot(page, name):
    """A screenshot where PROMPTLAB_SHOTS says so, to be looked at."""
    if folder := os.environ.get("PROMPTLAB_SHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def cell(page, i):
    return page.locator(".jp-Notebook .jp-CodeCell").nth(i)


def test_the_trainer_trains_in_the_background(page):
    cell(page, 1).get_by_role("button", name="Train").click()
    cell(page, 1).get_by_text("CoOp: accuracy").wait_for()
    assert cell(page, 1).locator("svg[aria-label='learning curves'] polyline").count() >= 2
    assert cell(page, 2).get_by_text("No training yet.").count() == 1, "the other trainer on the page is untouched"
    shot(page, "trainer")


def test_stop_keeps_the_best_so_far(page):
    box = cell(page, 1).get_by_text("Knobs")
    box.click()
    steps = cell(page, 1).get_by_label("steps", exact=True)
    steps.fill("100000")
    steps.press("Enter")
    cell(page, 1).get_by_role("button", name="Train").click()
    cell(page, 1).get_by_text("Training: step").wait_for()
    cell(page, 1).get_by_role("button", name="Stop").click()
    cell(page, 1).get_by_text("Stopped; the best so far is kept.").wait_for()
    shot(page, "stopped")


def test_the_second_trainer_works_beside_the_first(page):
    cell(page, 2).get_by_role("button", name="Train").click()
    cell(page, 2).get_by_text("TaskRes: accuracy").wait_for()


def test_the_lens_slides_and_changes_its_exhibit(page):
    lens = cell(page, 3)
    wipe = lens.locator(".pl-wipe input[type=range]")
    wipe.fill("80")
    assert lens.locator(".pl-wipe").evaluate("e => e.style.getPropertyValue('--wipe')") == "80%"
    shot(page, "lens")
    before = lens.locator(".pl-wipe img").first.get_attribute("src")
    lens.locator(".pl-scene [data-pick]").nth(3).click()
    page.wait_for_function("([e, old]) => document.querySelector('.pl-wipe img').src !== old", arg=[None, before])
    lens.locator("select").first.select_option("words")
    lens.locator(".pl-scene img[alt*='Words nearest']").wait_for()
    lens.locator("select").first.select_option("transport")
    lens.get_by_role("alert").get_by_text("nothing to transport").wait_for()
    shot(page, "lens_words")


def test_pointing_at_a_region_shows_its_row(page):
    transport = cell(page, 4)
    transport.locator("svg [data-hover='0/17']").hover()
    transport.get_by_text("region in row 3, column 2").wait_for()
    attention = cell(page, 5)
    attention.locator("svg [data-hover='20']").hover()
    attention.locator("small", has_text="what patch 20 attends to").wait_for()
    attention.locator("svg [data-pick='2,4']").click()
    attention.get_by_text("Layer 3, head 5: what").wait_for()
    shot(page, "explorers")


def test_typing_a_template_scores_it(page):
    box = cell(page, 6).get_by_label("Templates")
    box.fill("a drawing of a {}.\n{}")
    cell(page, 6).locator("svg text", has_text="a drawing of a {}.").wait_for()
    box.fill("no place")
    cell(page, 6).get_by_role("alert").get_by_text("exactly once").wait_for()
    shot(page, "playground")


def test_nothing_is_asked_of_another_host(page):
    assert not page.outside
