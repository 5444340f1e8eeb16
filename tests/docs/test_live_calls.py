"""The page of calls as they come, in a real browser; the backend is started as a reader would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browsing import DESK, PHONE, backend
from calls import rung_out
from playwright.sync_api import Browser, expect

from boxis_async.testing import Fault, LoopbackServer, Provider, ServedProvider

if TYPE_CHECKING:
    import subprocess
    from contextlib import AbstractContextManager

    from playwright.sync_api import ViewportSize


pytestmark = [pytest.mark.browser, pytest.mark.subprocess]


def live(
    server: LoopbackServer, provider: Provider
) -> AbstractContextManager[tuple[subprocess.Popen[str], str]]:
    """Start the example; it looks once a second."""
    environment = ServedProvider(server.url, provider).environment
    return backend("live_calls", {**environment, "EVERY": "1"})


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_calls_appear_and_change(browser: Browser, size: ViewportSize) -> None:
    """Calls come without a reload, as text, and a call that was taken after all changes."""
    provider = Provider([rung_out("first", 12), rung_out("<b>bold</b>", 11)])
    complaints: list[str] = []
    with (
        LoopbackServer(provider) as server,
        live(server, provider) as (process, url),
    ):
        page = browser.new_page(viewport=size)
        page.on("pageerror", lambda error: complaints.append(f"{error}"))
        page.goto(url)
        rows = page.get_by_role("listitem")
        expect(page.get_by_role("status")).to_have_text("Live.")
        expect(rows).to_have_count(2)
        expect(rows.nth(0)).to_contain_text("<b>bold</b>")
        expect(rows.nth(1)).to_contain_text("NO ANSWER")
        provider.add(
            rung_out("third", 7),
            rung_out("first", 10, sequence="2", disposition="ANSWERED", dstchannel="SIP/2-1"),
        )
        expect(rows).to_have_count(3)
        expect(rows.nth(0)).to_contain_text("third")
        expect(rows.nth(2)).to_contain_text("talked")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        # A second reader, and one who comes back, get what there is.
        page.reload()
        expect(rows).to_have_count(3)
        process.kill()
        expect(page.get_by_role("status")).to_contain_text("trying again")
        page.close()
    assert complaints == []


def test_an_account_that_is_refused(browser: Browser) -> None:
    """Where the watch has ended, the page says so, and why."""
    provider = Provider(faults=lambda _: Fault.refuse("wrong authcode"))
    with (
        LoopbackServer(provider) as server,
        live(server, provider) as (_, url),
        browser.new_page() as page,
    ):
        page.goto(url)
        expect(page.get_by_role("status")).to_contain_text("Stopped: ")
