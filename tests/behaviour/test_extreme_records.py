"""Records at the bounds of what is read: nothing that is done with one raises what is not ours."""

from __future__ import annotations

import io
import pickle
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, get_args

import httpx
import pytest
from calls import DAY, NEXT_DAY
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from transports import answering

from boxis_async import BoxisClient, Contract, RecordError, RetryPolicy, WindowError, group_calls
from boxis_async._wire.records import Fingerprinter, make_converter
from boxis_async._wire.wallclock import WallClock
from boxis_async.call_stats import CallStats, Dimension
from boxis_async.cli.tables import print_stats
from boxis_async.export import UnfitValueError, write
from boxis_async.models import CDR
from boxis_async.testing.answers import params_entry, write_json

if TYPE_CHECKING:
    from boxis_async.export import Format

CONVERTER = make_converter(WallClock("Europe/Zurich"), Fingerprinter(b"key"))

START = f"{DAY}"

times = st.one_of(
    st.sampled_from(
        [
            *("0001-01-01 00:00:00", "1899-12-31 23:59:59", "1900-01-01 00:00:00"),
            *("2999-12-31 23:59:59", "3000-01-01 00:00:00", "9999-12-31 23:59:59"),
            *("1969-12-31 23:59:59", "1970-01-01 00:00:00", "2038-01-19 03:14:08"),
        ]
    ),
    st.datetimes().map(lambda moment: moment.isoformat(" ", "seconds")),
)
wholes = st.one_of(
    st.sampled_from(["-1", "0", "-0", f"{2**31}", f"{-(2**63)}", f"{2**63}", "9" * 128, "9" * 129]),
    st.sampled_from(["9" * 4300, "9" * 5000, f"-{'9' * 127}", f"{'0' * 127}1", f"{2**61 - 1}"]),
    st.integers(-(10**130), 10**130).map(str),
)
costs = st.one_of(
    st.sampled_from(["1E+300000000", "-1E+300000000", "1E-300000000", "0E+300000000", "1E+32"]),
    st.sampled_from(["1E+33", "1E-128", "1E-129", "9" * 33, "9" * 34, f"0.{'3' * 126}", "-0.00"]),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
)
rows = st.fixed_dictionaries(
    {"start": st.just(START), "uniqueid": st.sampled_from(["a", "b"])},
    optional={
        "answer": times,
        "end": times,
        "duration": wholes,
        "billsec": wholes,
        "sequence": wholes,
        "prevsequence": wholes,
        "cc_type_id": wholes,
        "cc_cost": costs,
        "cc_date": st.sampled_from(["0001-01-01", "9999-12-31"]),
        "userfield": st.sampled_from(["[inbound]", "[outbound]"]),
        "disposition": st.sampled_from(["ANSWERED", "BUSY", "A" * 10_000]),
    },
)


def read(row: dict[str, str]) -> CDR | None:
    """Read a row; None if it cannot be read."""
    with suppress(RecordError):
        return CONVERTER.structure(row, CDR)
    return None


@pytest.mark.parametrize(
    ("field", "within", "beyond"),
    [
        ("start", "1900-01-01 00:00:00", "1899-12-31 23:59:59"),
        ("start", "2999-12-31 23:59:59", "3000-01-01 00:00:00"),
        ("answer", "2999-12-31 23:59:59", "9999-12-31 23:59:59"),
        ("end", "1900-01-01 00:00:00", "0001-01-01 00:00:00"),
        ("billsec", "9" * 128, "9" * 4300),
        ("duration", f"-{'9' * 127}", f"-{'9' * 128}"),
        ("sequence", "0" * 128, "0" * 129),
        ("cc_cost", "1E+32", "1E+300000000"),
        ("cc_cost", "-9E+32", "-1E+33"),
        ("cc_cost", "1E-128", "1E-129"),
        ("cc_cost", "0E-128", "0E+300000000"),
        ("cc_cost", f"0.{'3' * 126}", f"0.{'3' * 127}"),
        ("disposition", "A" * 10_000, "A" * 10_001),
    ],
)
def test_bounds(field: str, within: str, beyond: str) -> None:
    """Beyond a bound that no real record comes near, a record cannot be read, and says why."""
    assert read({"start": START, field: within}) is not None
    with pytest.raises(RecordError) as caught:
        CONVERTER.structure({"start": START, field: beyond}, CDR)
    assert caught.value.field == field
    assert len(str(caught.value)) < 500


@pytest.mark.slow
@given(
    st.lists(
        st.one_of(rows, rows.flatmap(lambda row: times.map(lambda start: row | {"start": start})))
    )
)
def test_whatever_is_done_with_a_record(sent: list[dict[str, str]]) -> None:
    """What is read of a record, or of calls made of it, raises nothing, and costs no time."""
    cdrs = [cdr for cdr in map(read, sent) if cdr is not None]
    for cdr in cdrs:
        assert pickle.loads(pickle.dumps(cdr)) == cdr
        assert len(f"{cdr.ring_time} {cdr.leg} {cdr.direction} {hash(cdr)}") < 1000
        assert cdr.cc_cost is None or abs(cdr.cc_cost + Decimal(1)) < 10**34
    for call in group_calls(cdrs):
        assert len(f"{call.wait} {call.talk} {call.cost} {call.outcome}") < 20_000
    stats = CallStats()
    stats.add(group_calls(cdrs))
    out = io.StringIO()
    print_stats(
        Console(file=out, width=200), stats, get_args(Dimension), title="x", place="y", top=5
    )
    assert len(out.getvalue()) < 1_000_000


@settings(max_examples=30)
@given(
    st.lists(rows, max_size=4),
    st.sampled_from(["csv", "jsonl", "parquet", "xlsx"]),
    st.sampled_from(["legs", "calls"]),
)
async def test_exports(
    sent: list[dict[str, str]], format_: Format, kind: Literal["legs", "calls"]
) -> None:
    """An export of such records is written, or says which value its format cannot hold."""
    body = write_json({"result": "1", **params_entry(sent, "list")})
    async with (
        answering(lambda _: httpx.Response(200, content=body)) as http_client,
        BoxisClient(
            "a@example.com",
            "key",
            tenant="T",
            http_client=http_client,
            retry=RetryPolicy(attempts=1),
            contract=Contract(dates_ignored=True),  # the answer is the same, whatever the dates
        ) as client,
    ):
        stream = client.cdrs(DAY, NEXT_DAY, window=NEXT_DAY - DAY, unique_by="leg")
        out = io.BytesIO()
        with suppress(UnfitValueError, WindowError):
            done = await write(stream, out, format_, rows=kind)
            assert done.records >= 0
