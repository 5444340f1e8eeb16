"""Compares a range of a mirror with what the provider answers now, in little memory.

Both come in order of time, but not in the same order, so what only one of them has so far waits:
the digests of its content, and the leg itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from boxis_async.mirror.forgotten import Forgotten
from boxis_async.mirror.leg_rows import leg_key
from boxis_async.mirror.values import Difference, Verified

if TYPE_CHECKING:
    from datetime import datetime

    from boxis_async import CDR, CDRStream
    from boxis_async.mirror.facts import Facts
    from boxis_async.mirror.reads import CDRReader

__all__ = ["verify"]


async def verify(
    stream: CDRStream, legs: CDRReader | None, whole: Facts, pruned: datetime | None
) -> Verified:
    """Compare what a stream gives with the legs of a mirror."""
    forgotten = Forgotten(whole.key, whole.digests)
    here: dict[str, CDR] = {}
    there: dict[str, CDR] = {}
    different: list[Difference] = []
    same = left_out = 0
    is_read = legs is None
    try:
        async with stream:
            async for batch in stream.batches():
                for cdr in batch.cdrs:
                    if pruned is not None and cdr.start.replace(tzinfo=None) < pruned:
                        continue
                    if cdr in forgotten:
                        left_out += 1
                        continue
                    there[leg_key(cdr)] = cdr
                while legs is not None and not is_read and len(here) <= len(there):
                    leg = await anext(legs, None)
                    if leg is None:
                        is_read = True
                    else:
                        here[leg_key(leg)] = leg
                same += _match(here, there, different)
        while legs is not None and not is_read:
            leg = await anext(legs, None)
            if leg is None:
                is_read = True
            else:
                here[leg_key(leg)] = leg
        same += _match(here, there, different)
    finally:
        if legs is not None:
            await legs.aclose()
    return Verified(
        same=same,
        only_here=tuple(here.values()),
        only_there=tuple(there.values()),
        different=tuple(different),
        forgotten=left_out,
        requests=stream.stats.requests,
    )


def _match(here: dict[str, CDR], there: dict[str, CDR], different: list[Difference]) -> int:
    """Take out the legs that both have, and count those that are the same."""
    same = 0
    for key in here.keys() & there.keys():
        one, other = here.pop(key), there.pop(key)
        if one == other:
            same += 1
        else:
            different.append(Difference(here=one, there=other))
    return same
