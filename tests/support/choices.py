"""All that an argument may be, for tests that go through every choice."""

from __future__ import annotations

from typing import get_args

from boxis_async.testing import FilterMode
from boxis_async.types import Order

ORDERS: tuple[Order, ...] = get_args(Order)
MODES: tuple[FilterMode, ...] = get_args(FilterMode)
"""The rules by which a provider may choose the rows of a window."""
