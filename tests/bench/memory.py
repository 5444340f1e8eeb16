"""What a stream keeps of each record that was handed over: how many bytes, and are there peaks?

Streams records to a consumer that drops them, each run in a process of its own, and looks at
the peak of its memory after each window: as the system counts it, and as Python does. What the
peak has grown by since the first 100,000 records, by the records since, is what each takes; the
worst of all sizes up to the last is printed. Exits with 1 when that is more than the goal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time
import tracemalloc
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import httpx
from _contracts import KNOWN

from boxis_async import BoxisClient
from boxis_async.testing import generate_calls
from boxis_async.testing.answers import write_json

if TYPE_CHECKING:
    from boxis_async._run.dedupe import UniqueBy

START = datetime(2020, 1, 1)  # noqa: DTZ001 - the provider's wall clock
HOUR = timedelta(hours=1)
EACH_HOUR = 1000
BEFORE = 100_000
GOAL = 120
MEASURES = ("system", "python")


class Made(httpx.AsyncBaseTransport):
    """Makes up the records of an hour when asked for them, so that none are kept here."""

    def __init__(self) -> None:
        (row, *_) = generate_calls(START.date(), (START + 24 * HOUR).date(), calls_per_day=1)
        made = row | {"uniqueid": "@uniqueid", "start": "@start", "sequence": "@sequence"}
        made |= {"linkedid": "@uniqueid", "answer": "@start", "end": "@start"}
        text = write_json(made).decode().replace("%", "%%")
        for name in ("uniqueid", "start", "sequence"):
            text = text.replace(f"@{name}", f"%({name})s")
        self._template = text

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer with the hour's records, none of which lie on its ends."""
        form = parse_qs((await request.aread()).decode())
        begin = datetime.fromisoformat(form["datefrom"][0])
        epoch = int((begin - START).total_seconds()) + 1_577_836_800
        rows = ",".join(
            f'"call_{at}":'
            + self._template
            % {
                "uniqueid": f"sip022.voice.boxis.net-{epoch + at * 3}.{epoch % 7919 * 1000 + at}",
                "start": begin + timedelta(seconds=at * 3),
                "sequence": at,
            }
            for at in range(1, EACH_HOUR + 1)
        )
        return httpx.Response(200, text=f'{{"result":"1","params":{{"cdr":{{{rows}}}}}}}')


def peak(measure: str) -> int:
    """Give the peak of this process's memory so far, in bytes."""
    if measure == "python":
        return tracemalloc.get_traced_memory()[1]
    # In kibibytes, but on macOS in bytes.
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024


async def stream(unique_by: UniqueBy, measure: str, records: int) -> dict[str, float]:
    """Stream so many records, and give what each took, in bytes."""
    hours = -(-records // EACH_HOUR)
    peaks: list[tuple[int, int]] = []
    found = 0
    if measure == "python":
        tracemalloc.start()
    began = time.perf_counter()
    async with (
        httpx.AsyncClient(transport=Made()) as http_client,
        BoxisClient(
            "a@example.com", "key", tenant="T", http_client=http_client, contract=KNOWN
        ) as client,
    ):
        calls = client.cdrs(START, START + hours * HOUR, window=HOUR, unique_by=unique_by)
        async for cdr in calls:
            found += 1
            del cdr
            if found % EACH_HOUR == 0:
                peaks.append((found, peak(measure)))
    assert found == calls.stats.records == hours * EACH_HOUR
    (before,) = (size for count, size in peaks if count == BEFORE)
    # Over less than as many again, what passes would count for more than what stays.
    each = [(size - before) / (count - BEFORE) for count, size in peaks if count >= 2 * BEFORE]
    return {"last": each[-1], "worst": max(each), "seconds": time.perf_counter() - began}


def main(records: int) -> bool:
    """Run every combination in a process of its own, and return whether all reach the goal."""
    print(f"Python {sys.version.split()[0]}; bytes a record, from {BEFORE:,} to {records:,}\n")
    print("unique_by  measure  at the end  at the worst size  seconds")
    is_good = True
    for unique_by in ("uniqueid", "leg"):
        for measure in MEASURES:
            command = [sys.executable, __file__, "--records", str(records)]
            run = subprocess.run(
                [*command, "--unique-by", unique_by, "--measure", measure],
                check=True,
                capture_output=True,
            )
            found = json.loads(run.stdout)
            print(
                f"{unique_by:9}  {measure:7}  {found['last']:10.1f}  {found['worst']:17.1f}  "
                f"{found['seconds']:7.1f}",
                flush=True,
            )
            is_good &= found["worst"] <= GOAL
    return is_good


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--unique-by", choices=("uniqueid", "leg"))
    parser.add_argument("--measure", choices=MEASURES)
    arguments = parser.parse_args()
    if arguments.unique_by:
        print(
            json.dumps(
                asyncio.run(stream(arguments.unique_by, arguments.measure, arguments.records))
            )
        )
    else:
        sys.exit(not main(arguments.records))
