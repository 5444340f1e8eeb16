"""Fixtures of the documentation's tests: a real browser."""

from browsing import browser

__all__ = ["browser"]
