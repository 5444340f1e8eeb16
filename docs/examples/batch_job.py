"""A nightly batch job: calls into a file of JSON lines; killed at any moment, it goes on.

Who asks, and where, comes from the environment: BOXIS_USERNAME, BOXIS_API_KEY, BOXIS_TENANT
and, for another address than the provider's, BOXIS_BASE_URL. Then, each night:

    python batch_job.py september.jsonl 2026-09-01 2026-10-01

Beside the file lies a checkpoint: how long the file was, and what it covered by then.
"""

import argparse
import asyncio
import json
import os
from datetime import date
from pathlib import Path

import attrs

from boxis_async import CDR, BoxisClient, CDRStream, Coverage, Stats


async def export(client: BoxisClient, lines: Path, datefrom: date, dateto: date) -> Stats:
    """Write the calls that start in a range to a file, or what is still missing of them."""
    checkpoint = lines.with_suffix(".checkpoint")
    resume = go_back(lines, checkpoint)
    async with client.cdrs(datefrom, dateto, unique_by="leg", clip="start", resume=resume) as calls:
        with lines.open("ab") as file:
            async for batch in calls.batches():
                # The next batch was asked for, so the file holds all that is covered.
                file.flush()
                save(checkpoint, file.fileno(), calls)
                file.writelines(map(line, batch.cdrs))
            file.flush()
            save(checkpoint, file.fileno(), calls)
        return calls.stats


def line(cdr: CDR) -> bytes:
    """Write one call."""
    return json.dumps(attrs.asdict(cdr), default=str).encode() + b"\n"


def go_back(lines: Path, checkpoint: Path) -> Coverage | None:
    """Cut the file back to its checkpoint, and tell what it covers."""
    if not checkpoint.exists():
        lines.unlink(missing_ok=True)
        return None
    told = json.loads(checkpoint.read_text("utf-8"))
    os.truncate(lines, told["length"])
    return Coverage.from_json(told["coverage"])


def save(checkpoint: Path, file: int, calls: CDRStream) -> None:
    """Note how long the file is, and what it covers, both or neither."""
    coverage = calls.coverage
    if coverage.unsealed:
        # Calls of the last day may still change: the next night fetches them again.
        return
    # On the disk before the checkpoint that counts on it.
    os.fsync(file)
    length = os.fstat(file).st_size
    new = checkpoint.with_suffix(".new")
    with new.open("w", encoding="utf-8") as text:
        json.dump({"length": length, "coverage": coverage.to_json()}, text)
        text.flush()
        os.fsync(text.fileno())
    new.replace(checkpoint)


async def main() -> None:
    """Read the arguments, and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", type=Path, help="the file to write")
    parser.add_argument("datefrom", type=date.fromisoformat, help="the first day")
    parser.add_argument("dateto", type=date.fromisoformat, help="the day after the last")
    arguments = parser.parse_args()
    async with BoxisClient() as client:
        stats = await export(client, arguments.lines, arguments.datefrom, arguments.dateto)
    print(f"{stats.records} calls in {stats.requests} requests, {stats.covered:.0%} covered")


if __name__ == "__main__":
    asyncio.run(main())
