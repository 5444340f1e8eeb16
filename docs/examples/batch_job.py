"""A nightly batch job that writes the calls of each day to a file, and catches up on missed days.

Set BOXIS_USERNAME, BOXIS_API_KEY and BOXIS_TENANT in the environment. Set BOXIS_BASE_URL too if
the API is not at the provider's own address. Then run this each night at four:

    python batch_job.py /srv/calls

A file exists only when its day is complete. If a job is killed, or the provider fails, the next
job resumes what is unfinished.
"""

import argparse
import asyncio
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from boxis_async import BoxisClient, RefusedError, WindowError
from boxis_async.export import FORMATS, Format, export

ZONE = ZoneInfo("Europe/Zurich")  # the provider's zone, which is the client's default
DAY = timedelta(days=1)


async def export_days(client: BoxisClient, folder: Path, days: list[date], form: Format) -> int:
    """Export the days that have no file yet, and return how many failed."""
    failed = 0
    for day in days:
        target = folder / f"{day}.{form}"
        if target.exists():
            continue
        try:
            # With clip="start" each record is in one file: that of the day on which it starts.
            calls = client.cdrs(day, day + DAY, unique_by="leg", clip="start")
            done = await export(calls, target, resume=True)
        except WindowError as error:
            # A day that fails does not stop the others, but a refusal would meet them all.
            print(f"{day}: {error}", file=sys.stderr)
            failed += 1
            if isinstance(error.cause, RefusedError):
                break
        else:
            print(f"{day}: {done.records:,} records{', resumed' if done.resumed else ''}")
    return failed


async def main() -> int:
    """Read the arguments and export the days before today."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder for the files")
    parser.add_argument("--days", type=int, default=7, help="how many days to go back (default: 7)")
    parser.add_argument("--format", choices=FORMATS, default="jsonl")
    arguments = parser.parse_args()
    today = datetime.now(ZONE).date()
    days = [today - number * DAY for number in range(arguments.days, 0, -1)]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    async with BoxisClient() as client:
        failed = await export_days(client, arguments.folder, days, arguments.format)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
