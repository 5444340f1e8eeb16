"""A real browser, and the examples that serve a page, each in a process of its own.

Nothing here is asynchronous: Playwright's plain interface has an event loop of its own, in the
thread of the tests.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from typing import IO, TYPE_CHECKING

import pytest
from examples import EXAMPLES, ROOT
from playwright.sync_api import Browser, ViewportSize, expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PHONE, DESK = ViewportSize(width=390, height=844), ViewportSize(width=1280, height=800)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Be the Chromium of this machine; none is ever downloaded."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"the page goes untested: none of {', '.join(BROWSERS)} is on the PATH")
        pytest.skip(f"none of {', '.join(BROWSERS)} is on the PATH")
    # No test waits for time to pass; a busy machine may need some.
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def backend(
    example: str, environment: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start an example that serves a page in a process of its own, and give its address."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{example}.py")],
        env={**os.environ, **environment, "PORT": "0", "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process:
        try:
            yield process, address(process.stderr)
        finally:
            process.terminate()
            # To its end: a full pipe would keep the process from ending.
            process.stderr.read()


def address(log: IO[str]) -> str:
    """Read where a server listens from what it says of itself."""
    said: list[str] = []
    for line in log:
        said.append(line)
        if found := re.search(r"running on (http://127\.0\.0\.1:\d+)", line):
            return found[1]
    pytest.fail("".join(said))
