"""Each key once; what is dropped is counted by its kind, so that no loss is silent.

A record whose key was seen before is dropped, by the `sieve`. If its leg and its content were seen
too, it is a duplicate: nothing is lost. If the content differs, it is a revision; if the leg does,
a conflict.
"""

from __future__ import annotations

import logging
from enum import Enum, auto
from typing import TYPE_CHECKING

import attrs

from boxis_async._run.fingerprint_table import FingerprintTable
from boxis_async._run.key_rules import key_text
from boxis_async._wire.records import FINGERPRINT_SIZE
from boxis_async.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable

    from boxis_async._wire.records import Fingerprinter, Records
    from boxis_async.models import CDR
    from boxis_async.types import UniqueBy

__all__ = ["Deduplicator", "DropCounts", "Verdict"]

logger = logging.getLogger("boxis_async")

_CONFLICT = (
    "several legs share a uniqueid; only one of them is handed over. Use "
    'unique_by="leg" to have all of them (further ones are counted in stats.conflicts)'
)
_CONFLICT_BY_FUNCTION = (
    "the unique_by function gave one key to records that differ; only the first that "
    "came is handed over. Make the key tell them apart to have all of them (further ones are "
    "counted in stats.conflicts)"
)
_REVISION = (
    "a leg came again with other content, such as a cost worked out later; the first "
    "version handed over stays. Fetch the range again once it is at rest to have the "
    "last version (further ones are counted in stats.revisions)"
)


class Verdict(Enum):
    """What a record is to those that came before it."""

    NEW = auto()
    DUPLICATE = auto()
    CONFLICT = auto()
    REVISION = auto()


@attrs.define
class DropCounts:
    """How many records were dropped, by kind."""

    duplicates: int = 0
    conflicts: int = 0
    revisions: int = 0


