"""Fetch a month of calls from a stand-in provider in the same process, without an account."""

import asyncio
from datetime import date

from boxis_async import BoxisClient
from boxis_async.testing import Provider, generate_calls

START, END = date(2026, 9, 1), date(2026, 10, 1)


async def main() -> None:
    """Print the missed legs of September."""
    provider = Provider(generate_calls(START, END, calls_per_day=40))
    async with (
        provider.client() as http_client,
        BoxisClient(
            "ops@example.com",
            "stand-in-key",
            tenant="VOICE-29001-1",
            http_client=http_client,
        ) as client,
    ):
        calls = client.cdrs(START, END, unique_by="leg")
        missed = [cdr async for cdr in calls if cdr.missed]
        print(f"{calls.stats.records} legs of calls in {calls.stats.requests} requests")
        print(f"{len(missed)} of them missed; the last three:")
        for cdr in missed[-3:]:
            print(f"  {cdr.start:%d %b %H:%M}  {cdr.caller_number}  {cdr.caller_name}")


if __name__ == "__main__":
    asyncio.run(main())
