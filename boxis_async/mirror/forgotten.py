"""Numbers that are to be forgotten: which legs have one, without the number being kept.

A number is compared in one spelling, wherever a leg has one: who called, what was dialled, and
within channels and the data of applications. What is kept of it is a keyed digest. The key is in
the database too, as a later sync must recognise the number, so whoever has the database can check a
guess.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from boxis_async import UsageError, e164

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from boxis_async import CDR

__all__ = ["Forgotten", "number_digest", "numbers_of"]

_FEWEST: Final = 2
_DIGITS: Final = re.compile(r"\+?[0-9]{2,}")


class Forgotten:
    """The numbers of a mirror that are forgotten: `cdr in forgotten`.

    Args:
        key: Of the digests.
        digests: Of the numbers.
    """

    def __init__(self, key: bytes, digests: Collection[str]) -> None:
        self._key = key
        self._digests = frozenset(digests)

    def __contains__(self, cdr: CDR) -> bool:
        """Report whether a leg has a number that is forgotten."""
        if not self._digests:
            return False
        return any(_digest(number, self._key) in self._digests for number in numbers_of(cdr))


def number_digest(number: object, key: bytes) -> str:
    """Give the digest of a number that a user wrote.

    Raises:
        UsageError: It is no telephone number.
    """
    spelled = e164(number) if isinstance(number, str) else ""
    if len(re.sub(r"\D", "", spelled)) < _FEWEST:
        raise UsageError(
            "number must be a telephone number such as '+41445550123', or an extension such as "
            "'201'"
        )
    return _digest(spelled, key)


def numbers_of(cdr: CDR) -> Iterator[str]:
    """Give the numbers that stand in a leg, in one spelling."""
    numbers = {
        cdr.src,
        cdr.dst,
        cdr.caller_number,
        cdr.realsrc,
        cdr.firstdst,
        cdr.lastdst,
        cdr.pincode,
    }
    for text in (cdr.clid, cdr.channel, cdr.dstchannel, cdr.lastdata, cdr.wherelanded):
        numbers.update(_DIGITS.findall(text))
    for text in cdr.extra.values():
        numbers.update(_DIGITS.findall(text))
    for number in numbers:
        if number:
            yield e164(number)


def _digest(number: str, key: bytes) -> str:
    return blake2b(number.encode("utf-8", "surrogatepass"), key=key, digest_size=16).hexdigest()
