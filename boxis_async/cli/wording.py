"""Texts of the library in the words of the command line: options for Python's arguments."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["in_options"]

_WORDS: Final = (
    (r"\bawait client\.probe\(\), or boxis probe, finds", "boxis probe finds"),
    (r", or allow_insecure=True if you know the whole way to be safe", ""),
    (r" \(RetryPolicy\.timeout\)", ""),
    (r" \(deadline\)", ""),
    (r'\bunique_by="(\w+)"', r"--unique-by \1"),
    (r"\bbase_url\b", "--base-url"),
    (r"\bapi_key\b", "--key"),
    (r"\brow_limit\b", "--row-limit"),
    (r"\bdatefrom\b", "--from"),
    (r"\bdateto\b", "--to"),
)


def in_options(text: str) -> str:
    """Name the options of the command line where a text names arguments of Python's."""
    for found, written in _WORDS:
        text = re.sub(found, written, text)
    return text
