"""Pages of the documentation site: one a card with all its parts; the site builds without a warning and asks no other host."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from promptlab import docs_site, registry

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def pages():
    return docs_site.pages(ROOT)


@pytest.mark.parametrize("key", registry.ids())
def test_every_method_has_its_page(key, pages):
    page, card = pages[f"methods/{key}.md"], registry.card(key)
    assert page.startswith(f"# {card.name}\n") and card.family in page and "## What trains, and where" in page and "## Use" in page
    assert card.trains.replace("|", "\\|") in page or "&" in page
    assert all(d in page for d in card.departs) and all(f"`{preset}`" in page for preset in card.presets)
    assert f"({key}.md)" in pages["methods/index.md"]


def test_shapes_are_given_in_numbers(pages):
    page = pages["methods/plot.md"]
    assert "| `[M, N]` | [196, N] | [64, N] |" in page and "| `[B, C]` | [B, 100] | [B, 40] |" in page
    assert docs_site._sized("n, D", {"D": 512}) == "n, 512" and docs_site._sized("n, k", {"D": 512}) == ""


def test_results_are_taken_from_the_results_page(pages):
    text = "## Top\n\n| method | base |\n|---|---|\n| CoOp | 1.0 |\n| other | 2.0 |\n"
    assert list(docs_site._tables(text)) == [("Top", ["| method | base |", "|---|---|", "| CoOp | 1.0 |", "| other | 2.0 |"])]
    rows = [line for line in (ROOT / "docs" / "results.md").read_text(encoding="utf-8").split("\n") if line.startswith("| CoOp |")]
    assert all(row in pages["methods/coop.md"] for row in rows)


def test_reference_names_modules_that_exist(pages):
    import importlib

    for module in re.findall(r"^::: (\S+)", "\n".join(pages.values()), re.M):
        assert importlib.import_module(module).__doc__


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_asks_nobody(tmp_path):
    pytest.importorskip("mkdocs", reason="needs the docs extra")
    pytest.importorskip("mkdocstrings", reason="needs the docs extra")
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")], cwd=ROOT,
                          env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr[-3000:]
    built = list((tmp_path / "site").rglob("*.html"))
    assert len(built) > 12 + len(registry.ids())
    for page in built:
        text = page.read_text(encoding="utf-8")
        asked = re.findall(r'<(?:script|link|img|iframe)[^>]*?(?:src|href)="(https?://[^"]+)"', text)
        assert not asked, f"{page.name} loads {asked[:3]}"
    shutil.rmtree(tmp_path / "site")
