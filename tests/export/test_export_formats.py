"""What stands in the files: each value of each record, read back by a reader of its own."""

from __future__ import annotations

import importlib
import io
import json
import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import attrs
import pyarrow as pa
import pyarrow.parquet
import pytest
from calls import DAY, HOUR, NEXT_DAY, SECOND, call
from clients import ONCE_MORE, connected
from exports import (
    COLUMNS,
    EXACT,
    READERS,
    arrow_rows,
    cells,
    comparable,
    csv_rows,
    export_range,
    json_rows,
    names,
    quick_folder,
    read,
    since_1970,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import FIELDS, ZURICH, rows, texts

import boxis_async.export.arrow
from boxis_async import CDR, Disposition, UsageError, printable
from boxis_async.export import Format, UnfitValueError, export, format_of, to_arrow, write
from boxis_async.export.layout import make_layout
from boxis_async.models import Extra
from boxis_async.testing import Provider, generate_calls

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from conftest import MakeClient

    from boxis_async import BoxisClient

NASTY = (
    "",
    " ",
    "NULL",
    "plain",
    'say "hi"',
    '"',
    '""',
    ",",
    "a,b",
    "line\nfeed",
    "carriage\rreturn",
    "both\r\n",
    "\t",
    "nul\0inside",
    "\u2028\u2029\u0085\x0b\x0c\x1c",
    "\ufeffmark",
    "😀 Zoë",
    "=1+1",
    "+41445550123",
    "-1",
    "@SUM(A1)",
    "'quoted",
    "''",
    "＝1",  # noqa: RUF001
    "\\",
    "\\n",
    "\x7f\x80",
    "\U0010ffff",
)


@pytest.fixture
def pd() -> ModuleType:
    """Import pandas only for the tests that use it: it takes a second in each process of a run."""
    return importlib.import_module("pandas")


@pytest.fixture
def pl() -> ModuleType:
    """Import polars likewise."""
    return importlib.import_module("polars")


async def written(client: BoxisClient, format: Format, **arguments: Any) -> bytes:  # noqa: A002, ANN401
    file = io.BytesIO()
    await write(client.cdrs(DAY, NEXT_DAY, **arguments), file, format)
    return file.getvalue()


# Against the provider's rows


@pytest.mark.parametrize("form", EXACT)
async def test_a_months_calls(make_client: MakeClient, tmp_path: Path, form: Format) -> None:
    """A file holds what `to_list` gives, in its order, every column of it."""
    begin, end = date(2024, 10, 20), date(2024, 11, 3)  # the clock is turned back in between
    provider = Provider(generate_calls(begin, end, calls_per_day=30))
    client = make_client(provider)
    target = tmp_path / f"calls.{form}"
    exported = await export(client.cdrs(begin, end, unique_by="leg"), target)
    cdrs = await client.cdrs(begin, end, unique_by="leg").to_list()
    assert read(target) == comparable(cdrs)
    assert len({cdr.start.fold for cdr in cdrs}) == 2
    assert exported.path == target
    assert exported.records == len(cdrs) == exported.stats.records
    assert exported.conflicts == 0
    assert not exported.resumed


@pytest.mark.parametrize("form", EXACT)
async def test_every_field_as_the_provider_sent_it(make_client: MakeClient, form: Format) -> None:
    """Each documented field stands in its own column, as it was sent."""
    row: dict[str, str | None] = {
        name: f"the {name}" for name in FIELDS if name not in ("start", "answer", "end")
    }
    row |= {
        "start": "2024-03-05 08:00:00",
        "answer": "2024-03-05 08:00:10",
        "end": "2024-03-05 08:01:00",
        "duration": "60",
        "billsec": "50",
        "disposition": "NO ANSWER",
        "sequence": "1234567",
        "prevsequence": "-5",
        "cc_date": "2024-03-04",
        "cc_type_id": "0",
        "cc_cost": "0.12000",
    }
    data = await written(make_client(Provider([row])), form)
    (found,) = READERS[form](data)
    by_name = dict(zip(COLUMNS, found, strict=True))
    for name, sent in row.items():
        found_value = by_name["src_call_id" if name == "srcCallID" else name]
        if name in ("start", "answer", "end"):
            wall = since_1970(datetime.fromisoformat(f"{sent}+01:00"))
            assert found_value == wall
        else:
            assert f"{found_value}" == (
                sent if name != "cc_cost" or form != "parquet" else "0.1200000000"
            )
    assert by_name["extra"] == ()


@pytest.mark.slow
@pytest.mark.parametrize("form", EXACT)
@settings(max_examples=settings().max_examples // 4)
@given(sent=st.lists(rows(), max_size=4))
async def test_whatever_the_provider_sends(form: Format, sent: list[dict[str, str | None]]) -> None:
    """For any rows, all texts and all that is unset among them, a file holds what a list holds."""
    provider = Provider([{**row, "linkedid": f"{at}"} for at, row in enumerate(sent)])
    with quick_folder() as folder:
        async with connected(provider, retry=ONCE_MORE) as client:
            begin, end = date(2017, 1, 1), date(2028, 1, 1)
            arguments: Any = {"window": timedelta(days=4100), "unique_by": lambda cdr: cdr.linkedid}
            await export_range(client, folder / f"calls.{form}", begin, end, **arguments)
            cdrs = await client.cdrs(begin, end, **arguments).to_list()
        assert len(cdrs) == len(sent)
        assert read(folder / f"calls.{form}") == comparable(cdrs)


@pytest.mark.parametrize("form", EXACT)
async def test_nasty_texts(make_client: MakeClient, form: Format) -> None:
    """Quotes, commas, line ends, NUL, formulas and foreign scripts come back as they were."""
    sent = [
        call(
            f"{DAY + timedelta(minutes=at)}",
            clid=text,
            accountcode=text,
            disposition=text,
            pincode=text,
            note=text,
        )
        for at, text in enumerate(NASTY)
    ]
    client = make_client(Provider(sent))
    data = await written(client, form)
    found = READERS[form](data)
    assert found == comparable(await client.cdrs(DAY, NEXT_DAY).to_list())
    assert [row[COLUMNS.index("clid")] for row in found] == list(NASTY)
    assert [dict(row[-1])["note"] for row in found] == list(NASTY)  # type: ignore[call-overload]


@pytest.mark.parametrize("form", EXACT)
async def test_fields_that_nobody_documented(make_client: MakeClient, form: Format) -> None:
    """Extra fields are kept, nested ones as the JSON that they are."""
    sent = [call(f"{DAY}"), call(f"{DAY + HOUR}")]
    nested: Any = {"deep": ["a", {"b": None}], "n": "1"}
    provider = Provider([{**sent[0], "recording": nested, "näme": "x", "unset": None}, sent[1]])
    data = await written(make_client(provider), form)
    found = READERS[form](data)
    extra = dict(found[0][-1])  # type: ignore[call-overload]
    assert json.loads(extra["recording"]) == nested
    assert extra["näme"] == "x"
    assert extra["unset"] == ""
    assert found[1][-1] == ()


# CSV


async def test_csv_to_the_letter(make_client: MakeClient) -> None:
    """The header, a plain record and an unset one, byte for byte."""
    unset = {"uniqueid": "u-2.2", "start": "2024-03-05 09:00:00"}
    row = call("2024-03-05 08:00:00", uniqueid="u-1.1", cc_cost="1E-7", cc_date="2024-03-05")
    data = await written(make_client(Provider([row, unset])), "csv")
    header, first, second, end = data.decode().split("\r\n")
    assert header.split(",") == COLUMNS
    assert first == (
        "u-1.1,2024-03-05T08:00:00+01:00,2024-03-05T08:00:00+01:00,2024-03-05T08:01:00+01:00,"
        '"""Anna Meier"" <0041445550123>",0041445550123,201,,,,,,60,60,ANSWERED,,,,,,,,,,1,,,,,,,'
        "2024-03-05,,,,,,0.0000001,"
    )
    assert second == "u-2.2,2024-03-05T09:00:00+01:00" + "," * 37
    assert end == ""


async def test_csv_without_a_record(make_client: MakeClient) -> None:
    """Without a record there is the header."""
    data = await written(make_client(Provider([])), "csv")
    assert data == ",".join(COLUMNS).encode() + b"\r\n"


async def test_csv_in_pandas_and_polars(
    make_client: MakeClient, tmp_path: Path, pd: ModuleType, pl: ModuleType
) -> None:
    """Others read the same number of records, and the same texts, out of a CSV file."""
    sent = [
        call(f"{DAY + timedelta(minutes=at)}", clid=text)
        for at, text in enumerate(NASTY)
        if "\0" not in text  # pandas ends a text there
    ]
    expected = [text for text in NASTY if "\0" not in text]
    target = tmp_path / "calls.csv"
    await export(make_client(Provider(sent)).cdrs(DAY, NEXT_DAY), target)
    frame = pd.read_csv(target, dtype=str, keep_default_na=False, lineterminator=None)
    assert list(frame["clid"]) == expected
    assert [f"{moment}" for moment in pd.to_datetime(frame["start"])][:1] == [f"{DAY}+01:00"]
    polar = pl.read_csv(target, infer_schema=False)
    assert polar["clid"].fill_null("").to_list() == expected


FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")  # noqa: RUF001


SPLITS = ",;|:\t\r\n"


def unguarded(text: str) -> str:
    """Take the first `'` away where a cell may begin, as the page says."""
    return re.sub(rf"(\A|[{SPLITS}])'", r"\1", text)


def guarded(cdr: CDR) -> list[str]:
    from boxis_async.export.text_writers import CSVLines  # noqa: PLC0415 - a part inside

    (line,) = cells(CSVLines(make_layout(formula_safe=True)).encode([cdr]))
    return line


formulas = st.one_of(
    texts,
    st.sampled_from(NASTY),
    st.builds(lambda sign, text: sign + text, st.sampled_from("=+-@\t\r\n'＝＋－＠"), texts),  # noqa: RUF001
    st.text("=+-@\t\r\n'\",;|: a"),
)


@given(clid=formulas, userfield=formulas, word=formulas.filter(bool))
def test_formula_safe_is_reversible(clid: str, userfield: str, word: str) -> None:
    """No text begins as a formula does, nor a part of one where a spreadsheet may split it.

    One `'` taken away in each such place gives the text back.
    """
    cdr = CDR(
        start=datetime(2024, 3, 5, tzinfo=ZURICH),
        clid=clid,
        userfield=userfield,
        disposition=Disposition(word),
        extra=Extra(note=clid),
        billsec=-5,
    )
    line = dict(zip(COLUMNS, guarded(cdr), strict=True))
    for name, sent in (("clid", clid), ("userfield", userfield), ("disposition", word)):
        assert not FORMULA.match(line[name])
        assert not re.search(rf"""[{SPLITS}]"*{FORMULA.pattern}""", line[name])
        assert unguarded(line[name]) == sent
    assert line["extra"].startswith("{")
    assert not re.search(rf"""[{SPLITS}]"*{FORMULA.pattern}""", line["extra"])
    assert json.loads(line["extra"]) == {"note": clid}
    assert line["billsec"] == "-5"


async def test_formula_safe_is_a_choice(make_client: MakeClient, tmp_path: Path) -> None:
    """As it is the default, a telephone number with its `+` stays as it is."""
    client = make_client(Provider([call(f"{DAY}", src="+41445550123", dst="201")]))
    for safe, expected in ((False, "+41445550123"), (True, "'+41445550123")):
        target = tmp_path / f"{safe}.csv"
        await export(client.cdrs(DAY, NEXT_DAY), target, formula_safe=safe)
        line = dict(zip(COLUMNS, cells(target.read_bytes())[1], strict=True))
        assert line["src"] == expected
        assert line["dst"] == "201"
    with pytest.raises(UsageError, match="formula_safe"):
        await export(client.cdrs(DAY, NEXT_DAY), tmp_path / "calls.jsonl", formula_safe=True)


# JSON Lines


async def test_json_lines_to_the_letter(make_client: MakeClient, pd: ModuleType) -> None:
    """An object a line; unset is null, a cost is a text; no letters, but separators are escaped."""
    row = call("2024-03-05 08:00:00", uniqueid="u-1.1", clid="Zoë\u2028", cc_cost="1E-7", end=None)
    data = await written(make_client(Provider([row])), "jsonl")
    assert data.startswith(b'{"uniqueid":"u-1.1","start":"2024-03-05T08:00:00+01:00",')
    assert '"end":null,"clid":"Zoë\\u2028"'.encode() in data
    assert data.endswith(b'"cc_cost":"0.0000001","extra":{}}\n')
    assert data.count(b"\n") == 1
    frame = pd.read_json(io.BytesIO(data), lines=True, dtype=False)
    assert list(frame.columns) == COLUMNS


HOSTILE = (
    "\x1b[2J\x1b]52;c;ZXZpbA==\x07",
    "a\x85b\u2028c\u2029d\x0be\x0cf\x1cg",
    "\x7f\x80\x9b31m\x9f",
    "\u202elive\u202c\u2066\u2069\u200f",
    "\u200b\u200d\ufeff\xad\u3164",
    "\U000e0041\U000e0001",
    "\r",
    "\\u001b \\x1b \\n",
)


@pytest.mark.parametrize("form", EXACT)
async def test_hostile_texts(make_client: MakeClient, form: Format) -> None:
    """What acts on a terminal is in each format as it was sent, and comes back so."""
    sent = [
        call(f"{DAY + number * SECOND}", uniqueid=f"{number}", clid=text, userfield=text, x=text)
        for number, text in enumerate(HOSTILE)
    ]
    client = make_client(Provider(sent))
    data = await written(client, form)
    cdrs = await client.cdrs(DAY, NEXT_DAY).to_list()
    assert [cdr.clid for cdr in cdrs] == list(HOSTILE)
    assert READERS[form](data) == comparable(cdrs)
    if form == "csv":
        assert [line[4] for line in cells(data)[1:]] == list(HOSTILE)
    if form == "jsonl":
        text = data.decode("utf-8")
        # A line for every reader, those included that end one at U+0085 or U+2028.
        assert text.splitlines() == text.removesuffix("\n").split("\n")
        assert all(printable(line) == line for line in text.splitlines())


async def test_json_lines_without_a_record(make_client: MakeClient) -> None:
    """Without a record there is not one byte."""
    assert await written(make_client(Provider([])), "jsonl") == b""


# Parquet and Arrow


TYPES = {
    pa.string(): {*COLUMNS}
    - {"start", "answer", "end", "duration", "billsec", "sequence", "prevsequence"}
    - {"cc_type_id", "cc_date", "cc_cost", "extra"},
    pa.timestamp("us", tz="Europe/Zurich"): {"start", "answer", "end"},
    pa.int64(): {"duration", "billsec", "sequence", "prevsequence", "cc_type_id"},
    pa.date32(): {"cc_date"},
    pa.decimal128(38, 10): {"cc_cost"},
    pa.map_(pa.string(), pa.string()): {"extra"},
}


async def test_parquet_types(make_client: MakeClient, tmp_path: Path) -> None:
    """Each column has its type, also in a file without a record, and in a table."""
    client = make_client(Provider([call(f"{DAY}")]))
    target = tmp_path / "calls.parquet"
    for datefrom, count in ((DAY, 1), (NEXT_DAY, 0)):
        await export(client.cdrs(datefrom, datefrom + HOUR), target, overwrite=True)
        table = pyarrow.parquet.read_table(target)
        assert table.num_rows == count
        found = {name: table.schema.field(name).type for name in table.column_names}
        assert found == {
            name: kind for name in COLUMNS for kind, names in TYPES.items() if name in names
        }
    assert to_arrow([], timezone=ZURICH).schema == table.schema
    assert to_arrow(await client.cdrs(DAY, NEXT_DAY).to_list()).schema == table.schema


@pytest.mark.usefixtures("_whenever")
@pytest.mark.parametrize("is_file", [True, False])
async def test_row_groups_of_many_batches(
    make_client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_file: bool
) -> None:
    """Batches are put together to large row groups, and each statistic is there to skip by."""
    assert boxis_async.export.arrow.ROW_GROUP >= 50_000
    monkeypatch.setattr("boxis_async.export.arrow.ROW_GROUP", 3)
    sent = [call(f"{DAY + number * HOUR + HOUR / 2}") for number in (0, 0, 1, 2, 2, 5)]
    client = make_client(Provider(sent))
    target = tmp_path / "calls.parquet"
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    if is_file:
        await export(stream, target)
    else:
        with target.open("wb") as file:
            await write(stream, file, "parquet")
    with pyarrow.parquet.ParquetFile(target) as file:
        groups = [file.metadata.row_group(at) for at in range(file.num_row_groups)]
        assert [group.num_rows for group in groups] == [3, 3]
        start = groups[1].column(COLUMNS.index("start")).statistics
        assert start.min == DAY.replace(tzinfo=ZURICH) + 2 * HOUR + HOUR / 2
        assert start.max == DAY.replace(tzinfo=ZURICH) + 5 * HOUR + HOUR / 2


async def test_parquet_in_pandas_and_polars(
    make_client: MakeClient, tmp_path: Path, pd: ModuleType, pl: ModuleType
) -> None:
    """Others read the same values out of a Parquet file."""
    client = make_client(Provider([call(f"{DAY}", clid=text, cc_cost="0.5") for text in NASTY]))
    target = tmp_path / "calls.parquet"
    await export(client.cdrs(DAY, NEXT_DAY), target)
    cdrs = await client.cdrs(DAY, NEXT_DAY).to_list()
    frame = pd.read_parquet(target)
    assert list(frame["clid"]) == [cdr.clid for cdr in cdrs]
    assert [moment.to_pydatetime() for moment in frame["start"]] == [cdr.start for cdr in cdrs]
    polar = pl.read_parquet(target)
    assert polar["clid"].to_list() == [cdr.clid for cdr in cdrs]
    assert polar["start"].to_list() == [cdr.start for cdr in cdrs]
    assert polar["cc_cost"].to_list() == [Decimal("0.5")] * len(cdrs)


AUTUMN = datetime(2024, 10, 27, 2, 30, tzinfo=ZURICH)
MOMENTS = (
    AUTUMN,
    AUTUMN.replace(fold=1),
    datetime(1, 1, 1, tzinfo=ZURICH),
    datetime(1850, 6, 1, 12, tzinfo=ZURICH),  # 34 minutes and 8 seconds ahead
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=ZURICH),
    datetime(2024, 3, 5, 1, 2, 3, 456789, tzinfo=ZURICH),
)
ZONES = (
    ZURICH,
    UTC,
    ZoneInfo("Asia/Kathmandu"),
    timezone(timedelta(hours=5, minutes=45)),
    timezone(-timedelta(hours=3, minutes=30)),
    timezone(timedelta(hours=1, seconds=30)),
    timezone(-timedelta(seconds=1)),
)


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_any_moment(moment: datetime, zone: tzinfo) -> None:
    """A moment is exact in each format, the repeated hour included, in whatever zone."""
    from boxis_async.export.text_writers import CSVLines, JSONLines  # noqa: PLC0415

    cdr = CDR(start=moment.replace(tzinfo=zone), end=moment.replace(tzinfo=zone))
    assert arrow_rows(to_arrow([cdr])) == comparable([cdr])
    assert arrow_rows(to_arrow([cdr], timezone=ZURICH)) == comparable([cdr])
    table = CSVLines(make_layout())
    assert csv_rows(table.header + table.encode([cdr])) == comparable([cdr])
    assert json_rows(JSONLines(make_layout()).encode([cdr])) == comparable([cdr])


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        (ZURICH, "Europe/Zurich"),
        (UTC, "UTC"),
        (timezone(timedelta(hours=5, minutes=45)), "+05:45"),
        (timezone(-timedelta(hours=3, minutes=30)), "-03:30"),
        (None, "UTC"),
    ],
    ids=str,
)
async def test_the_zone_of_a_table(
    make_client: MakeClient, tmp_path: Path, zone: tzinfo | None, name: str
) -> None:
    """The columns are in the provider's zone, by its name or its offset."""
    assert to_arrow([], timezone=zone).schema.field("start").type.tz == name
    if zone is None:
        return
    client = make_client(Provider([call(f"{DAY}")]), timezone=zone)
    target = tmp_path / "calls.parquet"
    await export(client.cdrs(DAY, NEXT_DAY), target)
    assert pyarrow.parquet.read_schema(target).field("start").type.tz == name
    (found,) = read(target)
    assert found == comparable(await client.cdrs(DAY, NEXT_DAY).to_list())[0]