class Deduplicator:
    """Knows the records of a run by their fingerprints.

    All are in one table. The first record of a key is found by the key, a further leg of that
    key by the leg, a further version of a leg by its content: so each is stored once, and found
    at once, however many share a key.
    """

    __slots__ = (
        "_carried_keys",
        "_entries",
        "_fingerprinter",
        "_function",
        "_keys",
        "_table",
        "counts",
    )

    def __init__(
        self, unique_by: UniqueBy, fingerprinter: Fingerprinter, carried: Collection[bytes] = ()
    ) -> None:
        """Know the records of an earlier run by their marks.

        Args:
            unique_by: What makes records the same.
            fingerprinter: Of this run, and of the earlier ones that it resumes.
            carried: What `marks` gave for those records.
        """
        self._function = unique_by if callable(unique_by) else None
        self._fingerprinter = fingerprinter
        # By leg, and by a function's own keys, a record is found by its leg: no room for a key.
        self._entries = self._by_uniqueid if unique_by == "uniqueid" else _by_leg
        size = (3 if unique_by == "uniqueid" else 2) * FINGERPRINT_SIZE
        self._table = FingerprintTable(size)
        # The keys that a function gave, as they are: equal keys can be written in different ways.
        # Of those that an earlier run carried there are only fingerprints.
        self._keys: set[Hashable] = set()
        self._carried_keys: set[bytes] = set()
        if self._function is not None:
            self._carried_keys.update(mark[:FINGERPRINT_SIZE] for mark in carried)
        self._verdicts([mark[-size:] for mark in carried])
        self.counts = DropCounts()

    def forget(self) -> None:
        """Let go of the records, as none follow: whoever keeps a stream or its error keeps this."""
        self._table = FingerprintTable(FINGERPRINT_SIZE)
        self._keys = set()
        self._carried_keys = set()

    def key_fingerprints(self, records: Records) -> list[bytes]:
        """Give each record's key, as a fingerprint that runs which resume this one give too."""
        function, fingerprint = self._function, self._fingerprinter.of
        if function is not None:
            return [fingerprint(key_text(function(cdr))) for cdr in records.cdrs]
        return [entry[:FINGERPRINT_SIZE] for entry in self._entries(records)]

    def marks(self, records: Records) -> list[bytes]:
        """Give what a later run recognises each record by: fingerprints of key, leg and content."""
        both = zip(self.key_fingerprints(records), records.fingerprints, strict=True)
        return [key + fingerprints for key, fingerprints in both]

    def compare(self, records: Records) -> dict[int, Verdict]:
        """Take note of records, and say what they are to those that came before them.

        Returns:
            The verdicts on those that are not the first with their key, by their number.

        Raises:
            UsageError: The user's key function gave something that cannot be a key.
        """
        verdicts = self._verdicts(self._entries(records))
        if self._function is not None:
            verdicts = self._verdicts_by_function(self._function, records.cdrs, verdicts)
        for verdict in verdicts.values():
            self._count(verdict)
        return verdicts

    def _by_uniqueid(self, records: Records) -> list[bytes]:
        fingerprint = self._fingerprinter.of
        # The texts of legs and contents never begin with "=". So a uniqueid never has the
        # fingerprint of a leg or a content in the same bucket.
        return [
            (
                fingerprint(f"={uniqueid}")
                if (uniqueid := cdr.uniqueid)
                else known[FINGERPRINT_SIZE:]
            )
            + known
            for cdr, known in zip(records.cdrs, records.fingerprints, strict=True)
        ]

    def _verdicts(self, entries: list[bytes]) -> dict[int, Verdict]:
        neighbours = self._table.add(entries)
        return {number: self._further(near, entries[number]) for number, near in neighbours.items()}

    def _further(self, near: bytes, entry: bytes) -> Verdict:
        """Take note of a further record of a key, and say what it is.

        Args:
            near: The entries of the table's bucket, with the first one of that key among them.
            entry: Key, if it is not the leg, then leg and content.
        """
        content = entry[-FINGERPRINT_SIZE:]
        if content in near:
            return Verdict.DUPLICATE
        key_and_leg, leg = entry[:-FINGERPRINT_SIZE], entry[FINGERPRINT_SIZE:-FINGERPRINT_SIZE]
        if key_and_leg not in near:
            # Another leg of this key. Its own place follows from both.
            place = self._fingerprinter.of(key_and_leg.hex())
            neighbours = self._table.add([place + leg + content])
            if not neighbours:
                return Verdict.CONFLICT
            if content in neighbours[0]:
                return Verdict.DUPLICATE
        # A further version of a known leg. Its content is its place, so that the same version is
        # found there when it comes once more.
        is_known = bool(self._table.add([content + leg + content]))
        return Verdict.DUPLICATE if is_known else Verdict.REVISION

    def _verdicts_by_function(
        self,
        function: Callable[[CDR], Hashable],
        cdrs: list[CDR],
        verdicts: dict[int, Verdict],
    ) -> dict[int, Verdict]:
        """Judge by a function's keys, now that duplicates are known."""
        by_key: dict[int, Verdict] = {}
        for number, cdr in enumerate(cdrs):
            verdict = verdicts.get(number, Verdict.NEW)
            if verdict is not Verdict.DUPLICATE:
                verdict = self._verdict_on_key(function(cdr), verdict)
            if verdict is not Verdict.NEW:
                by_key[number] = verdict
        return by_key

    def _verdict_on_key(self, key: Hashable, verdict: Verdict) -> Verdict:
        try:
            is_known = key in self._keys or (
                bool(self._carried_keys)
                and self._fingerprinter.of(key_text(key)) in self._carried_keys
            )
            self._keys.add(key)
        except TypeError as error:
            raise UsageError(
                f"unique_by gave {type(key).__name__}, which is not hashable: give a str or a tuple"
            ) from error
        if not is_known:
            return Verdict.NEW
        return Verdict.CONFLICT if verdict is Verdict.NEW else verdict

    def _count(self, verdict: Verdict) -> None:
        counts = self.counts
        if verdict is Verdict.DUPLICATE:
            counts.duplicates += 1
        elif verdict is Verdict.CONFLICT:
            counts.conflicts += 1
            if counts.conflicts == 1:
                logger.warning(_CONFLICT if self._function is None else _CONFLICT_BY_FUNCTION)
        else:
            counts.revisions += 1
            if counts.revisions == 1:
                logger.warning(_REVISION)


def _by_leg(records: Records) -> list[bytes]:
    return records.fingerprints
