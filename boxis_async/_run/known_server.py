"""What a client knows of its server: from a contract, or learned from the answers.

It is of the server and not of a tenant, so that a client learns it once.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import attrs

from boxis_async.contract_model import Contract

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["KnownServer"]

logger = logging.getLogger("boxis_async")

# Smaller caps are not looked for, as every small answer would have to be proved.
_SMALLEST_CAP = 100


class KnownServer:
    """What is known of one server.

    Args:
        contract: What the user knows of it.
    """

    def __init__(self, contract: Contract | None = None) -> None:
        self._contract = contract or Contract()
        rule = self._contract.rule
        self.follows_within: bool | None = None if rule is None else rule == "within"
        self.ignores_dates = self._contract.dates_ignored
        self.row_cap = self._contract.row_cap
        # How many records an answer held at most. A server that cuts off cuts the largest first, so
        # whatever is smaller is whole.
        self._largest = self._contract.no_cap_up_to
        # One proof at a time: its result most often spares the others.
        self.proving = asyncio.Lock()

    @property
    def contract(self) -> Contract:
        """What is known, as a contract."""
        return attrs.evolve(
            self._contract,
            rule="within" if self.follows_within else self._contract.rule,
            row_cap=self.row_cap,
            no_cap_up_to=self._contract.no_cap_up_to if self.row_cap else self._largest,
            dates_ignored=self.ignores_dates,
        )

    @property
    def is_rule_stated(self) -> bool:
        """Whether a contract says what the dates are compared with."""
        return self._contract.rule is not None

    @property
    def longest_call(self) -> timedelta | None:
        """How long a call may be, as a contract says, on a server that follows *within*."""
        return self._contract.longest_call if self._contract.rule == "within" else None

    def see(self, count: int) -> None:
        """Learn that an answer held so many records."""
        self._largest = max(self._largest, count)

    def may_be_cut(self, count: int) -> bool:
        """Report whether an answer of so many records may be cut off."""
        if self.row_cap is not None:
            return count >= self.row_cap
        return count >= max(self._largest, _SMALLEST_CAP)

    def find_cap(self, count: int) -> None:
        """Learn that answers are cut off at so many records."""
        self.row_cap = count
        logger.warning(
            "the provider cuts answers off at %d records, without a word. Windows with so many are "
            "fetched in halves. Give contract=Contract(row_cap=%d) to spare the requests that "
            "found it",
            count,
            count,
        )

    def find_dates_ignored(self, count: int) -> None:
        """Learn that every answer holds everything."""
        self.ignores_dates = True
        logger.warning(
            "the provider ignores the two dates: an answer holds everything, %d records, or as "
            "many as an answer can hold, which no request shows. One is sent for a range",
            count,
        )