COSTS = ("0", "-0.5", "1E+3", "1e-10", "0E-30", "12345678901234567890.0123456789", "1.50000")


@pytest.mark.parametrize("cost", [*COSTS, "1E-11", "1E+29", "9" * 30])
@pytest.mark.parametrize("form", EXACT)
async def test_costs(make_client: MakeClient, tmp_path: Path, form: Format, cost: str) -> None:
    """A cost keeps each digit, or does not fit, and then nothing is rounded in silence."""
    client = make_client(Provider([call(f"{DAY}", cc_cost=cost)]))
    target = tmp_path / f"calls.{form}"
    if form == "parquet" and cost not in COSTS:
        with pytest.raises(UnfitValueError, match=r"cc_cost.*CSV or JSON Lines"):
            await export(client.cdrs(DAY, NEXT_DAY), target)
        return
    await export(client.cdrs(DAY, NEXT_DAY), target)
    (row,) = read(target)
    assert row[COLUMNS.index("cc_cost")] == Decimal(cost)


@pytest.mark.usefixtures("_whenever")
async def test_what_does_not_fit_keeps_the_rest(make_client: MakeClient, tmp_path: Path) -> None:
    """A number that Parquet cannot hold is an error, and what was written before it stays."""
    sent = [call(f"{DAY + number * HOUR + HOUR / 2}") for number in range(5)]
    provider = Provider([*sent[:3], {**sent[3], "sequence": f"{2**63}"}, sent[4]])
    client = make_client(provider)
    target = tmp_path / "calls.parquet"
    for resume, requests in ((False, 24), (True, 21)):
        provider.reset()
        with pytest.raises(UnfitValueError, match="sequence"):
            await export(client.cdrs(DAY, NEXT_DAY, window=HOUR), target, resume=resume)
        assert not target.exists()
        assert len(provider.requests) <= requests
        assert min(got.datefrom or "" for got in provider.requests) == (
            f"{DAY + 3 * HOUR - SECOND}" if resume else f"{DAY}"
        )
    # Once the provider sends another number, it is resumed.
    provider = Provider(sent)
    await export(make_client(provider).cdrs(DAY, NEXT_DAY, window=HOUR), target, resume=True)
    assert len(read(target)) == 5
    for form in ("csv", "jsonl"):
        huge = make_client(Provider([call(f"{DAY}", sequence=f"{10**40}")]))
        await export(huge.cdrs(DAY, NEXT_DAY), tmp_path / f"calls.{form}")
        assert read(tmp_path / f"calls.{form}")[0][COLUMNS.index("sequence")] == 10**40


