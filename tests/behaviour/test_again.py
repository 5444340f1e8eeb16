"""A new stream of the same query: what it takes, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from calls import DAY, HOUR, NEXT_DAY

from boxis_async import UsageError

if TYPE_CHECKING:
    from boxis_async import BoxisClient
    from boxis_async.testing import Provider


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"dateto": "2024-03-06"}, "dateto must be a datetime or a date, not '2024-03-06'"),
        ({"resume": "{}"}, "resume must be a Coverage, as Coverage.from_json gives, not str"),
        ({"dateto": DAY - HOUR}, "give the earlier one first"),
    ],
)
def test_what_is_refused(client: BoxisClient, changed: dict[str, Any], problem: str) -> None:
    """What `cdrs()` refuses is refused here too, in the same words."""
    stream = client.cdrs(DAY, NEXT_DAY)
    with pytest.raises(UsageError) as caught:
        stream.again(**changed)
    assert problem in str(caught.value)
    with pytest.raises(UsageError) as of_a_new_one:
        client.cdrs(**({"datefrom": DAY, "dateto": NEXT_DAY} | changed))
    assert str(caught.value) == str(of_a_new_one.value)


async def test_an_end_of_everything(provider: Provider, client: BoxisClient) -> None:
    """A stream of everything has no start, so it is given no end: that would change nothing."""
    stream = client.cdrs()
    with pytest.raises(UsageError, match="dateto without datefrom"):
        stream.again(dateto=NEXT_DAY)
    assert provider.requests == []
    assert len(await stream.again().to_list()) == 24


def test_all_problems_at_once(client: BoxisClient) -> None:
    """Everything that is wrong comes in one error."""
    with pytest.raises(UsageError) as caught:
        client.cdrs(DAY).again(dateto=7, resume=7)  # type: ignore[arg-type]
    assert len(caught.value.problems) == 2
