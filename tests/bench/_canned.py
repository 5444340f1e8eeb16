"""A server of answers that are made beforehand, in a process of its own, so that it costs little.

It knows a window by its start, waits as long as its latency says, and answers. The library asks a
second more, as windows overlap. `serving` starts it, and gives its address.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import pickle
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from _http import running, serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from boxis_async.testing import Row

__all__ = ["START", "answer", "serving", "windows_of"]

START = datetime(2026, 1, 1)  # noqa: DTZ001 - the provider's wall clock


def answer(rows: Sequence[Row]) -> bytes:
    """Write an answer as PHP does."""
    records = {f"call_{number}": row for number, row in enumerate(rows, 1)}
    params = {"cdr": records} if rows else []
    document = {"result": "1", "resulttxt": "", "params": params, "timestamp": 1_767_225_600}
    return json.dumps(document, separators=(",", ":")).replace("/", "\\/").encode()


def windows_of(rows: Sequence[Row], count: int) -> tuple[timedelta, list[bytes]]:
    """Share rows out among windows of equal length, each record in one of them."""
    length = timedelta(hours=1)
    size = -(-len(rows) // count)
    bodies: list[bytes] = []
    for number in range(count):
        begin = START + number * length
        part = [
            _moved(row, begin + timedelta(seconds=1 + place % 3500))
            for place, row in enumerate(rows[number * size : (number + 1) * size])
        ]
        bodies.append(answer(part))
    return length, bodies


def _moved(row: Row, start: datetime) -> Row:
    """Give a row another start, and as long a call; none reaches into the next window."""
    moment = str(start)
    answer = moment if row["billsec"] not in (None, "0") else row["answer"]
    return {**row, "start": moment, "answer": answer, "end": str(start + timedelta(seconds=30))}


@contextlib.contextmanager
def serving(bodies: Mapping[str, tuple[float, bytes]]) -> Iterator[str]:
    """Serve answers by their windows' start, each after so many seconds, and give the address."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bodies"
        path.write_bytes(pickle.dumps(dict(bodies)))
        with running(__file__, str(path)) as url:
            yield url


if __name__ == "__main__":
    answers = pickle.loads(Path(sys.argv[1]).read_bytes())
    second_later = {
        str(datetime.fromisoformat(text) - timedelta(seconds=1)): text for text in answers
    }

    def answer_to(form: dict[str, list[str]]) -> tuple[float, bytes]:
        """Find the answer for a form."""
        text = form["datefrom"][0]
        found: tuple[float, bytes] = answers[second_later.get(text, text)]
        return found

    asyncio.run(serve(answer_to))
