"""Each key once; what is dropped is counted by its kind, so that no loss is silent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable
from enum import Enum, auto
from hashlib import blake2b
from typing import Literal, TypeAlias

from .buckets import Buckets
from .errors import UsageError
from .models import CDR
from .records import DIGEST_SIZE

__all__ = ["Seen", "UniqueBy", "Verdict", "problem_with_unique_by"]

logger = logging.getLogger("boxis_async")

_COLUMNS = range(0, 3 * DIGEST_SIZE, DIGEST_SIZE)
# A sequence below it leaves the first byte of a digest zero, and is told from a digest by that.
_SEQUENCES = 1 << 8 * (DIGEST_SIZE - 1)

UniqueBy: TypeAlias = Literal["uniqueid", "leg"] | Callable[[CDR], Hashable]


class Verdict(Enum):
    """What a record is to those that came before it."""

    NEW = auto()
    DUPLICATE = auto()
    CONFLICT = auto()
    REVISION = auto()

    # Each is there once. Enum's own hash, of the name, is computed in Python for every record.
    __hash__ = object.__hash__


def problem_with_unique_by(unique_by: object) -> str | None:
    """Say what is wrong with a key rule, or None."""
    if unique_by in ("uniqueid", "leg") or callable(unique_by):
        return None
    return f'unique_by must be "uniqueid", "leg" or a function of a CDR, not {unique_by!r}'


class Seen:
    """The records that a run has seen, each as digests of its key, leg and content.

    All are in one table. The first record of a key is found by the key, a further leg of that
    key by the leg, a further version of a leg by its content: so each is stored once, and found
    at once, however many share a key.
    """

    __slots__ = ("_buckets", "_carried", "_find", "_function", "_keys", "counts")

    def __init__(self, unique_by: UniqueBy, carried: Iterable[bytes] = ()) -> None:
        """Know the records whose marks an earlier run carries over."""
        self._function = unique_by if callable(unique_by) else None
        self._find = _FINDERS["function" if callable(unique_by) else unique_by]
        # A leg needs no room of its own where it is what a record is found by.
        has_leg = unique_by == "uniqueid"
        self._buckets = Buckets((3 if has_leg else 2) * DIGEST_SIZE)
        # The keys that a function gave, as they are. What an earlier run hands on of a key is
        # its digest; a function's own keys are compared with these apart.
        self._keys: set[Hashable] = set()
        self._carried: set[bytes] = set()
        for mark in carried:
            key, leg, content = (mark[at : at + DIGEST_SIZE] for at in _COLUMNS)
            if has_leg:
                self._compare(key, leg, content)
            else:
                self._compare(leg, b"", content)
            if self._function is not None:
                self._carried.add(key)
        self.counts = dict.fromkeys(Verdict, 0)

    def mark(self, cdr: CDR, content: bytes) -> bytes:
        """Give what a later run needs to know a record again: digests of key, leg and content."""
        place, leg = self._find(cdr, content)
        if self._function is not None:
            return self.name(cdr, content) + place + content
        return place + (leg or place) + content

    def name(self, cdr: CDR, content: bytes) -> bytes:
        """Give a digest of what makes a record the same: its key, or else its content."""
        if self._function is not None:
            return _digest(repr(self._function(cdr)))
        return self._find(cdr, content)[0]

    def add(self, cdr: CDR, content: bytes) -> bool:
        """Take note of a record, and tell whether it is the first with its key.

        Args:
            cdr: The record.
            content: A digest of all that the provider sent for it.

        Raises:
            UsageError: The user's key function gave something that cannot be a key.
        """
        verdict = self._compare(*self._find(cdr, content), content)
        if self._function is not None and verdict is not Verdict.DUPLICATE:
            verdict = self._compare_key(self._function(cdr), verdict)
        self.counts[verdict] += 1
        if verdict is Verdict.NEW:
            return True
        if self.counts[verdict] == 1 and (advice := self._advice(verdict)):
            logger.warning(advice)
        return False

    def _compare(self, place: bytes, leg: bytes, content: bytes) -> Verdict:
        """Take note of a record, and tell what it is to those that came before it.

        Args:
            place: The digest that the first record of its key is found by.
            leg: What tells the leg from others of that key; empty where a key is a leg.
            content: A digest of all that the provider sent for it.
        """
        hold = self._buckets.hold
        held = hold(place, leg + content)
        if held is None:
            return Verdict.NEW
        if content in held:
            return Verdict.DUPLICATE
        if place + leg not in held:
            held = hold(blake2b(place + leg, digest_size=DIGEST_SIZE).digest(), leg + content)
            if held is None:
                return Verdict.CONFLICT
            if content in held:
                return Verdict.DUPLICATE
        return Verdict.DUPLICATE if hold(content, leg + content) else Verdict.REVISION

    def _compare_key(self, key: Hashable, verdict: Verdict) -> Verdict:
        """Tell what a record that is no copy is to those to which a function gave its key."""
        try:
            is_known = key in self._keys or (
                bool(self._carried) and _digest(repr(key)) in self._carried
            )
            self._keys.add(key)
        except TypeError as error:
            raise UsageError(
                f"unique_by gave {type(key).__name__}, which is not hashable: give a str or a tuple"
            ) from error
        if not is_known:
            return Verdict.NEW
        return Verdict.CONFLICT if verdict is Verdict.NEW else verdict

    def _advice(self, verdict: Verdict) -> str | None:
        if verdict is Verdict.REVISION:
            return (
                "a leg came again with other content, such as a cost worked out later; the first "
                "version handed over stays. Fetch the range again once it is at rest to have the "
                "last version (further ones are counted in stats.revisions)"
            )
        if verdict is not Verdict.CONFLICT:
            return None
        if self._function is not None:
            return (
                "the unique_by function gave one key to records that differ; only the first is "
                "handed over. Make the key tell them apart to have all of them (further ones are "
                "counted in stats.conflicts)"
            )
        return (
            "several legs share a uniqueid; only the first of them is handed over. Use "
            'unique_by="leg" to have all of them (further ones are counted in stats.conflicts)'
        )


def _find_uniqueid(cdr: CDR, content: bytes) -> tuple[bytes, bytes]:
    """Give the digest that a key's first record is found by, and what tells its legs apart."""
    sequence = cdr.sequence
    if sequence is not None and 0 <= sequence < _SEQUENCES:
        leg = sequence.to_bytes(DIGEST_SIZE, "big")
    else:
        leg = b"\xff" + _digest(_leg(cdr))[1:]
    uniqueid = cdr.uniqueid
    return (_digest(uniqueid) if uniqueid else content), leg


def _find_leg(cdr: CDR, content: bytes) -> tuple[bytes, bytes]:
    """Likewise where a leg is a key: there are no legs within it."""
    return (_digest(_leg(cdr)) if cdr.uniqueid else content), b""


def _find_any_leg(cdr: CDR, _: bytes) -> tuple[bytes, bytes]:
    """Likewise for a function's keys, which decide also where there is no uniqueid."""
    return _digest(_leg(cdr)), b""


_FINDERS = {"uniqueid": _find_uniqueid, "leg": _find_leg, "function": _find_any_leg}


def _leg(cdr: CDR) -> str:
    """Write `CDR.leg` as one text, which no other leg has."""
    sequence = cdr.sequence
    if sequence is not None:
        return f"{sequence} {cdr.uniqueid}"
    # Each part behind its length: ("ab", "c") and ("a", "bc") are different legs.
    return "".join(f":{len(part)}:{part}" for part in cdr.leg)


def _digest(told: str) -> bytes:
    return blake2b(told.encode("utf-8", "surrogatepass"), digest_size=DIGEST_SIZE).digest()
