"""The pytest plugin, in test sessions of its own."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import pytest
from paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = ["pytester"]

PLUGIN = "pytest_boxis_async"


class RunPytest(Protocol):
    """Runs pytest, with the plugin, on the text of a test module."""

    def __call__(self, source: str, *arguments: str, apart: bool = False) -> pytest.RunResult: ...


@pytest.fixture
def run_pytest(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> RunPytest:
    """Run a module in this process or another, with this plugin and those that the test names."""
    # Named, not found: it works the same whether the project is installed or not.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini("[pytest]\nfilterwarnings = error\nmarkers =\n  asyncio\n  anyio\n")

    def run(source: str, *arguments: str, apart: bool = False) -> pytest.RunResult:
        pytester.makepyfile(source)
        method: Callable[..., pytest.RunResult] = (
            pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess
        )
        return method("-p", PLUGIN, "-p", "no:cacheprovider", *arguments)

    return run


ASYNCHRONOUS = """
    from datetime import date

    import pytest


    @pytest.mark.anyio
    @pytest.mark.asyncio
    async def test_calls(boxis_client, boxis_provider):
        boxis_provider.add({"uniqueid": "1", "start": "2026-10-01 10:00:00"})
        calls = await boxis_client.cdrs(date(2026, 10, 1), date(2026, 10, 2)).to_list()
        assert [cdr.uniqueid for cdr in calls] == ["1"]


    @pytest.fixture
    def anyio_backend():
        return "asyncio"
"""

SYNCHRONOUS = """
    import asyncio
    from datetime import date


    def test_calls(boxis_client, boxis_provider):
        boxis_provider.add({"uniqueid": "1", "start": "2026-10-01 10:00:00"})
        fetch = boxis_client.cdrs(date(2026, 10, 1), date(2026, 10, 2)).to_list
        assert len(asyncio.run(fetch())) == 1
"""


ASYNCIO = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function")


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        pytest.param(ASYNCHRONOUS, [*ASYNCIO, "--asyncio-mode=auto"], id="auto"),
        pytest.param(ASYNCHRONOUS, [*ASYNCIO, "--asyncio-mode=strict"], id="strict"),
        pytest.param(ASYNCHRONOUS, ["-p", "anyio"], id="anyio"),
        pytest.param(SYNCHRONOUS, [], id="alone"),
    ],
)
def test_with_any_asynchronous_plugin(
    run_pytest: RunPytest, source: str, arguments: list[str]
) -> None:
    """The fixtures serve pytest-asyncio in both modes, anyio's plugin, and no plugin at all."""
    run_pytest(source, *arguments).assert_outcomes(passed=1)


def test_faults_are_set_where_they_are_needed(run_pytest: RunPytest) -> None:
    """Faults and latency can be set at any time, and no retry waits."""
    run_pytest(
        """
        import asyncio
        from datetime import date

        from boxis_async.testing import Fault


        def test_faults(boxis_client, boxis_provider):
            async def retries():
                calls = boxis_client.cdrs(date(2026, 10, 1), date(2026, 10, 2))
                await calls.to_list()
                return calls.stats.retries

            async def main():
                boxis_provider.faults = [Fault.status(503, retry_after=3600), Fault.cut()]
                boxis_provider.latency = lambda: 0.001
                assert await retries() == 2
                boxis_provider.faults = lambda request: Fault.html() if request.number < 5 else None
                assert await retries() == 1
                assert len(boxis_provider.requests) == 5

            asyncio.run(main())
        """
    ).assert_outcomes(passed=1)


def test_no_client_waits(run_pytest: RunPytest) -> None:
    """A client that a program makes itself does not wait either, and tries as often as it would."""
    run_pytest(
        """
        import asyncio
        import time
        from datetime import date

        import pytest
        import stamina

        from boxis_async import BoxisClient, RetryPolicy, WindowError
        from boxis_async.testing import Fault

        def test_an_outage(boxis_provider):
            boxis_provider.faults = lambda _: Fault.status(503, retry_after=3600)

            async def program():
                async with (
                    boxis_provider.client() as http_client,
                    BoxisClient(
                        boxis_provider.username,
                        boxis_provider.api_key,
                        tenant=boxis_provider.tenant,
                        http_client=http_client,
                        retry=RetryPolicy(attempts=4, wait_max=3600),
                    ) as client,
                ):
                    await client.cdrs(date(2026, 10, 1), date(2026, 10, 2)).to_list()

            with pytest.raises(WindowError, match="after 4 attempts"):
                asyncio.run(program())

        def test_afterwards():
            assert not stamina.is_testing()
        """,
        "--timeout=30",
        "-p",
        "pytest_timeout",
    ).assert_outcomes(passed=2)


