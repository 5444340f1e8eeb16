"""Workbooks: what stands in their cells, sheets that are full, and what does not fit."""

from __future__ import annotations

import io
import sys
import zipfile
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import openpyxl
import pytest
from calls import DAY, HOUR, MINUTE, NEXT_DAY, call
from clients import ONCE_MORE, connected
from exports import COLUMNS, comparable, names, quick_folder, read, sheet_cells
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import texts

from boxis_async import MissingExtraError
from boxis_async.export import UnfitValueError, export, write
from boxis_async.export.workbook import MOST_ROWS
from boxis_async.testing import Provider, generate_calls

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import MakeClient

    from boxis_async import BoxisClient

FORMULAS = (
    "=1+1",
    "+41445550123",
    "-1",
    "@SUM(1)",
    "http://example.com",
    "0041445550101",
    "12:30",
    "TRUE",
    '<r></is></c><c r="A1"><f>1+1</f></c><c><is></r>',
    "<r>",
    "{=1+1}",
    "&amp;",
    " spaces ",
)


async def workbook_of(client: BoxisClient, **arguments: Any) -> bytes:  # noqa: ANN401
    file = io.BytesIO()
    await write(client.cdrs(DAY, NEXT_DAY, unique_by="leg"), file, "xlsx", **arguments)
    return file.getvalue()


async def test_a_weeks_calls(make_client: MakeClient, tmp_path: Path) -> None:
    """A workbook holds what `to_list` gives, in its order, every column of it."""
    begin, end = datetime(2024, 3, 4), datetime(2024, 3, 11)  # noqa: DTZ001
    client = make_client(Provider(generate_calls(begin.date(), end.date(), calls_per_day=20)))
    done = await export(client.cdrs(begin, end, unique_by="leg"), tmp_path / "calls.xlsx")
    cdrs = await client.cdrs(begin, end, unique_by="leg").to_list()
    assert read(tmp_path / "calls.xlsx") == comparable(cdrs)
    assert done.records == len(cdrs) > 100


async def test_no_text_is_anything_else(make_client: MakeClient) -> None:
    """Every text is a cell of text: no formula, no link, no number."""
    rows = [call(f"{DAY + at * MINUTE}", clid=text) for at, text in enumerate(FORMULAS)]
    data = await workbook_of(make_client(Provider(rows)), columns=["clid", "src"])
    sheet = openpyxl.load_workbook(io.BytesIO(data)).active
    assert sheet is not None
    found = [cell for (cell,) in sheet.iter_rows(min_row=2, max_col=1)]
    assert {cell.data_type for cell in found} == {"s"}
    assert {cell.number_format for cell in found} == {"@"}
    assert [cell.hyperlink for cell in found] == [None] * len(found)
    # XlsxWriter would take a text that begins so for XML of its own.
    assert [cell.value for cell in found] == [
        f"'{text}" if text.startswith("<r>") else text for text in FORMULAS
    ]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        xml = archive.read("xl/worksheets/sheet1.xml")
        assert b"<f>" not in xml
        assert not [name for name in archive.namelist() if "rels" in name and "sheet" in name]


@settings(max_examples=50)
@given(text=st.one_of(texts, st.builds("<r>{}</r>".format, texts)))
async def test_any_text_is_well_formed(text: str) -> None:
    """Whatever a caller's name is, the workbook can be read, and nothing in it is a formula."""
    provider = Provider([call(f"{DAY}", clid=text, userfield=text, note=text)])
    async with connected(provider, retry=ONCE_MORE) as client:
        data = await workbook_of(client)
    ((header, line),) = sheet_cells(data)
    assert len(header) == len(COLUMNS) >= len(line)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert b"<f" not in archive.read("xl/worksheets/sheet1.xml").replace(b"<font", b"")


async def test_how_cells_are_shown(make_client: MakeClient) -> None:
    """Times, days, durations and costs have formats; the header is fixed, and there is a filter."""
    row = call(
        "2024-07-05 08:33:30", answer=None, duration="3725", billsec=None, cc_cost="1.50000",
        cc_date="2024-07-05", userfield="[inbound]", dstchannel="SIP/301-01",
    )  # fmt: skip
    file = io.BytesIO()
    client = make_client(Provider([row]))
    stream = client.cdrs(datetime(2024, 7, 5), datetime(2024, 7, 6))  # noqa: DTZ001
    chosen = ["start", "answer", "cc_date", "duration", "billsec", "cc_cost", "talk", "missed"]
    await write(stream, file, "xlsx", columns=chosen)
    sheet = openpyxl.load_workbook(file).active
    assert sheet is not None
    header, cells = sheet.iter_rows()
    assert [cell.value for cell in header] == [name.replace("_", " ") for name in chosen]
    assert all(cell.font.bold for cell in header)
    assert [cell.value for cell in cells[:6]] == [
        datetime(2024, 7, 5, 8, 33, 30),  # noqa: DTZ001
        None,
        datetime(2024, 7, 5),  # noqa: DTZ001
        3725,
        None,
        1.5,
    ]
    assert cells[0].number_format == "yyyy-mm-dd hh:mm:ss"
    assert cells[5].number_format == "#,##0.00########"
    assert cells[6].number_format == "[h]:mm:ss"
    assert cells[6].value == timedelta(seconds=60)
    assert cells[7].value is True or cells[7].value is False
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:H2"


