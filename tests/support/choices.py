"""All that an argument may be, for tests that go through every choice."""

from __future__ import annotations

from typing import get_args

from boxis_async.testing import DATE_RULES, DateRule
from boxis_async.types import Order

ORDERS: tuple[Order, ...] = get_args(Order)
MODES: tuple[DateRule, ...] = tuple(rule for rule in DATE_RULES if rule.by != "within")
"""The rules by which a provider may choose the rows of a window.

Without those by which a call must lie within the dates as a whole: there a call that runs over a
boundary is in neither window.
"""
