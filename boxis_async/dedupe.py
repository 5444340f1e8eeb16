"""Each key once; what is dropped is counted by its kind, so that no loss is silent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable
from enum import Enum, auto
from hashlib import blake2b
from operator import add
from typing import Literal, TypeAlias

from .buckets import Buckets
from .errors import UsageError
from .models import CDR
from .records import DIGEST_SIZE, digest, fingerprint

__all__ = ["Seen", "UniqueBy", "Verdict", "problem_with_unique_by"]

logger = logging.getLogger("boxis_async")

_COLUMNS = range(0, 3 * DIGEST_SIZE, DIGEST_SIZE)
# A sequence below it leaves the first byte of a digest zero, and is told from a digest by that.
_SEQUENCES = 1 << 8 * (DIGEST_SIZE - 1)

UniqueBy: TypeAlias = Literal["uniqueid", "leg"] | Callable[[CDR], Hashable]

Found: TypeAlias = tuple[list[bytes], list[bytes]]
"""Of records, what the first one of each key is found by, and what tells each one's leg from
others of its key; no legs where a key is one."""


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
    """The records that a run has seen, by fingerprints of key, leg and content, or by digests.

    All are in one table. The first record of a key is found by the key, a further leg of that
    key by the leg, a further version of a leg by its content: so each is stored once, and found
    at once, however many share a key.
    """

    __slots__ = ("_buckets", "_carried", "_find", "_function", "_keys", "_name", "counts")

    def __init__(self, unique_by: UniqueBy, carried: Collection[bytes] = ()) -> None:
        """Know the records whose marks an earlier run carries over."""
        self._function = unique_by if callable(unique_by) else None
        self._find = _FINDERS["function" if callable(unique_by) else unique_by]
        # What is known by digests is met by digests; they take longer than fingerprints.
        self._name = _digest if carried else fingerprint
        # A leg needs no room of its own where it is what a record is found by.
        has_leg = unique_by == "uniqueid"
        self._buckets = Buckets((3 if has_leg else 2) * DIGEST_SIZE)
        # The keys that a function gave, as they are. What an earlier run hands on of a key is
        # its digest; a function's own keys are compared with these apart.
        self._keys: set[Hashable] = set()
        self._carried: set[bytes] = set()
        marks = [[mark[at : at + DIGEST_SIZE] for at in _COLUMNS] for mark in carried]
        if self._function is not None:
            self._carried.update(key for key, _, _ in marks)
        self._compare(
            [key if has_leg else leg for key, leg, _ in marks],
            [leg for _, leg, _ in marks] if has_leg else [],
            [content for _, _, content in marks],
        )
        self.counts = dict.fromkeys(Verdict, 0)

    def mark(self, cdr: CDR) -> bytes:
        """Give what a later run needs to know a record again: digests of key, leg and content."""
        content = digest(cdr)
        (place,), legs = self._find([cdr], [content], _digest)
        if self._function is not None:
            return _digest(repr(self._function(cdr))) + place + content
        return place + (legs[0] if legs else place) + content

    def names(self, cdrs: list[CDR], contents: list[bytes]) -> list[bytes]:
        """Give what makes each record the same throughout this run: its key, or its content."""
        if self._function is not None:
            return [fingerprint(repr(self._function(cdr))) for cdr in cdrs]
        return self._find(cdrs, contents, self._name)[0]

    def compare(self, cdrs: list[CDR], contents: list[bytes]) -> dict[int, Verdict]:
        """Take note of records, and tell what they are to those that came before them.

        Args:
            cdrs: The records.
            contents: What the content of each is known by.

        Returns:
            The verdicts on those that are not the first with their key, by their number.

        Raises:
            UsageError: The user's key function gave something that cannot be a key.
        """
        places, legs = self._find(cdrs, contents, self._name)
        if self._name is _digest:
            contents = [*map(digest, cdrs)]
        verdicts = self._compare(places, legs, contents)
        if self._function is not None:
            verdicts = self._compare_keys(self._function, cdrs, verdicts)
        self.counts[Verdict.NEW] += len(cdrs) - len(verdicts)
        for verdict in verdicts.values():
            self.counts[verdict] += 1
            if self.counts[verdict] == 1 and (advice := self._advice(verdict)):
                logger.warning(advice)
        return verdicts

    def _compare(
        self, places: list[bytes], legs: list[bytes], contents: list[bytes]
    ) -> dict[int, Verdict]:
        """Likewise by their places, whatever a user's function makes of them.

        Args:
            places: What the first record of each one's key is found by.
            legs: What tells each one's leg from others of its key; none where a key is a leg.
            contents: What the content of each is known by.

        Returns:
            The verdicts on those that are not new, by their number.
        """
        held_by = self._buckets.hold(places, [*map(add, legs, contents)] if legs else contents)
        return {
            number: self._further(
                held, places[number], legs[number] if legs else b"", contents[number]
            )
            for number, held in held_by.items()
        }

    def _further(self, held: bytes, place: bytes, leg: bytes, content: bytes) -> Verdict:
        """Take note of a further record of a key, beside the entries that hold its first."""
        if content in held:
            return Verdict.DUPLICATE
        if place + leg not in held:
            at = blake2b(place + leg, digest_size=DIGEST_SIZE).digest()
            of_leg = self._buckets.hold([at], [leg + content])
            if not of_leg:
                return Verdict.CONFLICT
            if content in of_leg[0]:
                return Verdict.DUPLICATE
        is_known = bool(self._buckets.hold([content], [leg + content]))
        return Verdict.DUPLICATE if is_known else Verdict.REVISION

    def _compare_keys(
        self,
        function: Callable[[CDR], Hashable],
        cdrs: list[CDR],
        verdicts: dict[int, Verdict],
    ) -> dict[int, Verdict]:
        """Tell likewise by a function's keys, now that copies are known."""
        by_key: dict[int, Verdict] = {}
        for number, cdr in enumerate(cdrs):
            verdict = verdicts.get(number, Verdict.NEW)
            if verdict is not Verdict.DUPLICATE:
                verdict = self._compare_key(function(cdr), verdict)
            if verdict is not Verdict.NEW:
                by_key[number] = verdict
        return by_key

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


