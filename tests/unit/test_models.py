"""The frozen values that users hold."""

# Naive datetimes here are the provider's wall clock; a test hands over what types forbid.
# ruff: noqa: DTZ001, ANN401

from __future__ import annotations

import pickle
import re
import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from paths import ROOT

from boxis_async import e164
from boxis_async.models import (
    CDR,
    Batch,
    Direction,
    Disposition,
    Extra,
    Plan,
    Stats,
    Stretch,
    Window,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NOON = datetime(2024, 3, 5, 12)
WINDOW = Window(NOON, NOON + timedelta(hours=1))
CALL = CDR(start=NOON.replace(tzinfo=UTC), uniqueid="x", extra=Extra({"a": "b"}))
VALUES = [
    CALL,
    WINDOW,
    Window(None, None),
    Batch(WINDOW, (CALL,)),
    Plan((Stretch(NOON, NOON + timedelta(days=2), timedelta(hours=5)),), guess=True),
    Stats(records=5, covered=0.5),
    Disposition("VOICEMAIL"),
    Disposition.BUSY,
    Direction.LOCAL,
    Extra({"a": "b"}),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_pickle(value: object) -> None:
    """Every value that a user holds comes back from pickling as it was."""
    again = pickle.loads(pickle.dumps(value))
    assert again == value
    assert type(again) is type(value)
    assert repr(again) == repr(value)


@pytest.mark.parametrize(
    "value", [one for one in VALUES if attrs.has(type(one))], ids=lambda value: type(value).__name__
)
def test_values_are_frozen(value: Any) -> None:
    """No attribute of a value can be set or deleted."""
    for field in attrs.fields(type(value)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(value, field.name, None)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            delattr(value, field.name)
    assert hash(value) == hash(attrs.evolve(value))


def test_a_batch_is_one_windows_calls() -> None:
    """A batch is a window and its calls, possibly none."""
    assert Batch(WINDOW, ()).cdrs == ()
    assert Batch(WINDOW, (CALL,)).window is WINDOW


def test_windows_tell_their_length() -> None:
    """A window tells its length on the wall clock, and shows itself as it is asked for."""
    assert WINDOW.length == timedelta(hours=1)
    assert str(WINDOW) == "2024-03-05 12:00:00 to 2024-03-05 13:00:00"
    assert Window(None, None).length == timedelta(0)
    assert "everything" in str(Window(None, None))


def test_stats_begin_at_nothing() -> None:
    """Before a run everything counted is zero."""
    assert set(attrs.asdict(Stats()).values()) == {0}


def test_a_call_needs_a_start_only() -> None:
    """For tests of their own, users make a CDR of a start and what they need."""
    cdr = CDR(start=CALL.start)
    assert cdr.uniqueid == cdr.src == ""
    unset = (cdr.answer, cdr.end, cdr.duration, cdr.cc_cost, cdr.disposition)
    assert unset == (None,) * 5
    assert cdr.extra == {}
    with pytest.raises(TypeError):
        CDR()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        CDR("x")  # type: ignore[call-arg]


def test_a_leg_has_a_name() -> None:
    """The sequence tells legs of one uniqueid apart; without one, start and channels do."""
    assert attrs.evolve(CALL, sequence=7).leg == ("x", "7")
    assert CALL.leg == ("x", "2024-03-05 12:00:00 0", "", "")
    second = attrs.evolve(CALL, start=CALL.start.replace(fold=1))
    other = attrs.evolve(CALL, dstchannel="SIP/201-1")
    assert len({CALL.leg, second.leg, other.leg, attrs.evolve(CALL, channel="SIP/1").leg}) == 4


def test_extra_fields_are_not_shared() -> None:
    """The extra fields that calls have by default cannot be changed for all of them."""
    one, other = CDR(start=CALL.start), CDR(start=CALL.start)
    with pytest.raises(TypeError):
        one.extra["a"] = "b"
    assert other.extra == {}


@pytest.mark.parametrize("value", [None, 7, b"ANSWERED", ["ANSWERED"]])
def test_dispositions_are_texts(value: Any) -> None:
    """What is no text is no disposition."""
    with pytest.raises(ValueError, match="Disposition"):
        Disposition(value)


def test_dispositions_in_their_own_words() -> None:
    """The documented words are the members, each equal to its text and hashed like it."""
    assert [*Disposition] == ["NO ANSWER", "FAILED", "BUSY", "ANSWERED", "CONGESTION"]
    for word in Disposition:
        assert Disposition(word.value) is word
        assert hash(word) == hash(word.value)


@pytest.mark.parametrize("change", [repr, str, len, list])
def test_unknown_words_behave(change: Callable[[Any], object]) -> None:
    """An unknown disposition can be shown and measured like a text."""
    assert change(Disposition("VOICEMAIL"))
    assert "VOICEMAIL" in repr(Disposition("VOICEMAIL"))


@given(st.integers(1, 10_000_000), st.data())
@example(100, None)
@example(200, None)
def test_percent_never_claims_what_is_missing(whole: int, data: st.DataObject | None) -> None:
    """A share is rounded down, and so 100 per cent are all."""
    for part in range(whole + 1) if data is None else [data.draw(st.integers(0, whole)), whole - 1]:
        percent = Stats(covered=part / whole).percent
        assert percent == 100 * part // whole
        assert (percent == 100) == (part == whole)
    assert Stats(covered=1.0).percent == 100
    assert Stats().percent == 0


def test_a_percentage_is_rounded_in_one_place() -> None:
    """Neither the package nor a page lets Python round a share, as that makes 100 of 99.6."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("**/*.py")]
    for path in (*(ROOT / "boxis_async").rglob("*.py"), *pages):
        assert not re.search(r":[^{}\n]*\.\d%\}|task\.percentage", path.read_text("utf-8")), path


def test_nothing_long_is_remembered() -> None:
    """What a caller chose is remembered only if it is short: else he could fill the memory."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(1, 40):
            text = f"{number}" * 40_000
            cdr = CDR(start=datetime(2024, 3, 5, tzinfo=UTC), clid=text, src=text, userfield=text)
            assert cdr.direction is None
            assert cdr.caller_number == text
            assert e164(text) == text
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 2**20
