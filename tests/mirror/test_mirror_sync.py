"""A mirror is filled, kept in step, and read back as it was handed over."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from calls import DAY, HOUR, NEXT_DAY, call, hourly
from mirrors import check_whole, select, statements

from boxis_async import UsageError, Window
from boxis_async.mirror import Mirror, MirrorMismatchError
from boxis_async.testing import Provider, generate_calls

if TYPE_CHECKING:
    from conftest import MakeClient

    from boxis_async import BoxisClient

FROM, TO = date(2026, 1, 5), date(2026, 1, 8)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str | None]]:
    """Give three days of realistic calls."""
    return generate_calls(FROM, TO, calls_per_day=60, seed=5)


@pytest.mark.both_loops
async def test_it_holds_what_the_stream_hands_over(
    database: str, rows: list[dict[str, str | None]], make_client: MakeClient
) -> None:
    """Each leg is there once, as an equal value, and the calls that they make."""
    client = make_client(Provider(rows))
    async with Mirror(database) as mirror:
        synced = await mirror.sync(client, FROM, TO)
        await check_whole(mirror, client, FROM, TO)
    assert synced.new == len(select(database, "SELECT 1 FROM legs"))
    assert (synced.changed, synced.unchanged, synced.gone) == (0, 0, 0)
    assert synced.complete == (Window(*(DAY.replace(2026, 1, day) for day in (5, 8))),)
    assert synced.young == ()


async def test_a_second_sync_asks_for_nothing_and_writes_no_leg(
    database: str, client: BoxisClient
) -> None:
    """What is complete is not fetched again, until a recheck is due."""
    async with Mirror(database) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
        made = statements(mirror)
        synced = await mirror.sync(client, DAY, NEXT_DAY)
    assert (synced.new, synced.changed, synced.unchanged, synced.requests) == (0, 0, 0, 0)
    assert [one for one in made if one.startswith(("INSERT INTO legs", "UPDATE legs"))] == []


async def test_a_recheck_of_what_did_not_change_writes_no_leg(
    database: str, provider: Provider, client: BoxisClient
) -> None:
    """All comes again, and the database finds that nothing changed."""
    async with Mirror(database) as mirror:
        await mirror.sync(client, DAY, NEXT_DAY)
        before = select(database, "SELECT * FROM legs ORDER BY leg")
        made = statements(mirror)
        synced = await mirror.sync(client, DAY, NEXT_DAY, recheck=DAY)
    assert (synced.new, synced.changed, synced.unchanged, synced.gone) == (0, 0, 24, 0)
    assert synced.tenants[0].rechecked == Window(DAY, NEXT_DAY)
    assert synced.requests > 0
    assert select(database, "SELECT * FROM legs ORDER BY leg") == before
    assert [one for one in made if one.startswith(("INSERT INTO legs", "UPDATE legs"))] == []
    assert len(provider.requests) > 0


async def test_only_what_is_missing_is_fetched(
    database: str, provider: Provider, client: BoxisClient
) -> None:
    """A range that grows is fetched where it grew, on both sides."""
    async with Mirror(database) as mirror:
        await mirror.sync(client, DAY + 6 * HOUR, DAY + 12 * HOUR)
        provider.reset()
        synced = await mirror.sync(client, DAY, NEXT_DAY)
        for received in provider.requests:
            start, end = received.datefrom, received.dateto
            assert start is not None
            assert end is not None
            # No more than the second that windows share.
            assert end <= f"{DAY + 6 * HOUR + timedelta(seconds=1)}" or start >= (
                f"{DAY + 12 * HOUR - timedelta(seconds=1)}"
            )
        assert synced.new == 18
        await check_whole(mirror, client, DAY, NEXT_DAY)


async def test_several_tenants(database: str, make_client: MakeClient) -> None:
    """Each tenant has legs of its own; a read says which is meant."""
    provider = Provider(hourly(), tenants={"OTHER": hourly()[:3]})
    async with Mirror(database) as mirror:
        client = make_client(provider)
        synced = await mirror.sync(client, DAY, NEXT_DAY, tenants=["OTHER", provider.tenant])
        assert [(one.tenant, one.new) for one in synced.tenants] == [
            ("OTHER", 3),
            (provider.tenant, 24),
        ]
        assert len([cdr async for cdr in mirror.cdrs(DAY, NEXT_DAY, tenant="OTHER")]) == 3
        with pytest.raises(UsageError, match=f"OTHER, {provider.tenant}"):
            await anext(mirror.cdrs(DAY, NEXT_DAY))
        with pytest.raises(UsageError, match="no tenant 'NOBODY'"):
            await mirror.calls(DAY, NEXT_DAY, tenant="NOBODY")
        assert [one.tenant for one in await mirror.status()] == ["OTHER", provider.tenant]


async def test_what_is_young_is_fetched_each_time(
    database: str, provider: Provider, client: BoxisClient
) -> None:
    """With a long settle all is young: it is there, and said not to be complete."""
    async with Mirror(database) as mirror:
        settle = timedelta(days=365 * 20)
        synced = await mirror.sync(client, DAY, NEXT_DAY, settle=settle)
        assert synced.complete == ()
        assert synced.young == (Window(DAY, NEXT_DAY),)
        covered = await mirror.covered(DAY, NEXT_DAY)
        assert (covered.young, covered.missing, covered.share) == (synced.young, (), 0)
        provider.add(call(f"{DAY + 5 * HOUR}"))
        synced = await mirror.sync(client, DAY, NEXT_DAY, settle=settle)
        assert (synced.new, synced.unchanged) == (1, 24)
        # A range elsewhere takes nothing away from what is young here.
        await mirror.sync(client, DAY - HOUR, DAY - HOUR / 2)
        assert (await mirror.covered(DAY, NEXT_DAY)).young == (Window(DAY, NEXT_DAY),)


async def test_covered_names_what_is_missing(database: str, client: BoxisClient) -> None:
    """A range is what is complete, young and missing, and nothing else."""
    async with Mirror(database) as mirror:
        assert (await mirror.covered(DAY, NEXT_DAY)).missing == (Window(DAY, NEXT_DAY),)
        assert await mirror.status() == []
        await mirror.sync(client, DAY + HOUR, DAY + 2 * HOUR)
        covered = await mirror.covered(DAY, DAY + 4 * HOUR)
        assert covered.complete == (Window(DAY + HOUR, DAY + 2 * HOUR),)
        assert covered.missing == (
            Window(DAY, DAY + HOUR),
            Window(DAY + 2 * HOUR, DAY + 4 * HOUR),
        )
        assert covered.share == pytest.approx(0.25)
        (status,) = await mirror.status(dateto=DAY + 2 * HOUR)
        assert status.complete_until == DAY + 2 * HOUR
        assert (status.missing, status.legs, status.gone) == ((), 1, 0)
        assert status.last_good_run is not None


async def test_a_record_that_cannot_be_read_keeps_no_other_out(
    database: str, provider: Provider, client: BoxisClient
) -> None:
    """Its window is missing, and fetched again; once it can be read, it comes."""
    provider.change({"duration": "soon"}, start=f"{DAY + 30 * HOUR / 60}")
    async with Mirror(database) as mirror:
        synced = await mirror.sync(client, DAY, NEXT_DAY)
        assert (synced.new, len(synced.rejects)) == (23, 1)
        assert synced.tenants[0].covered.missing != ()
        synced = await mirror.sync(client, DAY, NEXT_DAY)
        assert (synced.new, synced.gone, len(synced.rejects)) == (0, 0, 1)
        provider.change({"duration": "60"}, start=f"{DAY + 30 * HOUR / 60}")
        synced = await mirror.sync(client, DAY, NEXT_DAY)
        assert (synced.new, synced.gone, synced.rejects) == (1, 0, ())
        await check_whole(mirror, client, DAY, NEXT_DAY)
        assert (await mirror.covered(DAY, NEXT_DAY)).share == 1


async def test_the_end_is_now(database: str, client: BoxisClient) -> None:
    """Without an end, and with one in the future, a sync ends now: nothing is asked of later."""
    async with Mirror(database) as mirror:
        synced = await mirror.sync(client, DAY, DAY.replace(2999))
        (young,) = synced.young
        assert young.end is not None
        assert young.end.year < 2999
        assert synced.new == 24
        again = await mirror.sync(client, DAY)
        assert (again.new, again.unchanged) == (0, 0)


async def test_refusals(sqlite: str, client: BoxisClient) -> None:
    """What cannot work is refused before anything is sent, and says what to do."""
    mirror = Mirror(sqlite)
    with pytest.raises(UsageError, match="async with"):
        await mirror.sync(client, DAY)
    async with mirror:
        with pytest.raises(UsageError, match="not in the mirror yet"):
            await mirror.sync(client)
        with pytest.raises(UsageError, match="a list of names"):
            await mirror.sync(client, DAY, tenants="OTHER")
        with pytest.raises(UsageError, match="tenants is empty"):
            await mirror.sync(client, DAY, tenants=[])
        with pytest.raises(UsageError, match="recheck must be"):
            await mirror.sync(client, DAY, recheck="now")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="settle"):
            await mirror.sync(client, DAY, settle=-HOUR)
        with pytest.raises(UsageError, match="BoxisClient"):
            await mirror.sync(mirror, DAY)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="dateto must be a date"):
            mirror.cdrs(DAY, "2024-01-01")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="open already"):
            await mirror.__aenter__()


async def test_another_provider_or_zone_is_refused(
    database: str, provider: Provider, make_client: MakeClient
) -> None:
    """A mirror is of one provider, in one zone, and says which."""
    async with Mirror(database) as mirror:
        await mirror.sync(make_client(provider), DAY, NEXT_DAY)
        other = make_client(provider, base_url="https://elsewhere.example/")
        with pytest.raises(MirrorMismatchError, match=r"api\.boxis\.net.*elsewhere\.example"):
            await mirror.sync(other, DAY, NEXT_DAY)
        other = make_client(provider, timezone="Europe/London")
        with pytest.raises(MirrorMismatchError, match=r"timezone='Europe/Zurich'"):
            await mirror.sync(other, DAY, NEXT_DAY)
        assert len(select(database, "SELECT 1 FROM legs")) == 24