SERVED = """
    import asyncio
    import os
    import threading

    import httpx
    import pytest

    from boxis_async import BoxisClient

    urls = set()


    async def fetch():
        async with BoxisClient() as client:
            return len(await client.cdrs().to_list())


    @pytest.mark.parametrize("rows", [1, 2])
    def test_program(rows, boxis_provider, boxis_server):
        for number in range(rows):
            boxis_provider.add({"uniqueid": f"{number}", "start": "2026-10-01 10:00:00"})
        assert asyncio.run(fetch()) == rows
        assert boxis_server.provider is boxis_provider
        assert os.environ["BOXIS_BASE_URL"] == boxis_server.url
        urls.add(boxis_server.url)


    def test_afterwards():
        assert [name for name in os.environ if name.startswith("BOXIS_")] == []
        assert sum(thread.name == "boxis-loopback" for thread in threading.enumerate()) == SERVERS
        assert len(urls) == 2
        assert len({httpx.URL(url).port for url in urls}) == 1
        assert {httpx.post(url).status_code for url in urls} == {404}
"""


@pytest.mark.subprocess
def test_served(run_pytest: RunPytest) -> None:
    """A program finds its provider in the environment; tests share a server, not a provider."""
    done = run_pytest(SERVED.replace("SERVERS", "1"), apart=True)
    done.assert_outcomes(passed=3)


@pytest.mark.slow
@pytest.mark.subprocess
def test_on_several_workers(run_pytest: RunPytest) -> None:
    """Each worker of pytest-xdist has a server of its own."""
    source = """
        import httpx
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_served(boxis_server, number):
            assert httpx.post(boxis_server.url).json()["result"] == "0"
            assert len(boxis_server.provider.requests) == 1
    """
    run_pytest(source, "-p", "xdist", "-n", "2", apart=True).assert_outcomes(passed=4)


def test_without_a_server(run_pytest: RunPytest) -> None:
    """Without uvicorn only the server is missing, and the error says which extra to install."""
    done = run_pytest(
        """
        import sys

        import pytest

        @pytest.fixture(scope="session", autouse=True)
        def _not_installed():
            with pytest.MonkeyPatch.context() as patch:
                patch.setitem(sys.modules, "uvicorn", None)
                yield

        def test_in_process(boxis_client):
            pass

        def test_over_http(boxis_server):
            pass
        """
    )
    done.assert_outcomes(passed=1, errors=1)
    done.stdout.fnmatch_lines(["E *install `boxis-async[[]testing]`"])


@pytest.mark.subprocess
def test_a_stream_that_is_left(run_pytest: RunPytest) -> None:
    """A test that leaves a stream open, and its client, ends without a warning."""
    source = """
        import asyncio
        import gc
        from datetime import date, timedelta

        kept = []

        def test_left(boxis_client, boxis_provider):
            boxis_provider.add({"uniqueid": "1", "start": "2026-10-01 10:00:00"})

            async def first():
                hours = timedelta(hours=1)
                calls = boxis_client.cdrs(date(2026, 10, 1), date(2026, 11, 1), window=hours)
                kept.append(calls)
                async for cdr in calls:
                    return cdr.uniqueid

            assert asyncio.run(first()) == "1"

        def test_afterwards():
            kept.clear()
            gc.collect()
    """
    done = run_pytest(source, apart=True)
    done.assert_outcomes(passed=2)
    assert done.stderr.str() == ""


@pytest.mark.subprocess
def test_it_costs_nothing_unasked(run_pytest: RunPytest) -> None:
    """Tests that do not use the plugin load neither the library nor its dependencies."""
    source = """
        import sys

        def test_loaded():
            names = {name.partition(".")[0] for name in sys.modules}
            assert "pytest_boxis_async" in names
            assert not names & {"boxis_async", "attrs", "cattrs", "httpx", "stamina", "uvicorn"}
    """
    done = run_pytest(source, apart=True)
    done.assert_outcomes(passed=1)


def test_it_says_what_it_offers(run_pytest: RunPytest) -> None:
    """`pytest --fixtures` lists each fixture with a line that says what it is for."""
    done = run_pytest("", "--fixtures")
    listed = done.stdout.str().partition(f"fixtures defined from {PLUGIN}")[2].splitlines()
    descriptions = {
        line.split()[0]: following.strip()
        for line, following in pairwise(listed)
        if line.startswith("boxis_")
    }
    assert set(descriptions) == {"boxis_client", "boxis_provider", "boxis_server"}
    assert all(line.endswith(".") for line in descriptions.values())
