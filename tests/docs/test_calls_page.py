"""The page of the web backend, in a real browser; the backend is started as a reader would.

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
from datetime import date
from typing import IO, TYPE_CHECKING

import pytest
from calls import call
from examples import EXAMPLES, ROOT
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright
from waiting import Gate

from boxis_async.testing import Fault, LoopbackServer, Provider, ServedProvider, generate_calls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from boxis_async.testing import Received

pytestmark = [pytest.mark.browser, pytest.mark.subprocess]

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PHONE, DESK = ViewportSize(width=390, height=844), ViewportSize(width=1280, height=800)
NASTY = call(
    "2026-10-14 23:50:00",
    clid='"<b onclick=alert(1)>=SUM(A1)</b> and a name that goes on and on" <0041445550199>',
    src="0041445550199",
    userfield="[inbound]",
    billsec="3723",
    linkedid="nasty",
)
ROWS = [*generate_calls(date(2026, 10, 1), date(2026, 10, 15), calls_per_day=6, seed=5), NASTY]


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
def backend(environment: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the backend in a process of its own, and give its address."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(EXAMPLES / "web_backend.py")],
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


@pytest.fixture(scope="module")
def provider() -> Provider:
    """Hold the calls of a fortnight."""
    return Provider(ROWS)


@pytest.fixture(scope="module")
def url(provider: Provider) -> Iterator[str]:
    """Serve the page, and behind it the provider."""
    with (
        LoopbackServer(provider) as server,
        backend(ServedProvider(server.url, provider).environment) as (_, url),
    ):
        yield url


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def size(request: pytest.FixtureRequest) -> ViewportSize:
    """Be the size of a window."""
    return request.param


@pytest.fixture
def page(browser: Browser, provider: Provider, url: str, size: ViewportSize) -> Iterator[Page]:
    """Open the page; whatever it complains of fails the test."""
    complaints: list[str] = []
    page = browser.new_page(viewport=size)
    page.on("pageerror", lambda error: complaints.append(f"{error}"))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.goto(url)
    yield page
    page.close()
    provider.gate = None
    provider.faults = []
    assert complaints == []


def ask(page: Page, first: str, last: str) -> None:
    page.get_by_label("From").fill(first)
    page.get_by_label("To").fill(last)
    page.get_by_role("button", name="Show").click()


def shown(page: Page) -> list[list[str]]:
    """Read the rows of the table, each as the texts of its cells."""
    script = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    found: list[list[str]] = page.locator("tbody tr").evaluate_all(script)
    return found


def expected(row: Mapping[str, str | None]) -> list[str]:
    """Tell what the page is to show of a provider's row."""
    direction = str(row["userfield"]).strip("[]")
    # The generator writes the same number into `src`, and that is where some `clid` have none.
    number, name = str(row["src"]), ""
    if direction != "inbound":
        number = str(row["dst"])
    elif clid := re.match(r'"(.*)"(?: |$)|"(.*)', str(row["clid"])):
        name = re.sub(r"\\(.)", r"\1", clid[1] or clid[2] or "").strip()
    seconds = int(row["billsec"] or 0)
    return [
        str(row["start"]),
        {"inbound": "↘ ", "outbound": "↗ ", "local": "↔ "}[direction] + direction,
        number + name,
        f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}",
        str(row["disposition"]),
    ]


def fits(page: Page) -> bool:
    """Tell whether the page can be read without scrolling sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_the_calls_are_shown(page: Page) -> None:
    """The page shows the provider's rows, each of them, in order, as text, and how many."""
    ask(page, "2026-10-01", "2026-10-14")
    rows = [row for row in ROWS if str(row["start"]) < "2026-10-15"]
    rows.sort(key=lambda row: (str(row["start"]), int(str(row["sequence"]))))
    calls = len({row["linkedid"] for row in rows})
    expect(page.get_by_role("status")).to_have_text(f"Done: {calls} calls in {len(rows)} legs.")
    assert shown(page) == [expected(row) for row in rows]
    assert any("1:02:03" in row for row in shown(page))
    assert page.locator("tbody b").count() == 0
    expect(page.get_by_role("alert")).to_be_hidden()
    assert fits(page)


def test_the_calls_are_shown_as_they_arrive(page: Page, provider: Provider) -> None:
    """What is there is shown while more is awaited, and whoever stops it is told that it ended."""
    gate = Gate(lambda received: str(received.dateto) > "2026-10-02 00:00:00")
    provider.gate = gate
    ask(page, "2026-10-01", "2026-10-14")
    expect(page.get_by_role("status")).to_contain_text("So far")
    first_day = [row for row in ROWS if str(row["start"]) < "2026-10-02"]
    assert len(shown(page)) == len(first_day)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status")).to_contain_text("Stopped after")
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    gate.open()
    ask(page, "2026-10-01", "2026-10-01")
    expect(page.get_by_role("status")).to_contain_text(f"in {len(first_day)} legs.")


def test_a_failure_is_shown(page: Page, provider: Provider) -> None:
    """Where the provider fails, the page says that the list broke off, where, and why."""

    def fifth_day(received: Received) -> Fault | None:
        broken = str(received.dateto) > "2026-10-05 00:00:00"
        return Fault.refuse("out of <b>order</b>") if broken else None

    provider.faults = fifth_day
    ask(page, "2026-10-01", "2026-10-14")
    expect(page.get_by_role("alert")).to_contain_text("out of <b>order</b>")
    expect(page.get_by_role("alert")).to_contain_text("2026-10-04 23:59:59")
    expect(page.get_by_role("status")).to_contain_text("Failed after")
    assert len(shown(page)) == len([row for row in ROWS if str(row["start"]) < "2026-10-05"])
    assert fits(page)


@pytest.mark.parametrize("size", [PHONE], ids=["phone"])
def test_a_range_that_makes_no_sense_is_told(page: Page) -> None:
    """A range that the backend refuses is told in its words."""
    ask(page, "2026-10-14", "2026-10-01")
    expect(page.get_by_role("alert")).to_contain_text("'to' must lie 1 to 92 days after 'from'")
    assert fits(page)


@pytest.mark.parametrize("size", [PHONE], ids=["phone"])
def test_a_day_without_calls(page: Page) -> None:
    """No calls are told as such."""
    ask(page, "2026-09-01", "2026-09-01")
    expect(page.get_by_role("status")).to_have_text("Done: no calls.")
    expect(page.get_by_role("table")).to_be_hidden()


def test_a_backend_that_dies(browser: Browser) -> None:
    """Where the connection breaks, the page says that its list is not complete."""
    gate = Gate(lambda received: str(received.dateto) > "2026-10-02 00:00:00")
    provider = Provider(ROWS, gate=gate)
    with (
        LoopbackServer(provider) as server,
        backend(ServedProvider(server.url, provider).environment) as (process, url),
        browser.new_page() as page,
    ):
        page.goto(url)
        ask(page, "2026-10-01", "2026-10-14")
        expect(page.get_by_role("status")).to_contain_text("So far")
        process.kill()
        expect(page.get_by_role("status")).to_contain_text("not complete")
        expect(page.get_by_role("alert")).to_be_visible()
