"""Harvests over HTTP, on a scheduler and workers in this process: what lands in the data set."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest
from fleets import FIRST, LAST, TENANTS, legs_of, names_in
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boxis_async import BoxisClient, Contract, RetryPolicy, UsageError
from boxis_async.export import to_arrow
from boxis_async.fleet import (
    DataSetError,
    FleetError,
    Harvested,
    HarvestProgress,
    harvest,
    status,
    verify,
)
from boxis_async.fleet.data_set import DataSet
from boxis_async.fleet.legs_table import LegsTable
from boxis_async.fleet.partition import SeenLegs, TenantOrder, harvest_partition
from boxis_async.fleet.periods import Period, period_named, periods_between
from boxis_async.testing import DateRule, Fault, Provider

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from boxis_async.testing import Received, Row

PROMPTLY = partial(
    BoxisClient,
    retry=RetryPolicy(attempts=2, wait_initial=0, wait_max=0, wait_jitter=0),
    # Only the request that hangs may take so long, however busy the machine is.
    timeout=1.5,
)


@pytest.fixture
def into(scheduler: str, tmp_path: Path) -> Callable[..., Any]:
    """Harvest into a folder, as fast as it goes."""

    def run(tenants: Any = TENANTS, start: date = FIRST, end: date = LAST, **more: Any) -> Any:  # noqa: ANN401 - whatever it takes
        dataset = more.pop("dataset", tmp_path / "calls")
        return harvest(
            tenants, start, end, dataset, scheduler=scheduler, **{"max_rate": None} | more
        )

    return run


def legs_in(dataset: Path) -> Counter[tuple[str, str, str]]:
    """Name each leg of a data set, with the tenant that its file says."""
    return Counter(
        (row["tenant_name"], row["uniqueid"], str(row["sequence"]))
        for path in dataset.glob("tenant=*/period=*/*.parquet")
        for row in pq.ParquetFile(path).read(["tenant_name", "uniqueid", "sequence"]).to_pylist()
    )


def legs_at(of_tenants: dict[str, list[Row]]) -> Counter[tuple[str, str, str]]:
    """Name each leg of the provider, with its tenant."""
    return Counter((name, *leg) for name, rows in of_tenants.items() for leg in legs_of(rows))


async def test_the_data_set_holds_the_servers_rows(
    served: Provider, into: Callable[..., Any], of_tenants: dict[str, list[Row]], tmp_path: Path
) -> None:
    """Each leg once, in the month in which it starts; and a second run asks for nothing."""
    seen: list[HarvestProgress] = []
    done: Harvested = await into(progress=seen.append)
    assert legs_in(tmp_path / "calls") == legs_at(of_tenants)
    assert (done.partitions, done.complete, done.young, done.failed) == (9, 9, 0, ())
    assert done.is_whole
    assert done.rows == sum(map(len, of_tenants.values()))
    assert done.requests == len(served.requests)
    assert (seen[0].done, seen[-1].done, seen[-1].workers) == (0, 9, 2)
    for name in TENANTS:
        for month in ("2025-01", "2025-02", "2025-03"):
            path = tmp_path / "calls" / f"tenant={name}" / f"period={month}" / "legs.parquet"
            starts = pq.ParquetFile(path).read(["start"])["start"].to_pylist()
            assert all(f"{start:%Y-%m}" == month for start in starts)
            assert starts == sorted(starts)
    before = {path: path.read_bytes() for path in (tmp_path / "calls").rglob("*.*")}
    served.reset()
    again: Harvested = await into()
    assert (again.were_complete, again.requests, again.rows) == (9, 0, 0)
    assert served.requests == []
    assert {path: path.read_bytes() for path in (tmp_path / "calls").rglob("*.*")} == before
    found = verify(tmp_path / "calls")
    assert (found.partitions, found.rows, found.flaws) == (9, done.rows, ())
    assert status(tmp_path / "calls").counts == {
        "complete": 9, "young": 0, "missing": 0, "failed": 0,
    }  # fmt: skip


@pytest.mark.parametrize("by", ["start_half_open", "end", "overlap", DateRule("either")])
async def test_months_share_no_leg_and_lack_none(
    served: Provider, into: Callable[..., Any], of_tenants: dict[str, list[Row]], tmp_path: Path,
    by: Any,  # noqa: ANN401 - the name of a rule
) -> None:  # fmt: skip
    """Under each meaning of the two dates: also legs that run over the end of a month."""
    rows = of_tenants["VOICE-1"]
    late = [
        {**rows[0], "uniqueid": f"late.{number}", "sequence": "1", "start": start, "end": end}
        for number, (start, end) in enumerate(
            [
                ("2025-01-31 23:59:58", "2025-02-01 00:20:00"),
                ("2025-02-01 00:00:00", "2025-02-01 00:00:00"),
                ("2025-02-28 23:00:00", "2025-03-01 02:00:00"),
            ]
        )
    ]
    served.add(*late, tenant="VOICE-1")
    served.filter_mode = by
    await into(["VOICE-1"])
    assert legs_in(tmp_path / "calls") == legs_at({"VOICE-1": [*rows, *late]})


async def test_the_same_legs_give_the_same_bytes(
    served: Provider, into: Callable[..., Any], tmp_path: Path
) -> None:
    """Whatever the windows were, and in whichever order the legs came."""
    await into(["VOICE-1"], dataset=tmp_path / "one")
    served.filter_mode = "overlap"
    contract = Contract(rule="overlap", no_cap_up_to=10000)
    await into(
        ["VOICE-1"], dataset=tmp_path / "two", make_client=partial(BoxisClient, contract=contract)
    )
    files = ["one", "two"]
    bytes_of = [
        [path.read_bytes() for path in sorted((tmp_path / name).rglob("legs.parquet"))]
        for name in files
    ]
    assert bytes_of[0] == bytes_of[1]
    assert len(bytes_of[0]) == 3


async def test_the_columns_are_those_of_exports_and_the_tenant(
    served: Provider,  # noqa: ARG001 - it serves
    into: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """Types as `to_arrow` has them, the tenant as text besides, the same where there is no call."""
    await into(["VOICE-1", "00123"])
    schemas = [
        pq.ParquetFile(path).schema_arrow
        for path in sorted((tmp_path / "calls").rglob("legs.parquet"))
    ]
    assert len(schemas) == 6
    assert all(schema.equals(schemas[0]) for schema in schemas)
    assert schemas[0].names[0] == "tenant_name"
    zone = BoxisClient("a@b.ch", "key").cdrs(tenant="T").timezone
    assert schemas[0].remove(0).equals(to_arrow([], timezone=zone).schema)
    empty = pq.ParquetFile(tmp_path / "calls" / "tenant=00123" / "period=2025-02" / "legs.parquet")
    assert empty.metadata.num_rows == 0


async def test_row_groups_are_large_and_compressed() -> None:
    """Groups of 50,000 rows and more, by zstd, however the legs came."""
    client = BoxisClient("a@b.ch", "key", tenant="T")
    provider = Provider([{"uniqueid": "1", "start": "2025-01-01 10:00:00"}])
    async with provider.client() as http_client:
        client = BoxisClient(
            provider.username, provider.api_key, tenant=provider.tenant, http_client=http_client
        )
        (leg,) = await client.cdrs(date(2025, 1, 1), date(2025, 1, 2)).to_list()
        zone = client.cdrs().timezone
    table = LegsTable("T", zone)
    for _ in range(120):
        table.add([leg] * 1000)
    content, rows = table.finish()
    import pyarrow as pa  # noqa: PLC0415

    metadata = pq.ParquetFile(pa.BufferReader(content)).metadata
    assert rows == 120_000
    assert [metadata.row_group(group).num_rows for group in range(2)] == [60_000, 60_000]
    assert metadata.row_group(0).column(0).compression == "ZSTD"


async def test_what_is_not_at_rest_is_young_and_done_again(
    served: Provider, into: Callable[..., Any], tmp_path: Path
) -> None:
    """A period that may still change is written, marked, and fetched by the next run."""
    today = datetime.now()  # noqa: DTZ005 - near enough to the wall clock
    first = date(today.year, today.month, 1)
    after = date(today.year + today.month // 12, today.month % 12 + 1, 1)
    row = {"uniqueid": "young.1", "start": f"{first} 00:00:00", "end": f"{first} 00:00:01"}
    served.add(row, tenant="VOICE-1")
    done: Harvested = await into(["VOICE-1"], first, after)
    assert (done.complete, done.young, done.is_whole) == (0, 1, True)
    assert status(tmp_path / "calls").counts["young"] == 1
    served.add(row | {"uniqueid": "young.2"}, tenant="VOICE-1")
    again: Harvested = await into(["VOICE-1"], first, after)
    assert (again.were_complete, again.young, again.rows) == (0, 1, 2)
    # What lies in the future is left out.
    further: Harvested = await into(["VOICE-1"], first, date(after.year + 1, after.month, 1))
    assert (further.partitions, further.young) in {(1, 1), (2, 2)}
    assert all("datefrom" in received.parameters for received in served.requests)


@pytest.mark.parametrize("hours", [1, 13, 24 * 40])
async def test_a_period_that_begins_later_is_young(tmp_path: Path, hours: int) -> None:
    """In the first zone of the world it has begun, here it has not: it is empty, and no failure."""
    now = datetime.now(ZoneInfo("Europe/Zurich")).replace(tzinfo=None)
    begin = now + timedelta(hours=hours)
    period = Period("later", begin, begin + timedelta(days=31))
    provider = Provider([])
    async with provider.client() as http_client:
        client = BoxisClient(
            provider.username, provider.api_key, tenant=provider.tenant, http_client=http_client
        )
        order = TenantOrder(
            harvest="one", tenant=provider.tenant, periods=(period,), dataset=str(tmp_path),
            settle=timedelta(hours=1), timeout=60, give_up_after=2,
        )  # fmt: skip
        dataset = DataSet(str(tmp_path))
        outcome = await harvest_partition(client, dataset, order, period, SeenLegs())
    assert (outcome.state, outcome.rows, outcome.error) == ("young", 0, None)
    assert provider.requests == []


@pytest.mark.slow
async def test_a_poisoned_tenant_does_not_hold_up_the_others(
    served: Provider, into: Callable[..., Any], of_tenants: dict[str, list[Row]], tmp_path: Path
) -> None:
    """Refused, cut or slow for ever: it is listed with its error, and done by the next run."""
    faults = {
        "VOICE-1": Fault.refuse("no such tenant"),
        "VOICE-2": Fault("hang"),
        "VOICE-3": Fault.cut(10),
    }

    def faulty(received: Received) -> Fault | None:
        return faults.get(received.parameters["tenant"])

    served.add(of_tenants["VOICE-1"][0], tenant="VOICE-3")
    served.faults = faulty
    tenants = ["VOICE-1", "VOICE-2", "VOICE-3", "00123"]
    done: Harvested = await into(tenants, make_client=PROMPTLY, patience=timedelta(minutes=5))
    assert done.complete == 3
    assert {one.tenant for one in done.failed} == set(faults)
    assert len(done.failed) + done.untried == 9
    assert not done.is_whole
    errors = {one.tenant: one.error for one in done.failed}
    assert "no such tenant" in errors["VOICE-1"]
    listed = {(one.tenant, one.period) for one in done.failed}
    failed = [one for one in status(tmp_path / "calls").partitions if one.state == "failed"]
    assert {(one.tenant, one.period) for one in failed} == listed
    assert all(one.error for one in failed)
    served.faults = []
    again: Harvested = await into(tenants)
    assert (again.complete, again.were_complete, again.failed) == (12, 3, ())
    assert status(tmp_path / "calls").counts["failed"] == 0
    assert list((tmp_path / "calls").rglob("_failure.json")) == []


async def test_one_partition_may_take_only_so_long(
    served: Provider, into: Callable[..., Any]
) -> None:
    """One that takes longer than the patience fails, and says so."""
    served.latency = 0.5
    done: Harvested = await into(
        ["VOICE-1"], FIRST, date(2025, 2, 1), patience=timedelta(seconds=0.1)
    )
    (failed,) = done.failed
    assert "longer than 0.1 s" in failed.error


async def test_a_file_without_its_manifest_is_missing(
    served: Provider, into: Callable[..., Any], tmp_path: Path
) -> None:
    """Killed between the file and its manifest, or with the manifest of an older file."""
    await into(["VOICE-1"])
    folder = tmp_path / "calls" / "tenant=VOICE-1"
    before = {path: path.read_bytes() for path in folder.rglob("legs.parquet")}
    (folder / "period=2025-01" / "_manifest.json").unlink()
    (folder / "period=2025-02" / "legs.parquet").write_bytes(b"another")
    (folder / "period=2025-03" / "legs.parquet").unlink()
    assert status(tmp_path / "calls").counts["missing"] == 3
    served.reset()
    done: Harvested = await into(["VOICE-1"])
    assert (done.were_complete, done.complete) == (0, 3)
    assert {path: path.read_bytes() for path in folder.rglob("legs.parquet")} == before


@pytest.mark.parametrize(
    ("damage", "flaw"),
    [
        ("bytes", "its digest is another one"),
        ("cut", "no manifest that fits it"),
        ("swapped", "it is of VOICE-1, 2025-02"),
        ("orphan", "no manifest that fits it"),
    ],
)
async def test_verify_finds_what_was_changed(
    served: Provider,  # noqa: ARG001 - it serves
    into: Callable[..., Any],
    tmp_path: Path,
    damage: str,
    flaw: str,
) -> None:
    """A file that was changed, cut or swapped, and one without a manifest."""
    await into(["VOICE-1"])
    folder = tmp_path / "calls" / "tenant=VOICE-1" / "period=2025-01"
    legs, manifest = folder / "legs.parquet", folder / "_manifest.json"
    content = legs.read_bytes()
    if damage == "bytes":
        legs.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    elif damage == "cut":
        legs.write_bytes(content[:-1])
    elif damage == "orphan":
        manifest.unlink()
    else:
        other = folder.parent / "period=2025-02"
        legs.write_bytes((other / legs.name).read_bytes())
        manifest.write_bytes((other / manifest.name).read_bytes())
    found = verify(tmp_path / "calls")
    assert [(one.tenant, one.period) for one in found.flaws] == [("VOICE-1", "2025-01")]
    assert flaw in found.flaws[0].text


async def test_tenants_of_any_name(
    served: Provider, into: Callable[..., Any], of_tenants: dict[str, list[Row]], tmp_path: Path
) -> None:
    """A name is text, and no path: nothing is written outside of the data set."""
    names = ["../../escaped", "a/b", "a=b&c", "Zürich%41", "."]
    for name in names:
        served.add(of_tenants["VOICE-1"][0], tenant=name)
    done: Harvested = await into(names, FIRST, date(2025, 2, 1))
    assert done.complete == 5
    assert {name for name, _, _ in legs_in(tmp_path / "calls")} == set(names)
    assert names_in(tmp_path) == ["calls"]
    assert {one.tenant for one in status(tmp_path / "calls").partitions} == set(names)


async def test_workers_without_a_client_end_the_harvest(
    served: Provider,  # noqa: ARG001 - it serves
    into: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where no worker can sign, no partition fails: the harvest says why, and ends."""
    monkeypatch.delenv("BOXIS_API_KEY")
    with pytest.raises(FleetError, match=r"no client on worker .*BOXIS_API_KEY"):
        await into()


