"""A stream into a file that is open: memory, pipes, files that take little, readers that leave."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet
import pytest
from calls import DAY, HOUR, NEXT_DAY, SECOND, hourly
from exports import EXACT, READERS, comparable, csv_rows, json_rows, parquet_rows

from boxis_async import StreamClosedError, WindowError
from boxis_async.export import FORMATS, Format, IncompleteExportError, write
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from conftest import MakeClient

    from boxis_async import BoxisClient, Stats


@pytest.fixture(autouse=True)
def _small_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each batch be a row group of a Parquet file, which is written at once."""
    monkeypatch.setattr("boxis_async.export.arrow.ROW_GROUP", 1)


@pytest.mark.both_loops
@pytest.mark.parametrize("form", FORMATS)
async def test_into_memory(client: BoxisClient, form: Format) -> None:
    """What is written is what `to_list` gives; the file stays open, and the stream ends."""
    file = io.BytesIO()
    calls = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    seen: list[Stats] = []
    exported = await write(calls, file, form, progress=seen.append)
    assert not file.closed
    assert READERS[form](file.getvalue()) == comparable(await client.cdrs(DAY, NEXT_DAY).to_list())
    assert (exported.path, exported.records, exported.conflicts) == (None, 24, 0)
    assert (exported.stats, exported.resumed) == (calls.stats, False)
    assert [stats.records for stats in seen] == list(range(1, 25))
    file.write(b"more")


@pytest.mark.parametrize("form", FORMATS)
async def test_into_a_pipe(client: BoxisClient, form: Format) -> None:
    """A pipe takes each format, though nobody can go back in it."""
    into, out = os.pipe()
    with os.fdopen(into, "rb") as reading, os.fdopen(out, "wb") as writing:
        reader = asyncio.get_running_loop().run_in_executor(None, reading.read)
        await write(client.cdrs(DAY, NEXT_DAY, window=HOUR), writing, form)
        writing.close()
        data = await reader
    assert READERS[form](data) == comparable(await client.cdrs(DAY, NEXT_DAY).to_list())


@pytest.mark.parametrize("form", EXACT)
async def test_a_reader_that_leaves(provider: Provider, client: BoxisClient, form: Format) -> None:
    """A reader that leaves ends it with an OSError, and the stream with it."""
    into, out = os.pipe()
    with os.fdopen(out, "wb", buffering=0) as writing:
        calls = client.cdrs(DAY, NEXT_DAY, window=HOUR)

        def leave(stats: Stats) -> None:
            if stats.windows == 3:
                os.close(into)

        with pytest.raises(BrokenPipeError):
            await write(calls, writing, form, progress=leave)
        assert not writing.closed
    assert provider.in_flight == 0
    with pytest.raises(StreamClosedError):
        await anext(calls)


async def test_a_reader_of_a_workbook_that_leaves(client: BoxisClient) -> None:
    """A workbook is written at the end, so it shows only then that its reader has left."""
    into, out = os.pipe()
    os.close(into)
    with os.fdopen(out, "wb", buffering=0) as writing:
        with pytest.raises(BrokenPipeError):
            await write(client.cdrs(DAY, NEXT_DAY, window=HOUR), writing, "xlsx")
        assert not writing.closed


class Sparing(io.RawIOBase):
    """A file without a buffer, that takes seven bytes at a time."""

    def __init__(self) -> None:
        self.taken = bytearray()
        self.most: int | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int | None:  # noqa: ANN401 - any buffer
        if self.most is not None and len(self.taken) >= self.most:
            return None
        self.taken += bytes(data[:7])
        return len(data[:7])


@pytest.mark.parametrize("form", FORMATS)
async def test_a_file_that_takes_little(client: BoxisClient, form: Format) -> None:
    """A file that takes a part of what it is given is given the rest."""
    file = Sparing()
    await write(client.cdrs(DAY, NEXT_DAY), cast("BinaryIO", file), form)
    assert READERS[form](bytes(file.taken)) == comparable(
        await client.cdrs(DAY, NEXT_DAY).to_list()
    )


@pytest.mark.parametrize("form", FORMATS)
async def test_a_file_that_takes_no_more(client: BoxisClient, form: Format) -> None:
    """One that does not block, and takes no more, is an error: nothing is left out in silence."""
    file = Sparing()
    file.most = 1000
    with pytest.raises(BlockingIOError):
        await write(client.cdrs(DAY, NEXT_DAY), cast("BinaryIO", file), form)
    assert not file.closed


