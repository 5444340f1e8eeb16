"""What the tests of the exports share: files read back by readers of their own, and crashes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import threading
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from zoneinfo import ZoneInfo

import attrs
import openpyxl
import pyarrow.parquet

from boxis_async.export import Exported, Format, export, format_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from boxis_async import CDR, BoxisClient


MOMENTS = frozenset({"start", "answer", "end"})
WHOLES = frozenset({"duration", "billsec", "sequence", "prevsequence", "cc_type_id"})
COLUMNS = [
    "uniqueid",
    "start",
    "answer",
    "end",
    "clid",
    "src",
    "dst",
    "dcontext",
    "channel",
    "dstchannel",
    "lastapp",
    "lastdata",
    "duration",
    "billsec",
    "disposition",
    "amaflags",
    "accountcode",
    "userfield",
    "realsrc",
    "firstdst",
    "lastdst",
    "src_call_id",
    "prevuniqueid",
    "peeraccount",
    "sequence",
    "originateid",
    "linkedid",
    "wherelanded",
    "pincode",
    "prevsequence",
    "cc_peername",
    "cc_date",
    "cc_type",
    "cc_type_id",
    "cc_country",
    "cc_network",
    "cc_international",
    "cc_cost",
    "extra",
]
"""The columns, in order, written out: whoever reads the files relies on them."""

Comparable: TypeAlias = tuple[object, ...]
"""A record, its moments as the time since 1970 in UTC, so that no zone and no fold hides."""

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - subtracted from what has no zone any more


def since_1970(moment: datetime | None) -> timedelta | None:
    """Give a moment without computing in a calendar that begins with the year 1."""
    if moment is None:
        return None
    offset = moment.utcoffset()
    assert offset is not None
    return moment.replace(tzinfo=None) - EPOCH - offset


def comparable(cdrs: Iterable[CDR]) -> list[Comparable]:
    """Give records as they are to be read back, in order."""
    return [
        tuple(
            since_1970(value)
            if name in MOMENTS
            else tuple(sorted(value.items()))
            if name == "extra"
            else value
            for name, value in zip(COLUMNS, attrs.astuple(cdr, recurse=False), strict=True)
        )
        for cdr in cdrs
    ]


def read(path: Path, format: Format | None = None) -> list[Comparable]:  # noqa: A002 - the field's term
    """Read a file back, in order."""
    return READERS[format or format_of(path)](path.read_bytes())


def cells(data: bytes) -> list[list[str]]:
    """Read CSV to the letter of RFC 4180, and nothing else."""
    text = data.decode("utf-8")
    lines: list[list[str]] = []
    at, line = 0, list[str]()
    while at < len(text):
        if text[at] == '"':
            field, at = _quoted(text, at + 1)
        else:
            end = at
            while text[end] not in ',\r\n"':
                end += 1
            field, at = text[at:end], end
        line.append(field)
        if text[at] == ",":
            at += 1
            continue
        assert text[at : at + 2] == "\r\n", f"not the end of a line: {text[at : at + 9]!r}"
        at += 2
        lines.append(line)
        line = []
    assert not line, "the last line has no end"
    return lines


def _quoted(text: str, at: int) -> tuple[str, int]:
    field = ""
    while True:
        end = text.index('"', at)
        field += text[at:end]
        if text[end + 1] != '"':
            return field, end + 1
        field, at = f'{field}"', end + 2


def csv_rows(data: bytes) -> list[Comparable]:
    """Read the records of a CSV file."""
    header, *lines = cells(data)
    assert header == COLUMNS
    return [
        tuple(_from_cell(name, cell) for name, cell in zip(COLUMNS, line, strict=True))
        for line in lines
    ]


def _from_cell(name: str, cell: str) -> object:
    if name == "extra":
        return tuple(sorted(json.loads(cell).items())) if cell else ()
    if name in MOMENTS:
        return since_1970(datetime.fromisoformat(cell)) if cell else None
    if name in WHOLES:
        return int(cell) if cell else None
    if name == "cc_date":
        return date.fromisoformat(cell) if cell else None
    if name == "cc_cost":
        assert "e" not in cell.lower()
        return Decimal(cell) if cell else None
    return (cell or None) if name == "disposition" else cell


def json_rows(data: bytes) -> list[Comparable]:
    """Read the records of a file of JSON Lines."""
    assert not data or data.endswith(b"\n")
    rows: list[Comparable] = []
    for line in data.split(b"\n")[:-1]:
        row = json.loads(line.decode("utf-8"))
        assert list(row) == COLUMNS
        rows.append(tuple(_from_json(name, value) for name, value in row.items()))
    return rows


def _from_json(name: str, value: Any) -> object:  # noqa: ANN401 - JSON
    if value is None:
        return None
    if name == "extra":
        return tuple(sorted(value.items()))
    if name in MOMENTS:
        return since_1970(datetime.fromisoformat(value))
    if name == "cc_date":
        return date.fromisoformat(value)
    if name == "cc_cost":
        assert "e" not in value.lower()
        return Decimal(value)
    assert isinstance(value, int if name in WHOLES else str)
    return value


def parquet_rows(data: bytes) -> list[Comparable]:
    """Read the records of a Parquet file."""
    # To start threads takes longer than to read so few records.
    return arrow_rows(pyarrow.parquet.read_table(io.BytesIO(data), use_threads=False))


def arrow_rows(table: Any) -> list[Comparable]:  # noqa: ANN401 - pyarrow carries no types
    """Read the records of an Arrow table."""
    assert table.column_names == COLUMNS
    columns: list[list[object]] = []
    for name in COLUMNS:
        column = table[name]
        if name in MOMENTS:
            column = column.cast(pyarrow.int64())
        values = column.to_pylist()
        if name in MOMENTS:
            values = [None if value is None else timedelta(microseconds=value) for value in values]
        elif name == "extra":
            values = [tuple(sorted(value)) for value in values]
        columns.append(values)
    return list(zip(*columns, strict=True))


def sheet_cells(data: bytes) -> list[list[list[Any]]]:
    """Read the cells of a workbook, a list of rows for each sheet; formulas would be texts."""
    book = openpyxl.load_workbook(io.BytesIO(data))
    return [[list(row) for row in sheet.iter_rows(values_only=True)] for sheet in book.worksheets]


def sheet_rows(data: bytes) -> list[Comparable]:
    """Read the records of a workbook, whose times are on Zurich's wall clock."""
    rows: list[Comparable] = []
    for header, *lines in sheet_cells(data):
        assert [name.replace(" ", "_") for name in header] == COLUMNS
        rows += [tuple(map(_from_sheet, COLUMNS, line)) for line in lines]
    return rows


