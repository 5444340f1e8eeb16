"""Which columns a file has, and the spelling of CSV for spreadsheets of other countries."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.parquet
import pytest
from calls import DAY, HOUR, MINUTE, NEXT_DAY, call
from exports import COLUMNS, EXACT, names, sheet_cells

from boxis_async import UsageError, WindowError, group_calls
from boxis_async.export import FORMATS, Format, export, unfinished, write
from boxis_async.testing import Fault, Provider, generate_calls

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import MakeClient

    from boxis_async import BoxisClient

READABLE = ["start", "direction", "caller", "name", "dialled"]
READABLE += ["outcome", "answered_by", "wait", "talk", "cost"]


async def written(client: BoxisClient, form: Format = "csv", **arguments: Any) -> bytes:  # noqa: ANN401
    file = io.BytesIO()
    await write(client.cdrs(DAY, NEXT_DAY, unique_by="leg"), file, form, **arguments)
    return file.getvalue()


def table(data: bytes, form: Format) -> list[list[object]]:
    """Read the header and the rows of a file, whatever its columns are."""
    if form == "csv":
        return list(csv.reader(io.StringIO(data.decode(), newline="")))  # type: ignore[arg-type]
    if form == "jsonl":
        rows = [json.loads(line) for line in data.decode().splitlines()]
        return [list(rows[0]), *(list(row.values()) for row in rows)]
    if form == "parquet":
        found = pyarrow.parquet.read_table(io.BytesIO(data), use_threads=False)
        return [found.column_names, *(list(row.values()) for row in found.to_pylist())]
    ((header, *lines),) = sheet_cells(data)
    return [[name.replace(" ", "_") for name in header], *lines]


RINGING = call(
    f"{DAY + 8 * HOUR}", answer=None, billsec="0", end=f"{DAY + 8 * HOUR + MINUTE}",
    disposition="NO ANSWER", userfield="[inbound]", clid='"Anna" <0041445550123>', cc_cost=None,
    firstdst="0041445550100", wherelanded="N/A",
)  # fmt: skip
TALKING = call(
    f"{DAY + 9 * HOUR}", answer=f"{DAY + 9 * HOUR + timedelta(seconds=7)}", billsec="53",
    userfield="[outbound]", src="301", clid='"301" <301>', dst="0041445550199",
    dstchannel="SIP/trunk-0001", wherelanded="", cc_cost="0.04319", firstdst="0041445550199",
)  # fmt: skip


@pytest.mark.parametrize("form", EXACT)
async def test_readable_columns(make_client: MakeClient, form: Format) -> None:
    """The readable columns say in the words of people what a leg was."""
    client = make_client(Provider([RINGING, TALKING]))
    header, first, second = table(await written(client, form, columns="readable"), form)
    assert header == READABLE
    expected: list[list[object]] = [
        ["inbound", "0041445550123", "Anna", "0041445550100", "NO ANSWER", "", 60, 0],
        ["outbound", "301", "301", "0041445550199", "ANSWERED", "trunk", 7, 53],
    ]
    for row, values in zip((first, second), expected, strict=True):
        assert [f"{value}" for value in row[1:9]] == [f"{value}" for value in values]
    assert float(f"{second[9]}") == 0.04319


@pytest.mark.parametrize("form", FORMATS)
async def test_chosen_columns(make_client: MakeClient, form: Format) -> None:
    """Columns stand in the order in which they are named: fields, and what only a call has."""
    client = make_client(Provider([RINGING, TALKING]))
    chosen = ["dst", "missed", "uniqueid", "talk_seconds"]
    for columns in (chosen, tuple(chosen), iter(chosen)):
        header, first, _ = table(await written(client, form, columns=columns), form)
        assert header == chosen
        assert first[0] == "201"
        assert f"{first[1]}".lower() == "true"
        assert first[2] == RINGING["uniqueid"]


@pytest.mark.parametrize("form", EXACT)
async def test_one_column(make_client: MakeClient, form: Format) -> None:
    """A file of one column has a row for each record, also where the value is empty."""
    rows = [call(f"{DAY + at * HOUR}", clid=text) for at, text in enumerate(("a", "", ""))]
    found = table(await written(make_client(Provider(rows)), form, columns=["clid"]), form)
    assert found == [["clid"], ["a"], [""], [""]]


async def test_each_column_has_the_value_of_its_name(make_client: MakeClient) -> None:
    """All fields named one by one are the file without a choice; what a call has is a call's."""
    client = make_client(Provider(generate_calls(DAY.date(), NEXT_DAY.date(), calls_per_day=30)))
    assert await written(client, columns=COLUMNS) == await written(client)
    names_ = ["outcome", "answered_by", "dialled", "outside", "wait_seconds", "cost", "legs"]
    rows = table(await written(client, "jsonl", columns=names_), "jsonl")[1:]
    legs = await client.cdrs(DAY, NEXT_DAY, unique_by="leg").to_list()
    expected = [group_calls([leg])[0].to_dict() for leg in legs]
    assert rows == [[one[name] for name in names_] for one in expected]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"columns": ["start", "no"]}, "no column 'no' of legs: name some of start, direction"),
        ({"columns": ["start", "start"]}, "start is named twice"),
        ({"columns": []}, "names of columns"),
        ({"columns": "start"}, "names of columns"),
        ({"columns": 5}, "names of columns"),
        ({"columns": [5]}, "names of columns"),
        ({"rows": "call"}, "rows must be legs or calls"),
        ({"rows": "calls", "columns": ["uniqueid"]}, "no column 'uniqueid' of calls"),
        ({"delimiter": ":"}, "delimiter must be one of"),
        ({"delimiter": ""}, "delimiter must be one of"),
        ({"decimal_comma": True}, "decimal_comma needs another delimiter"),
        ({"format": "jsonl", "bom": True}, "bom is for CSV"),
        ({"format": "xlsx", "delimiter": ";"}, "delimiter is for CSV"),
        ({"format": "parquet", "local_times": True}, "local_times is for CSV"),
        ({"format": "xlsx", "formula_safe": True}, "formula_safe is for CSV"),
    ],
)
async def test_what_is_refused(
    client: BoxisClient, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    """What cannot be is refused with what can, before a request."""
    stream = client.cdrs(DAY, NEXT_DAY, unique_by="leg")
    options = {"format": "csv"} | arguments
    with pytest.raises(UsageError, match=message):
        await export(stream, tmp_path / "calls", **options)
    form = options.pop("format")
    with pytest.raises(UsageError, match=message):
        await write(stream, io.BytesIO(), form, **options)
    assert not stream.is_begun
    assert names(tmp_path) == set()


async def test_the_spelling_for_a_german_spreadsheet(make_client: MakeClient) -> None:
    """Semicolons, a byte order mark, times on the wall clock, and a comma in the costs."""
    row = TALKING | {"cc_date": "2024-03-05", "clid": "Meier; Söhne, Bern", "answer": None}
    data = await written(
        make_client(Provider([row])),
        columns=["start", "answer", "clid", "cc_cost", "cc_date", "duration"],
        delimiter=";",
        bom=True,
        local_times=True,
        decimal_comma=True,
    )
    assert data.decode() == (
        "\ufeffstart;answer;clid;cc_cost;cc_date;duration\r\n"
        '2024-03-05 09:00:00;;"Meier; Söhne, Bern";0,04319;2024-03-05;60\r\n'
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
async def test_any_delimiter(make_client: MakeClient, delimiter: str) -> None:
    """What has the delimiter in it is quoted, and everything else comes back as it is."""
    texts = ["a", "a,b", "a;b", "a\tb", "a|b", 'a"b', "a\nb", "a\rb", ""]
    rows = [call(f"{DAY + at * HOUR}", clid=text) for at, text in enumerate(texts)]
    data = await written(make_client(Provider(rows)), columns=["clid", "dst"], delimiter=delimiter)
    lines = csv.reader(io.StringIO(data.decode(), newline=""), delimiter=delimiter)
    assert list(lines) == [["clid", "dst"], *([text, "201"] for text in texts)]


async def test_a_layout_is_part_of_an_unfinished_export(
    make_client: MakeClient, tmp_path: Path
) -> None:
    """It is recorded, and an export can only be resumed with the same one."""
    provider = Provider([RINGING, TALKING])
    client = make_client(provider)
    target = tmp_path / "calls.csv"
    layout: dict[str, Any] = {"columns": ["start", "dst"], "delimiter": ";", "local_times": True}

    provider.faults = lambda got: (
        Fault.refuse("no") if (got.datefrom or "") > f"{DAY + 11 * HOUR}" else None
    )

    def stream() -> Any:  # noqa: ANN401 - a stream
        return client.cdrs(DAY, NEXT_DAY, unique_by="leg", window=HOUR)

    with pytest.raises(WindowError):
        await export(stream(), target, **layout)
    provider.faults = []
    left = unfinished(target)
    assert left is not None
    assert (left.columns, left.delimiter, left.local_times) == (("start", "dst"), ";", True)
    for change in ({"columns": ["dst", "start"]}, {"delimiter": ","}, {"local_times": False}):
        with pytest.raises(UsageError, match="has another query"):
            await export(stream(), target, resume=True, **layout | change)
    await export(stream(), target, resume=True, **layout)
    assert target.read_text("utf-8").splitlines()[1:] == [
        "2024-03-05 08:00:00;201",
        "2024-03-05 09:00:00;0041445550199",
    ]