@pytest.mark.parametrize("rows", [0, 1, 4, 5, 8, 9])
async def test_a_sheet_that_is_full(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """What does not fit goes on in a further sheet, with a header and a filter of its own."""
    assert MOST_ROWS == 1_048_576
    monkeypatch.setattr("boxis_async.export.workbook.MOST_ROWS", 5)
    sent = [call(f"{DAY + at * MINUTE}", dst=f"{at}") for at in range(rows)]
    data = await workbook_of(make_client(Provider(sent)), columns=["start", "dst"])
    book = openpyxl.load_workbook(io.BytesIO(data))
    sheets = max(1, -(-rows // 4))
    assert book.sheetnames == ["Legs", "Legs 2", "Legs 3"][:sheets]
    found = sheet_cells(data)
    assert [sheet[0] for sheet in found] == [["start", "dst"]] * sheets
    assert [line[1] for sheet in found for line in sheet[1:]] == [row["dst"] for row in sent]
    for sheet, cells in zip(book.worksheets, found, strict=True):
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref == f"A1:B{len(cells)}"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("clid", "x" * 32_768, "32,768 characters"),
        ("clid", "😀" * 16_384, "32,768 characters"),
        ("sequence", "1234567890123456", "15 digits"),
        ("cc_cost", "0.1234567890123456", "15 digits"),
    ],
)
async def test_what_does_not_fit(
    make_client: MakeClient, tmp_path: Path, field: str, value: str, message: str
) -> None:
    """A text or a number that a cell would cut is an error, and what was fetched is kept."""
    rows = [call(f"{DAY}"), call(f"{DAY + HOUR}", **{field: value})]
    client = make_client(Provider(rows))
    target = tmp_path / "calls.xlsx"
    for resume in (False, True):
        with pytest.raises(UnfitValueError, match=f"{field}.*{message}"):
            await export(client.cdrs(DAY, NEXT_DAY, unique_by="leg"), target, resume=resume)
        assert names(tmp_path) == {
            "calls.xlsx.unfinished",
            *(f"calls.xlsx.unfinished/{name}" for name in ("journal.json", "keys", "legs", "lock")),
            "calls.xlsx.unfinished/whole.xlsx",
        } - ({"calls.xlsx.unfinished/lock"} - names(tmp_path))


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("clid", "x" * 32_767, "x" * 32_767),
        ("sequence", "123456789012345000000", 123456789012345e6),
        ("cc_cost", "1E+29", 1e29),
        ("cc_cost", "-0.123456789012345", -0.123456789012345),
        ("cc_date", "1899-12-31", "1899-12-31"),
        ("cc_date", "1900-02-28", "1900-02-28"),
        ("cc_date", "1900-03-01", datetime(1900, 3, 1)),  # noqa: DTZ001
        ("cc_date", "9999-12-31", datetime(9999, 12, 31)),  # noqa: DTZ001
    ],
)
async def test_what_just_fits(
    make_client: MakeClient, field: str, value: str, found: object
) -> None:
    """What a cell holds exactly is written; a day before spreadsheets count right is a text."""
    client = make_client(Provider([call(f"{DAY}", **{field: value})]))
    ((_, (cell,)),) = sheet_cells(await workbook_of(client, columns=[field]))
    assert cell == found


async def test_without_its_extra(
    client: BoxisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without XlsxWriter the message names the extra, before anything is sent."""
    for name in ("xlsxwriter", "xlsxwriter.exceptions", "xlsxwriter.utility"):
        monkeypatch.setitem(sys.modules, name, None)
    for stream in (client.cdrs(DAY, NEXT_DAY), client.cdrs(DAY, NEXT_DAY)):
        with pytest.raises(MissingExtraError, match=r"boxis-async\[excel\]"):
            await export(stream, tmp_path / "calls.xlsx")
        with pytest.raises(MissingExtraError, match=r"boxis-async\[excel\]"):
            await write(stream, io.BytesIO(), "xlsx")
        assert not stream.is_begun
    assert names(tmp_path) == set()


async def test_nothing_is_left_behind(
    client: BoxisClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a workbook needs while it is written is gone afterwards, also where a write failed."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    await write(client.cdrs(DAY, NEXT_DAY), io.BytesIO(), "xlsx")

    def fail(_: object) -> None:
        assert names(place)
        raise LookupError

    with pytest.raises(LookupError):
        await write(client.cdrs(DAY, NEXT_DAY), io.BytesIO(), "xlsx", progress=fail)
    assert names(place) == set()


async def test_sheets_of_a_run_that_was_killed(client: BoxisClient, tmp_path: Path) -> None:
    """What a killed run left of its sheets is removed by the next."""
    left = tmp_path / "calls.xlsx.unfinished" / "sheet-abc"
    left.mkdir(parents=True)
    (left / "tmp1").write_text("<row>")
    await export(client.cdrs(DAY, NEXT_DAY), tmp_path / "calls.xlsx")
    assert names(tmp_path) == {"calls.xlsx"}
    with quick_folder() as folder:
        assert names(folder) == set()
