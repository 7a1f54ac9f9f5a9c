"""The user guide in Chromium, opened from the folder it was built into: it can be searched there, and nothing of it
leaves the page or is too pale."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import Browser, browser

ROOT = Path(__file__).resolve().parents[2]
AUDIT = (ROOT / "tests" / "audit.js").read_text("utf-8")
#: The theme's own: tables that scroll stand in a wrapper wider than the text, and the page's title is cut in the bar.
THEME = ("leaves its box: <article>", "leaves its box: <div>", "leaves its box: <span>", "is clipped: <span>")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("material", "mkdocs", "mkdocstrings_handlers.python"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("guide") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=600)
    return folder


@pytest.fixture(scope="module")
def chromium(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser") / "profile") as started:
        yield started


def test_it_can_be_searched_from_a_folder(site: Path, chromium: Browser) -> None:
    page = chromium.open(site / "index.html")
    page.run(
        "(() => { const field = document.querySelector('.md-search__input'); field.focus(); field.value = 'Poisson';"
        "field.dispatchEvent(new KeyboardEvent('keyup', {bubbles: true})); })()"
    )
    found = "document.querySelectorAll('.md-search-result__item').length"
    wait = f"(function again() {{ return {found} || new Promise(go => setTimeout(go, 20)).then(again); }})()"
    assert page.run(wait) >= 3
    assert page.complaints() == []


@pytest.mark.parametrize("name", ["index", "choose", "gallery", "tested", "report"])
def test_nothing_leaves_the_page(name: str, site: Path, chromium: Browser) -> None:
    found = []
    for width in (1280, 768, 390):
        page = chromium.open(site / f"{name}.html", width=width)
        found += [f"{width}: {line}" for line in page.run(AUDIT) if not line.startswith(THEME)]
    assert found == []