async def test_one_data_set_has_one_kind_of_period(
    served: Provider,  # noqa: ARG001 - it serves
    into: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """Days do not go into a data set of months, and a folder of something else is no data set."""
    await into(["VOICE-1"])
    with pytest.raises(DataSetError, match='give period="month"'):
        await into(["VOICE-1"], period="day")
    by_day: Harvested = await into(
        ["VOICE-1"], FIRST, date(2025, 1, 4), period="day", dataset=tmp_path / "days"
    )
    assert by_day.complete == 3
    with pytest.raises(DataSetError, match="no data set"):
        status(tmp_path)
    (tmp_path / "_dataset.json").write_text(json.dumps([1]))
    with pytest.raises(DataSetError, match="not what a harvest writes"):
        verify(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"tenants": []}, "tenants is empty"),
        ({"tenants": "VOICE-1"}, "tenants must be names"),
        ({"tenants": ["a\nb"]}, "printable"),
        ({"tenants": [" a"]}, "must be a name"),
        ({"start": date(2025, 1, 2)}, "give 2025-01-01 or 2025-02-01"),
        ({"end": FIRST}, "the range is empty"),
        ({"period": "week"}, "day, month, year"),
        ({"max_rate": 0}, "max_rate"),
        ({"concurrency": 0}, "concurrency"),
        ({"wait_for_workers": 60}, "wait_for_workers must be a timedelta"),
        ({"workers": 2}, "workers= is for a cluster on this machine"),
        ({"scheduler": "tcp://10.0.0.5:8786"}, "not encrypted"),
        ({"scheduler": "tcp://scheduler:8786"}, "not encrypted"),
        ({"scheduler": "ws://10.0.0.5:8786"}, "not encrypted"),
        ({"scheduler": "10.0.0.5:8786"}, "must begin with one of"),
        ({"scheduler": "tcp://localhost"}, "a host and a port"),
        ({"scheduler": "tls://me:secret@10.0.0.5:8786"}, "no credentials"),
        ({"dataset": "ftp://host/x"}, "not a ftp"),
        ({"dataset": "s3://key:secret@bucket/x"}, "no credentials"),
        ({"dataset": ""}, "must be a folder"),
        ({"make_client": 1}, "must be a function"),
        ({"make_client": lambda limiter: BoxisClient(limiter=limiter)}, "can import"),
        ({"make_client": partial(BoxisClient, api_key="k")}, "would send credentials"),
        ({"make_client": partial(partial(BoxisClient, "me", "k"), timeout=1)}, "credentials"),
    ],
)
async def test_wrong_arguments(tmp_path: Path, arguments: dict[str, Any], problem: str) -> None:
    """Each is refused before anything is sent or written, with what to do."""
    values: dict[str, Any] = {
        "tenants": ["T"], "start": FIRST, "end": LAST, "dataset": tmp_path / "calls",
        "scheduler": "tcp://127.0.0.1:1",
    } | arguments  # fmt: skip
    positional = [values.pop(name) for name in ("tenants", "start", "end", "dataset")]
    with pytest.raises(UsageError, match=problem) as raised:
        await harvest(*positional, **values)
    assert "secret" not in str(raised.value)
    assert names_in(tmp_path) == []