def test_to_arrow_says_what_does_not_fit() -> None:
    """A table says so too, with the column."""
    start = datetime(2024, 3, 5, tzinfo=UTC)
    with pytest.raises(UnfitValueError, match="billsec"):
        to_arrow([CDR(start=start, billsec=-(2**63) - 1)])
    assert to_arrow([CDR(start=start, billsec=-(2**63))])["billsec"].to_pylist() == [-(2**63)]


def test_to_arrow_takes_any_iterable() -> None:
    """Records may come one by one, and those of several zones stand in that of the first."""
    zones = (ZURICH, UTC)
    cdrs = [CDR(start=datetime(2024, 3, 5, 12, tzinfo=zone), clid=f"{zone}") for zone in zones]
    table = to_arrow(cdr for cdr in cdrs)
    assert arrow_rows(table) == comparable(cdrs)
    assert table.schema.field("start").type == pa.timestamp("us", tz="Europe/Zurich")


# Names of formats


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.csv", "csv"),
        ("a.CSV", "csv"),
        ("a.tar.jsonl", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.parquet", "parquet"),
        ("a.pq", "parquet"),
        ("a.xlsx", "xlsx"),
    ],
)
def test_the_format_by_the_name(name: str, form: Format) -> None:
    """The suffix tells the format."""
    assert format_of(name) == form