def _find_uniqueids(cdrs: list[CDR], contents: list[bytes], name: Callable[[str], bytes]) -> Found:
    places = [
        name(uniqueid) if (uniqueid := cdr.uniqueid) else content
        for cdr, content in zip(cdrs, contents, strict=True)
    ]
    legs = [
        sequence.to_bytes(DIGEST_SIZE, "big")
        if (sequence := cdr.sequence) is not None and 0 <= sequence < _SEQUENCES
        else b"\xff" + name(_leg(cdr))[1:]
        for cdr in cdrs
    ]
    return places, legs


def _find_legs(cdrs: list[CDR], contents: list[bytes], name: Callable[[str], bytes]) -> Found:
    """Likewise where a leg is a key: there are no legs within it."""
    places = [
        name(_leg(cdr)) if cdr.uniqueid else content
        for cdr, content in zip(cdrs, contents, strict=True)
    ]
    return places, []


def _find_any_legs(cdrs: list[CDR], _: list[bytes], name: Callable[[str], bytes]) -> Found:
    """Likewise for a function's keys, which decide also where there is no uniqueid."""
    return [name(_leg(cdr)) for cdr in cdrs], []


_FINDERS = {"uniqueid": _find_uniqueids, "leg": _find_legs, "function": _find_any_legs}


def _leg(cdr: CDR) -> str:
    """Write `CDR.leg` as one text, which no other leg has."""
    sequence = cdr.sequence
    if sequence is not None:
        return f"{sequence} {cdr.uniqueid}"
    # Each part behind its length: ("ab", "c") and ("a", "bc") are different legs.
    return "".join(f":{len(part)}:{part}" for part in cdr.leg)


def _digest(told: str) -> bytes:
    return blake2b(told.encode("utf-8", "surrogatepass"), digest_size=DIGEST_SIZE).digest()
