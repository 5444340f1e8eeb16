"""LibreOffice opens what is exported, in a German and an English locale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from calls import DAY, MINUTE, NEXT_DAY, call
from spreadsheets import csv_filter, find_office, open_file

from boxis_async.export import export
from boxis_async.testing import Provider

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from conftest import MakeClient

    from boxis_async import CDRStream

pytestmark = [
    pytest.mark.spreadsheet,
    pytest.mark.slow,
    pytest.mark.subprocess,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        find_office() is None,
        reason="NOT TESTED: LibreOffice is absent (apt-get install libreoffice-calc)",
    ),
]

# What somebody may choose for the name that is shown.
HOSTILE = (
    "=1+1",
    "Meier;=1+1;x",
    "Meier,=1+1,x",
    "Meier|=1+1|x",
    "Meier\t=1+1\tx",
    "Meier\n=1+1",
    "Meier\r=1+1",
    "Meier\r\n=1+1\r\nx",
    '"=1+1"',
    'Meier;"=1+1;"',
    'Meier,"=1+1',
    'Meier";=1+1',
    "+41445550123",
    "-1+2",
    "@SUM(1)",
    "'=1+1",
    "＝1+1",  # noqa: RUF001
    "<r></is></c><c><f>1+1</f></c><c><is></r>",
    "\x07bell",
)
COLUMNS = ("start", "clid", "src", "duration", "cc_cost", "cc_date", "extra")


def stream(make_client: MakeClient) -> CDRStream:
    rows = [
        call(f"{DAY + at * MINUTE}", clid=text, src="0041445550101", cc_cost="0.04319",
             cc_date="2024-03-05", note=text)
        for at, text in enumerate(HOSTILE)
    ]  # fmt: skip
    return make_client(Provider(rows)).cdrs(DAY, NEXT_DAY, unique_by="leg")


@pytest.mark.parametrize("language", ["de", "en-US"])
async def test_a_workbook(make_client: MakeClient, tmp_path: Path, language: str) -> None:
    """Numbers of telephones are texts, times are times, costs numbers; nothing is a formula."""
    path = tmp_path / "calls.xlsx"
    await export(stream(make_client), path, columns=COLUMNS)
    ((header, *lines),) = open_file(path, language)
    assert [cell.value for cell in header] == [name.replace("_", " ") for name in COLUMNS]
    assert len(lines) == len(HOSTILE)
    for at, line in enumerate(lines):
        kinds = ["date", "string", "string", "float", "float", "date", "string"]
        assert [cell.kind for cell in line] == kinds
        assert {cell.formula for cell in line} == {None}
        moment = (DAY + at * MINUTE).isoformat()
        assert line[0].value in (moment, moment.removesuffix("T00:00:00"))
        assert line[2].value == "0041445550101"
        assert float(line[3].value) == 60
        assert float(line[4].value) == 0.04319
        assert line[5].value == "2024-03-05"
    assert lines[1][1].value == "Meier;=1+1;x"


SPELLINGS: list[tuple[str, str, dict[str, Any]]] = [
    ("en-US", ",", {"local_times": True}),
    ("de", ";", {"delimiter": ";", "bom": True, "local_times": True, "decimal_comma": True}),
]


@pytest.mark.parametrize(("language", "delimiter", "spelling"), SPELLINGS)
async def test_csv_in_its_own_country(
    make_client: MakeClient, tmp_path: Path, language: str, delimiter: str, spelling: dict[str, Any]
) -> None:
    """Opened as it is meant, times are times, costs are numbers, and no text is a formula."""
    path = tmp_path / "calls.csv"
    await export(stream(make_client), path, columns=COLUMNS, formula_safe=True, **spelling)
    ((header, *lines),) = open_file(path, language, csv_filter(delimiter, language))
    assert [cell.value for cell in header] == list(COLUMNS)
    assert len(lines) == len(HOSTILE)
    for line in lines:
        assert [cell.kind for cell in line][:1] == ["date"]
        assert (line[4].kind, float(line[4].value)) == ("float", 0.04319)
        assert {cell.formula for cell in line} == {None}


@pytest.mark.parametrize("own", [",", ";"])
@pytest.mark.parametrize("split_at", [",", ";", "\t", "|", ":"])
async def test_no_delimiter_makes_a_formula(
    make_client: MakeClient, tmp_path: Path, own: str, split_at: str
) -> None:
    """Where a spreadsheet splits at another delimiter than the file's, no part is a formula."""
    path = tmp_path / "calls.csv"
    await export(stream(make_client), path, columns=COLUMNS, formula_safe=True, delimiter=own)
    (lines,) = open_file(path, "en-US", csv_filter(split_at, "en-US"))
    assert len(lines) > len(HOSTILE)
    assert [cell for line in lines for cell in line if cell.formula is not None] == []


async def test_without_the_guard_there_would_be_formulas(
    make_client: MakeClient, tmp_path: Path
) -> None:
    """So the tests above would find one."""
    path = tmp_path / "calls.csv"
    await export(stream(make_client), path, columns=COLUMNS)
    (lines,) = open_file(path, "de", csv_filter(";", "de"))
    assert any(cell.formula for line in lines for cell in line)