@pytest.mark.parametrize("name", ["a", "a.xls", ".csv", "a.csv.gz", ""])
async def test_a_name_that_tells_no_format(client: BoxisClient, tmp_path: Path, name: str) -> None:
    """Another suffix is refused, with those that there are; a format by name is taken."""
    with pytest.raises(UsageError, match=r"\.csv, \.jsonl"):
        format_of(name)
    with pytest.raises(UsageError):
        await export(client.cdrs(DAY, NEXT_DAY), tmp_path / name)
    if name:
        await export(client.cdrs(DAY, NEXT_DAY), tmp_path / name, format="csv")
        assert len(read(tmp_path / name, "csv")) == 24


async def test_a_format_that_there_is_not(client: BoxisClient, tmp_path: Path) -> None:
    """A format that there is not is refused before a request."""
    with pytest.raises(UsageError, match="csv, jsonl, parquet"):
        await export(client.cdrs(DAY, NEXT_DAY), tmp_path / "a.csv", format="xml")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="format"):
        await write(client.cdrs(DAY, NEXT_DAY), io.BytesIO(), "xml")  # type: ignore[arg-type]
    assert names(tmp_path) == set()


def test_all_columns_are_fields() -> None:
    """The columns are the fields of a record, in their order."""
    assert list(attrs.fields_dict(CDR)) == COLUMNS