# A part must not look whole


def looks_whole(data: bytes) -> bool:
    try:
        pyarrow.parquet.read_table(io.BytesIO(data))
    except pa.ArrowInvalid:
        return False
    return True


@pytest.mark.parametrize("on_error", ["raise", "collect"])
async def test_a_parquet_stream_that_failed(make_client: MakeClient, on_error: str) -> None:
    """When a window fails, what was written of a Parquet file does not look whole."""
    provider = Provider(
        hourly(),
        faults=lambda got: (
            Fault.refuse("no") if got.datefrom == f"{DAY + 9 * HOUR - SECOND}" else None
        ),
    )
    file = io.BytesIO()
    calls = make_client(provider).cdrs(DAY, NEXT_DAY, window=HOUR, on_error=on_error)  # type: ignore[arg-type]
    with pytest.raises((WindowError, IncompleteExportError)):
        await write(calls, file, "parquet")
    assert len(file.getvalue()) > 1000
    assert not looks_whole(file.getvalue())
    assert not file.closed


@pytest.mark.both_loops
async def test_a_parquet_stream_that_was_cancelled(client: BoxisClient) -> None:
    """Nor when it is cancelled, or the progress raises, whenever that is."""
    expected = comparable(await client.cdrs(DAY, NEXT_DAY).to_list())
    for windows in (1, 12, 23, 24):
        file = io.BytesIO()
        task: asyncio.Task[Any]

        def cancel(stats: Stats, last: int = windows) -> None:
            if stats.windows + 1 == last:
                task.cancel()  # noqa: B023 - the one of this turn

        calls = client.cdrs(DAY, NEXT_DAY, window=HOUR)
        task = asyncio.ensure_future(write(calls, file, "parquet", progress=cancel))
        with pytest.raises(asyncio.CancelledError):
            await task
        # After the last batch it may be whole in time.
        assert not looks_whole(file.getvalue()) or (
            windows == 24 and parquet_rows(file.getvalue()) == expected
        )

    def fail(stats: Stats) -> None:
        raise LookupError(f"{stats}")

    file = io.BytesIO()
    with pytest.raises(LookupError):
        await write(client.cdrs(DAY, NEXT_DAY), file, "parquet", progress=fail)
    assert not looks_whole(file.getvalue())


class Failing(io.BytesIO):
    """A file that fails once, at a chosen write, and takes all others."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - any buffer
        self.left -= 1
        if self.left == 0:
            raise OSError(28, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("form", FORMATS)
async def test_a_write_that_fails(make_client: MakeClient, form: Format) -> None:
    """Whichever write fails, its error comes out, and no Parquet file looks whole."""
    client = make_client(Provider(hourly()[::6]))
    counting = Failing(0)
    await write(client.cdrs(DAY, NEXT_DAY, window=12 * HOUR), counting, form)
    writes = -counting.left
    assert writes >= 2
    for at in {*range(1, writes + 1, 7 if form == "parquet" else 1), writes - 1, writes}:
        file = Failing(at)
        with pytest.raises(OSError, match="No space left"):
            await write(client.cdrs(DAY, NEXT_DAY, window=12 * HOUR), file, form)
        assert not file.closed
        if form == "parquet":
            assert not looks_whole(file.getvalue())


# Streams


async def test_any_order(client: BoxisClient) -> None:
    """A stream in the order of completion is written as it comes."""
    file = io.BytesIO()
    calls = client.cdrs(DAY, NEXT_DAY, window=HOUR, order="completion")
    exported = await write(calls, file, "csv")
    expected = comparable(await client.cdrs(DAY, NEXT_DAY).to_list())
    assert sorted(csv_rows(file.getvalue()), key=str) == sorted(expected, key=str)
    assert exported.records == 24


async def test_a_stream_that_was_begun(client: BoxisClient) -> None:
    """Of a stream that was begun, what is still to come is written."""
    file = io.BytesIO()
    calls = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    first = [await anext(calls) for _ in range(5)]
    await write(calls, file, "jsonl")
    rest = json_rows(file.getvalue())
    assert comparable(first) + rest == comparable(await client.cdrs(DAY, NEXT_DAY).to_list())


async def test_no_thread_is_left(client: BoxisClient) -> None:
    """No thread of it is left."""
    await write(client.cdrs(DAY, NEXT_DAY), io.BytesIO(), "csv")
    assert not [
        thread for thread in threading.enumerate() if thread.name.startswith("boxis-export")
    ]