def _from_sheet(name: str, cell: Any) -> object:  # noqa: ANN401 - what a spreadsheet has
    if cell is None:
        unset = MOMENTS | WHOLES | {"cc_date", "cc_cost", "disposition"}
        return () if name == "extra" else None if name in unset else ""
    if name in MOMENTS | {"cc_date"}:
        assert isinstance(cell, datetime)
        zoned = cell.replace(tzinfo=ZoneInfo("Europe/Zurich"))
        return since_1970(zoned) if name in MOMENTS else cell.date()
    if name in WHOLES | {"cc_cost"}:
        assert isinstance(cell, (int, float))
        return Decimal(repr(cell)) if name == "cc_cost" else cell
    assert isinstance(cell, str)
    return tuple(sorted(json.loads(cell).items())) if name == "extra" else cell


READERS: dict[Format, Callable[[bytes], list[Comparable]]] = {
    "csv": csv_rows,
    "jsonl": json_rows,
    "parquet": parquet_rows,
    "xlsx": sheet_rows,
}
"""How the content of a file is read, by its format."""

EXACT: tuple[Format, ...] = ("csv", "jsonl", "parquet")
"""The formats that keep all: each moment, any number, and an empty text that is none."""


# Folders


def work_folder(target: Path) -> Path:
    """Give the place of the work in progress on a file."""
    return target.with_name(f"{target.name}.unfinished")


def names(folder: Path) -> set[str]:
    """Name all that stands in a folder, and in the folders in it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@contextmanager
def quick_folder() -> Iterator[Path]:
    """Make a folder, in memory where there is such a place: a checkpoint waits for the disk."""
    memory = Path("/dev/shm")
    where = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where) as folder:
        yield Path(folder).resolve()


OPTIONS = frozenset(
    {"format", "rows", "columns", "formula_safe", "resume", "overwrite", "progress"}
)
"""The arguments of `export()` beside the stream and the path; all others are the stream's."""


async def export_range(
    client: BoxisClient,
    path: Path,
    *range_: Any,  # noqa: ANN401 - whatever a stream takes
    **arguments: Any,  # noqa: ANN401 - whatever a stream or an export takes
) -> Exported:
    """Export a range, with arguments of the stream and of the export mixed."""
    options = {name: arguments.pop(name) for name in OPTIONS & arguments.keys()}
    return await export(client.cdrs(*range_, **arguments), path, **options)


@attrs.define
class Steps:
    """Copies a folder before each step on the disk in it: what a crash could leave there."""

    folder: Path
    copies: list[Path] = attrs.field(factory=list)
    _busy: bool = False

    def take(self, name: str) -> None:
        """Copy the folder, unless this is a step of the copying."""
        if self._busy:
            return
        self._busy = True
        try:
            copy = self.folder.with_name(f"{self.folder.name}-{len(self.copies):04}-{name}")
            shutil.copytree(self.folder, copy)
            self.copies.append(copy)
        finally:
            self._busy = False


_STEPS = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "fcntl.flock"})
_watching: Steps | None = None
_lock = threading.Lock()
_is_hooked = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    steps = _watching
    if steps is None or event not in _STEPS or not arguments:
        return
    first = arguments[0]
    # Within an open folder a step has the bare name of a file.
    if event == "fcntl.flock" or (
        isinstance(first, (str, os.PathLike))
        and (os.sep not in str(first) or str(first).startswith(f"{steps.folder}{os.sep}"))
    ):
        steps.take(event)


@contextmanager
def each_step(folder: Path) -> Iterator[Steps]:
    """Copy a folder before each step on the disk, from whichever thread; copies stand beside it."""
    global _watching, _is_hooked  # noqa: PLW0603 - Python takes a hook for good, and once
    with _lock:
        if not _is_hooked:
            sys.addaudithook(_hook)
            _is_hooked = True
        _watching = steps = Steps(folder)
        try:
            yield steps
        finally:
            _watching = None


def edit_journal(target: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Change a journal, and its checksum with it, as a program that wrote it so would."""
    path = work_folder(target) / "journal.json"
    values = json.loads(path.read_bytes())
    edit(values)
    rest = {name: value for name, value in values.items() if name not in ("version", "sum")}
    text = json.dumps(rest, sort_keys=True).encode()
    values["sum"] = hashlib.blake2b(text, digest_size=16).hexdigest()
    path.write_text(json.dumps(values))
