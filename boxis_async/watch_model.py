"""The values that a watch hands over, and what keeps its position."""

# No `from __future__ import annotations` here: the public classes say that they are from
# `boxis_async`, see its `__init__.py`, and annotations that are texts would be looked up there.

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import attrs

from boxis_async.call_model import Call
from boxis_async.models import CDR
from boxis_async.types import WatchCertainty

__all__ = ["CallChange", "Change", "ChangeKind", "Position"]

ChangeKind: TypeAlias = Literal["new", "changed"]
"""Whether something came for the first time, or in another version."""


@attrs.frozen(kw_only=True)
class Change:
    """A leg that is new, or that changed."""

    kind: ChangeKind
    """`"new"` for the first version of a leg, `"changed"` for each later one."""
    cdr: CDR
    """The leg as it is now."""
    previous: CDR | None = None
    """The leg as it was handed over before. None where it is new, and where only digests are kept:
    a `Mirror` as the position knows it."""
    tenant: str
    """The tenant whose leg it is."""


@attrs.frozen(kw_only=True)
class CallChange:
    """A call that is over, or that a later leg changed."""

    kind: ChangeKind
    """`"new"` for a call that is handed over for the first time, `"changed"` for each later time.
    """
    call: Call
    """The call, with all legs that are known by now."""
    previous: Call | None = None
    """The call as it was handed over before; None where it is new."""
    certainty: WatchCertainty
    """`"surely"` if the call is over for certain, so that a missed call stays missed. `"probably"`
    if it has been quiet, and somebody may still be talking: a record is written when its leg ends.
    """
    tenant: str
    """The tenant whose call it is."""


@runtime_checkable
class Position(Protocol):
    """What keeps the position of a watch: a `FilePosition`, a `Mirror`, or a class of your own.

    A position is one text, which nobody else has to understand.
    """

    async def load(self) -> str | None:
        """Return the text that was saved last; None if none was. Called once, at the first item."""
        ...

    async def save(self, position: str, changes: Sequence[Change]) -> None:
        """Keep a text, and with it, if you like, the legs that were handled since the last time.

        Whatever is kept of both must be kept together, or not at all.

        Args:
            position: The text, which replaces the one before.
            changes: The legs that were handled since the last `save`, in order.
        """
        ...

    async def previous(self, tenant: str, cdrs: Sequence[CDR]) -> Mapping[tuple[str, ...], CDR]:
        """Return the versions of legs that `save` kept, as far as it did, by `CDR.leg`.

        Args:
            tenant: The tenant whose legs they are.
            cdrs: The legs as they are now.
        """
        ...

    def release(self) -> None:
        """Let go of whatever `load` took hold of, such as a lock: the watch has ended.

        It may be called from any thread, and more than once.
        """
        ...
