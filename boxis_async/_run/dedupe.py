"""Each key once; what is dropped is counted by its kind, so that no loss is silent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable
from enum import Enum, auto
from hashlib import blake2b
from typing import Literal, TypeAlias

from boxis_async._wire.records import DIGEST_SIZE, digest, fingerprint, leg_text
from boxis_async.errors import UsageError
from boxis_async.models import CDR

from .fingerprint_table import Buckets

__all__ = ["Seen", "UniqueBy", "Verdict", "problem_with_unique_by"]

logger = logging.getLogger("boxis_async")

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
    """The records that a run has seen, by fingerprints of key, leg and content, or by digests.

    All are in one table. The first record of a key is found by the key, a further leg of that
    key by the leg, a further version of a leg by its content: so each is stored once, and found
    at once, however many share a key.
    """

    __slots__ = ("_are_digests", "_buckets", "_carried", "_function", "_keys", "_rule", "counts")

    def __init__(self, unique_by: UniqueBy, carried: Collection[bytes] = ()) -> None:
        """Know the records whose marks an earlier run carries over."""
        self._function = unique_by if callable(unique_by) else None
        self._rule = "function" if callable(unique_by) else unique_by
        # What is known by digests is met by digests; they take longer than fingerprints.
        self._are_digests = bool(carried)
        # A leg needs no room of its own where it is what a record is found by.
        size = (3 if unique_by == "uniqueid" else 2) * DIGEST_SIZE
        self._buckets = Buckets(size)
        # The keys that a function gave, as they are. What an earlier run hands on of a key is
        # its digest; a function's own keys are compared with these apart.
        self._keys: set[Hashable] = set()
        self._carried: set[bytes] = set()
        if self._function is not None:
            self._carried.update(mark[:DIGEST_SIZE] for mark in carried)
        self._compare([mark[-size:] for mark in carried])
        self.counts = dict.fromkeys(Verdict, 0)

    def mark(self, cdr: CDR) -> bytes:
        """Give what a later run needs to know a record again: digests of key, leg and content."""
        (entry,) = _ENTRIES[self._rule]([cdr], [_digests(cdr)], _digest)
        if self._rule == "uniqueid":
            return entry
        key = entry[:DIGEST_SIZE]
        if self._function is not None:
            key = _digest(repr(self._function(cdr)))
        return key + entry

    def names(self, cdrs: list[CDR], known_by: list[bytes]) -> list[bytes]:
        """Give what makes each record the same throughout this run: its key, or its content."""
        if self._function is not None:
            return [fingerprint(repr(self._function(cdr))) for cdr in cdrs]
        return [entry[:DIGEST_SIZE] for entry in self._entries(cdrs, known_by)]

    def compare(self, cdrs: list[CDR], known_by: list[bytes]) -> dict[int, Verdict]:
        """Take note of records, and tell what they are to those that came before them.

        Args:
            cdrs: The records.
            known_by: The fingerprints of each, see `Readings`.

        Returns:
            The verdicts on those that are not the first with their key, by their number.

        Raises:
            UsageError: The user's key function gave something that cannot be a key.
        """
        verdicts = self._compare(self._entries(cdrs, known_by))
        if self._function is not None:
            verdicts = self._compare_keys(self._function, cdrs, verdicts)
        self.counts[Verdict.NEW] += len(cdrs) - len(verdicts)
        for verdict in verdicts.values():
            self.counts[verdict] += 1
            if self.counts[verdict] == 1 and (advice := self._advice(verdict)):
                logger.warning(advice)
        return verdicts

    def _entries(self, cdrs: list[CDR], known_by: list[bytes]) -> list[bytes]:
        """Give what the table holds of each record.

        That is its place, by which the first of a key is found, its leg where that is another,
        and its content.
        """
        if self._are_digests:
            return _ENTRIES[self._rule](cdrs, [*map(_digests, cdrs)], _digest)
        return _ENTRIES[self._rule](cdrs, known_by, fingerprint)

    def _compare(self, entries: list[bytes]) -> dict[int, Verdict]:
        """Likewise by their entries, whatever a user's function makes of them."""
        held_by = self._buckets.hold(entries)
        return {number: self._further(held, entries[number]) for number, held in held_by.items()}

    def _further(self, held: bytes, entry: bytes) -> Verdict:
        """Take note of a further record of a key, beside the entries that hold its first."""
        content = entry[-DIGEST_SIZE:]
        if content in held:
            return Verdict.DUPLICATE
        of_leg, leg = entry[:-DIGEST_SIZE], entry[DIGEST_SIZE:-DIGEST_SIZE]
        if of_leg not in held:
            at = blake2b(of_leg, digest_size=DIGEST_SIZE).digest()
            others = self._buckets.hold([at + leg + content])
            if not others:
                return Verdict.CONFLICT
            if content in others[0]:
                return Verdict.DUPLICATE
        is_known = bool(self._buckets.hold([content + leg + content]))
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


def _by_uniqueid(
    cdrs: list[CDR], known_by: list[bytes], name: Callable[[str], bytes]
) -> list[bytes]:
    return [
        (name(uniqueid) if (uniqueid := cdr.uniqueid) else known[DIGEST_SIZE:]) + known
        for cdr, known in zip(cdrs, known_by, strict=True)
    ]


def _by_leg(_: list[CDR], known_by: list[bytes], __: Callable[[str], bytes]) -> list[bytes]:
    return known_by


def _by_any_leg(
    cdrs: list[CDR], known_by: list[bytes], name: Callable[[str], bytes]
) -> list[bytes]:
    """Likewise for a function's keys, which decide also where there is no uniqueid."""
    return [
        known if cdr.uniqueid else name(leg_text(cdr)) + known[DIGEST_SIZE:]
        for cdr, known in zip(cdrs, known_by, strict=True)
    ]


_ENTRIES = {"uniqueid": _by_uniqueid, "leg": _by_leg, "function": _by_any_leg}


def _digests(cdr: CDR) -> bytes:
    """Give digests of a record's leg and content, in place of its fingerprints."""
    content = digest(cdr)
    return (_digest(leg_text(cdr)) if cdr.uniqueid else content) + content


def _digest(told: str) -> bytes:
    return blake2b(told.encode("utf-8", "surrogatepass"), digest_size=DIGEST_SIZE).digest()
