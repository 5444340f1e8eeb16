"""A nightly batch job: the calls of each day into a file of its own, and of days that were missed.

Who asks, and where, comes from the environment: BOXIS_USERNAME, BOXIS_API_KEY, BOXIS_TENANT
and, for another address than the provider's, BOXIS_BASE_URL. Then, each night at four:

    python batch_job.py /srv/calls

A file is there when its day is complete, and not before. A job that was killed, or that the
provider failed, is made up for by the next one: it goes on where that one ended.
"""

import argparse
import asyncio
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from boxis_async import BoxisClient, RefusedError, WindowError
from boxis_async.export import FORMATS, Format, export

ZONE = ZoneInfo("Europe/Zurich")  # the provider's, as the client has it
DAY = timedelta(days=1)


async def export_days(client: BoxisClient, folder: Path, days: list[date], form: Format) -> int:
    """Export the days that are not there yet, and tell how many could not be had."""
    failed = 0
    for day in days:
        target = folder / f"{day}.{form}"
        if target.exists():
            continue
        try:
            # With clip="start" each call is in one file: that of the day on which it began.
            done = await export(
                client, target, day, day + DAY, unique_by="leg", clip="start", resume=True
            )
        except WindowError as error:
            # One day that fails does not hold up the others, unless none can be had.
            print(f"{day}: {error}", file=sys.stderr)
            failed += 1
            if isinstance(error.cause, RefusedError):
                break
        else:
            print(f"{day}: {done.records:,} records{', gone on with' if done.resumed else ''}")
    return failed


async def main() -> int:
    """Read the arguments, and export the days before today."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the files stand")
    parser.add_argument("--days", type=int, default=7, help="how many days back (default: 7)")
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
