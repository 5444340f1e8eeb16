"""Texts of strangers, made harmless for whatever shows them."""

from __future__ import annotations

import json
import pickle
import sys
import traceback
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

import boxis_async
from boxis_async import (
    AuthenticationError,
    BoxisError,
    ClockError,
    RecordError,
    RefusedError,
    StatusError,
    UsageError,
    WindowError,
    printable,
)

HARMFUL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]52;c;ZXZpbA==\x07", r"\u001b[2J\u001b]52;c;ZXZpbA==\u0007"),
        ("\x1b]8;;https://evil.example\x1b\\here", r"\u001b]8;;https://evil.example\u001b\here"),
        ("a\r\n\tb\x00\x7f", r"a\r\n\tb\u0000\u007f"),
        ("\x85\x90\x9b31m\x9c", r"\u0085\u0090\u009b31m\u009c"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\u202eevil\u202c\u2066\u2069", r"\u202eevil\u202c\u2066\u2069"),
        ("\u200e\u200f\u061c", r"\u200e\u200f\u061c"),
        ("a\u200b\u200c\u200d\u2060", r"a\u200b\u200c\u200d\u2060"),
        ("\ufeff\xadb\u3164", r"\ufeff\u00adb\u3164"),
        ("\ud800\udfff", r"\ud800\udfff"),
        ("\U000e0041", r"\udb40\udc41"),
        ('Zoë "Łódź" <0041> \\ \xa0', 'Zoë "Łódź" <0041> \\ \xa0'),
        ("日本 🙂 ❤️ e\u0301", "日本 🙂 ❤️ e\u0301"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_is_written_instead(text: str, shown: str) -> None:
    """What acts or hides is written as JSON would, all else stays."""
    assert printable(text) == shown


@pytest.mark.slow
def test_all_characters() -> None:
    """Each character that controls, formats or separates is escaped, whatever stands around it."""
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        if unicodedata.category(character) in HARMFUL:
            shown = printable(f"a{character}é")
            assert shown == f"a{json.dumps(character)[1:-1]}é"


@given(st.text(st.characters(exclude_categories=())))
def test_once_is_enough(text: str) -> None:
    """What is printable stays as it is, and one line; in JSON the value is the same."""
    shown = printable(text)
    assert printable(shown) == shown
    assert not {unicodedata.category(one) for one in shown} & HARMFUL
    assert len(shown.splitlines()) <= 1
    written = printable(json.dumps(text, ensure_ascii=False))
    assert json.loads(written) == text
    written.encode("utf-8")


EVIL = "no\x1b[2J\x9b1m\r\n\u202e\u2028\x85"
SHOWN = r"no\u001b[2J\u009b1m\r\n\u202e\u2028\u0085"


@pytest.mark.parametrize(
    "error",
    [
        BoxisError(EVIL),
        UsageError(EVIL, EVIL),
        RefusedError(EVIL),
        AuthenticationError(EVIL),
        ClockError(EVIL, server_time=5),
        StatusError(f"HTTP status 302 to {EVIL}", status_code=302),
        RecordError(EVIL, position=EVIL, field=EVIL, value=EVIL),
        WindowError.of(RefusedError(EVIL), window=boxis_async.Window(None, None), tenant=EVIL,
                       attempts=1),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_errors_are_printable(error: BoxisError) -> None:
    """The text, the repr and the traceback of an error obey nobody; a pickle has it whole."""
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.args == error.args
    for shown in (str(error), repr(error), "".join(traceback.format_exception(error))):
        for line in shown.removesuffix("\n").split("\n"):
            assert printable(line) == line
    assert SHOWN.removeprefix("no") in str(error)


def test_attributes_of_errors_are_as_sent() -> None:
    """A program that looks at an error sees what was sent."""
    assert RefusedError(EVIL).text == EVIL
    assert RecordError("no number", value=EVIL).value == EVIL
    assert UsageError(EVIL).problems == (EVIL,)


def test_every_error_goes_one_way() -> None:
    """No error writes its own text past the root, which makes all of them printable."""
    errors = [getattr(boxis_async, name) for name in boxis_async.__all__ if name.endswith("Error")]
    assert [error for error in errors if "__str__" in vars(error)] == [BoxisError]
