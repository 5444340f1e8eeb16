"""Each key once; what is dropped is counted by its kind, so that no loss is silent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable
from enum import Enum, auto
from hashlib import blake2b
from typing import Literal, TypeAlias

from .errors import UsageError
from .models import CDR
from .records import DIGEST_SIZE

__all__ = ["Seen", "UniqueBy", "Verdict", "problem_with_unique_by"]

logger = logging.getLogger("boxis_async")

UniqueBy: TypeAlias = Literal["uniqueid", "leg"] | Callable[[CDR], Hashable]


class Verdict(Enum):
    """What a record is to those that came before it."""

    NEW = auto()
    DUPLICATE = auto()
    CONFLICT = auto()
    REVISION = auto()


def problem_with_unique_by(unique_by: object) -> str | None:
    """Say what is wrong with a key rule, or None."""
    if unique_by in ("uniqueid", "leg") or callable(unique_by):
        return None
    return f'unique_by must be "uniqueid", "leg" or a function of a CDR, not {unique_by!r}'


class Seen:
    """The records that a run has seen, each as digests of its key, leg and content."""

    __slots__ = ("_carried", "_contents", "_keys", "_legs", "_unique_by", "counts")

    def __init__(self, unique_by: UniqueBy, carried: Iterable[bytes] = ()) -> None:
        """Know the records whose marks an earlier run carries over."""
        self._unique_by = unique_by
        self._contents: set[bytes] = set()
        self._keys: set[Hashable] = set()
        self._legs: set[bytes] = set()
        # What an earlier run hands on of a key is its digest; a function's own keys are compared
        # with these apart.
        self._carried: set[bytes] = set()
        for mark in carried:
            self._carried.add(mark[:DIGEST_SIZE])
            self._legs.add(mark[DIGEST_SIZE : 2 * DIGEST_SIZE])
            self._contents.add(mark[2 * DIGEST_SIZE :])
        if not callable(unique_by):
            self._keys |= self._carried
        self.counts = dict.fromkeys(Verdict, 0)

    def mark(self, cdr: CDR, content: bytes) -> bytes:
        """Give what a later run needs to know a record again: digests of key, leg and content."""
        return self._key_digest(cdr) + _leg(cdr) + content

    def name(self, cdr: CDR, content: bytes) -> bytes:
        """Give a digest of what makes a record the same: its key, or else its content."""
        if not cdr.uniqueid and not callable(self._unique_by):
            return content
        return self._key_digest(cdr)

    def add(self, cdr: CDR, content: bytes) -> bool:
        """Take note of a record, and tell whether it is the first with its key.

        Args:
            cdr: The record.
            content: A digest of all that the provider sent for it.

        Raises:
            UsageError: The user's key function gave something that cannot be a key.
        """
        verdict = self._judge(cdr, content)
        self.counts[verdict] += 1
        if self.counts[verdict] == 1 and (advice := self._advice(verdict)):
            logger.warning(advice)
        return verdict is Verdict.NEW

    def _judge(self, cdr: CDR, content: bytes) -> Verdict:
        if content in self._contents:
            return Verdict.DUPLICATE
        self._contents.add(content)
        if not cdr.uniqueid and not callable(self._unique_by):
            # Known by its whole content, and that is new.
            return Verdict.NEW
        leg = _leg(cdr)
        is_same_leg = leg in self._legs
        self._legs.add(leg)
        if self._unique_by == "leg":
            return Verdict.REVISION if is_same_leg else Verdict.NEW
        key = self._unique_by(cdr) if callable(self._unique_by) else _digest(cdr.uniqueid)
        try:
            is_known = key in self._keys or self._is_carried(key)
            self._keys.add(key)
        except TypeError as error:
            raise UsageError(
                f"unique_by gave {type(key).__name__}, which is not hashable: give a str or a tuple"
            ) from error
        if not is_known:
            return Verdict.NEW
        return Verdict.REVISION if is_same_leg else Verdict.CONFLICT

    def _key_digest(self, cdr: CDR) -> bytes:
        if callable(self._unique_by):
            return _digest(repr(self._unique_by(cdr)))
        return _leg(cdr) if self._unique_by == "leg" else _digest(cdr.uniqueid)

    def _is_carried(self, key: Hashable) -> bool:
        """Tell whether an earlier run handed over what a function gave this key."""
        return (
            callable(self._unique_by)
            and bool(self._carried)
            and _digest(repr(key)) in self._carried
        )

    def _advice(self, verdict: Verdict) -> str | None:
        if verdict is Verdict.REVISION:
            return (
                "a leg came again with other content, such as a cost worked out later; the first "
                "version handed over stays. Fetch the range again once it is at rest to have the "
                "last version (further ones are counted in stats.revisions)"
            )
        if verdict is not Verdict.CONFLICT:
            return None
        if callable(self._unique_by):
            return (
                "the unique_by function gave one key to records that differ; only the first is "
                "handed over. Make the key tell them apart to have all of them (further ones are "
                "counted in stats.conflicts)"
            )
        return (
            "several legs share a uniqueid; only the first of them is handed over. Use "
            'unique_by="leg" to have all of them (further ones are counted in stats.conflicts)'
        )


def _leg(cdr: CDR) -> bytes:
    return _digest(*cdr.leg)


def _digest(*parts: str) -> bytes:
    # Each part behind its length: ("ab", "c") and ("a", "bc") are different keys.
    told = "".join(f"{len(part)}:{part}" for part in parts)
    return blake2b(told.encode("utf-8", "surrogatepass"), digest_size=DIGEST_SIZE).digest()
