"""Fixtures of the report's tests: a real browser."""

from browsing import browser

__all__ = ["browser"]
