"""The built pages in a browser: they fit a phone, their code can be copied, their search finds."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from browsing import DESK, PHONE
from paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = [
    *(pytest.mark.slow, pytest.mark.subprocess, pytest.mark.browser),
    pytest.mark.timeout(300),  # on a busy machine the build takes a minute
]

SEARCHED = ("Excel", "502", "429", "OpenTelemetry", "uvloop", "pydantic", "cron", "PostgreSQL")
WIDE = """
blocks => blocks.filter(block => {
  const code = block.querySelector("pre");
  return code.scrollWidth > code.clientWidth;
}).map(block => getComputedStyle(block, "::after").content)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the pages."""
    out = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-q", str(ROOT / "docs"), str(out)]
    subprocess.run([*command, "-d", str(out / ".doctrees")], check=True, cwd=ROOT)
    return out


def test_code_fits_a_phone_or_says_that_it_scrolls(built: Path, browser: Browser) -> None:
    """On 390 pixels no page is wider than the screen, and code that is says so."""
    page = browser.new_page(viewport=PHONE)
    wide = 0
    for name in ("index", "web-backend", "command-line", "reference-client"):
        page.goto((built / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], name
        said = page.eval_on_selector_all("div.highlight", WIDE)
        assert set(said) <= {'"scrolls →"'}, name
        wide += len(said)
    assert wide > 0
    page.close()


def test_code_fits_a_desk(built: Path, browser: Browser) -> None:
    """Beside a desk, code that fits says nothing."""
    page = browser.new_page(viewport=DESK)
    page.goto((built / "index.html").as_uri())
    assert page.eval_on_selector_all("div.highlight", WIDE) == []
    assert page.locator("div.highlight.scrolls").count() == 0
    page.close()


def test_code_can_be_copied(built: Path, browser: Browser) -> None:
    """Each block of code has a button that copies it, and what was printed has none."""
    page = browser.new_page(viewport=DESK)
    page.goto((built / "first-steps.html").as_uri())
    blocks = page.locator("div.highlight-python, div.highlight-sh")
    assert blocks.count() > 3
    assert page.locator("button.copybtn").count() == blocks.count()
    assert page.locator("div.highlight-text button.copybtn").count() == 0
    page.close()


def test_the_search_finds(built: Path, browser: Browser) -> None:
    """A reader finds a page by the word that they have in mind."""
    page = browser.new_page(viewport=DESK)
    for word in SEARCHED:
        page.goto(f"{(built / 'search.html').as_uri()}?q={word}")
        page.locator("#search-results ul.search li").first.wait_for()
    page.close()