async def test_no_scheduler(tmp_path: Path) -> None:
    """An address at which none answers is an error that names it."""
    import dask  # noqa: PLC0415

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "100ms"}),
        pytest.raises(FleetError, match=r"no scheduler at tcp://127\.0\.0\.1:1"),
    ):
        await harvest(["T"], FIRST, LAST, tmp_path, scheduler="tcp://127.0.0.1:1")


async def test_a_scheduler_without_workers(tmp_path: Path) -> None:
    """After the time to wait for one the error says what to start, and nothing was sent."""
    from distributed import Scheduler  # noqa: PLC0415 - takes half a second

    async with Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0") as scheduler:
        with pytest.raises(
            FleetError, match=r"has had no worker for 0\.01 s: start one \(dask worker tcp://"
        ):
            await harvest(
                ["T"], FIRST, LAST, tmp_path, scheduler=scheduler.address,
                wait_for_workers=timedelta(seconds=0.01),
            )  # fmt: skip


async def test_a_leg_longer_than_the_margin(
    served: Provider, into: Callable[..., Any], tmp_path: Path
) -> None:
    """One that ends by more than the margin after its month was missed there, so the next fails.

    With a contract that knows of such calls, the margin holds them.
    """
    served.filter_mode = "end"
    served.add(
        {"uniqueid": "long.1", "sequence": "1",
         "start": "2025-01-31 20:00:00", "end": "2025-02-01 05:30:00"},
        tenant="LONG",
    )  # fmt: skip
    done: Harvested = await into(["LONG"])
    (failed,) = done.failed
    assert failed.period == "2025-02"
    assert "the period before may lack it" in failed.error
    assert "2025-01-31 20:00:00" in failed.error
    assert not done.is_whole
    contract = Contract(rule="end", longest_call=timedelta(hours=10))
    again: Harvested = await into(
        ["LONG"], dataset=tmp_path / "anew", make_client=partial(BoxisClient, contract=contract)
    )
    assert again.is_whole
    assert legs_in(tmp_path / "anew") == Counter({("LONG", "long.1", "1"): 1})


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(["day", "month", "year"]),
    first=st.integers(1990, 2090),
    years=st.integers(1, 3),
)
def test_periods_cover_a_range(kind: Any, first: int, years: int) -> None:  # noqa: ANN401 - a kind
    """Periods follow each other without a gap, and each is found again by its name."""
    start, end = date(first, 1, 1), date(first + years, 1, 1)
    found = periods_between(start, end, kind)
    assert found[0].start == datetime(first, 1, 1)  # noqa: DTZ001 - a wall time
    assert found[-1].end == datetime(first + years, 1, 1)  # noqa: DTZ001 - a wall time
    assert all(one.end == other.start for one, other in pairwise(found))
    assert [period_named(one.name, kind) for one in found] == found
