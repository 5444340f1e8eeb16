"""Fetch a month of calls from a stand-in provider in the same process, without an account."""

import asyncio
from datetime import date

from boxis_async import BoxisClient, printable
from boxis_async.testing import Provider, generate_calls

START, END = date(2026, 9, 1), date(2026, 10, 1)


async def main() -> None:
    """Print the missed calls of September."""
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
        calls = await client.calls(START, END)
        missed = [call for call in calls if call.missed]
        print(f"{len(calls)} calls, of {sum(len(call.legs) for call in calls)} legs")
        print(f"{len(missed)} of them missed; the last three:")
        for call in missed[-3:]:
            # A caller chooses his name, and a terminal obeys some characters.
            caller = printable(f"{call.caller_number}  {call.caller_name}")
            print(f"  {call.start:%d %b %H:%M}  {caller}")


if __name__ == "__main__":
    asyncio.run(main())
