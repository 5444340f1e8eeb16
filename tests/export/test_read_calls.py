"""Calls read back from an exported file: each as it was, or an error that names the row."""

from __future__ import annotations

import io
import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

import pytest
from exports import comparable, quick_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from legs import legs_of
from strategies import rows

from boxis_async import CDR, Call, LateLegError, UsageError, group_calls
from boxis_async.export import CallsFile, Format
from boxis_async.export.formats import make_writer
from boxis_async.export.layout import make_layout
from boxis_async.testing import generate_calls

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ZURICH = ZoneInfo("Europe/Zurich")
LEGS = legs_of(generate_calls(date(2026, 10, 1), date(2026, 10, 3), calls_per_day=30))
SPELLINGS: list[tuple[Format, dict[str, Any]]] = [
    ("csv", {}),
    ("csv", {"formula_safe": True}),
    ("csv", {"delimiter": ";", "decimal_comma": True, "bom": True}),
    ("csv", {"delimiter": "\t", "formula_safe": True}),
    ("jsonl", {}),
    ("parquet", {}),
]


def written(legs: Sequence[CDR | Call], format_: Format, **layout: Any) -> bytes:  # noqa: ANN401
    """Write legs as an export does."""
    file = io.BytesIO()
    writer = make_writer(format_, file, make_layout(**layout), timezone=ZURICH)
    writer.begin()
    writer.write(legs)
    writer.end()
    return file.getvalue()


def legs_in(read: CallsFile) -> list[CDR]:
    return sorted(
        (leg for call in read.calls() for leg in call.legs), key=lambda leg: repr(comparable([leg]))
    )


@pytest.mark.parametrize(("format_", "layout"), SPELLINGS)
@settings(max_examples=10)
@given(some=st.lists(rows(), max_size=4))
def test_legs_are_as_they_were(
    format_: Format, layout: dict[str, Any], some: list[dict[str, str | None]]
) -> None:
    """Legs of whatever texts are read back as they were, in each format and spelling."""
    legs = legs_of(some)
    with quick_folder() as folder:
        path = folder / f"calls.{format_}"
        path.write_bytes(written(legs, format_, **layout))
        found = legs_in(CallsFile.of(path, margin=timedelta(days=9999)))
    assert comparable(found) == comparable(sorted(legs, key=lambda leg: repr(comparable([leg]))))


def test_legs_in_whatever_order(tmp_path: Path) -> None:
    """A file that is not in order of time gives the same calls."""
    path = tmp_path / "calls.csv"
    calls = group_calls(LEGS)
    for legs, is_in_order in ((LEGS, True), (LEGS[::-1], False)):
        path.write_bytes(written(legs, "csv"))
        read = CallsFile.of(path)
        assert read.is_in_order == is_in_order
        found = sorted(read.calls(), key=lambda call: (call.start.timestamp(), call.id))
        assert found == sorted(calls, key=lambda call: (call.start.timestamp(), call.id))
        assert (read.first, read.last) == (calls[0].start, max(leg.start for leg in LEGS))


def test_a_call_that_is_quiet_for_long(tmp_path: Path) -> None:
    """A call that is quiet for longer than the margin is an error, and a longer margin helps."""
    row = {"uniqueid": "a", "linkedid": "a", "sequence": "1"}
    others = [
        {"uniqueid": f"x{hour}", "start": f"2026-10-05 {hour:02}:00:00"} for hour in range(24)
    ]
    legs = legs_of([
        row | {"start": "2026-10-05 00:30:00"},
        *others,
        row | {"start": "2026-10-05 23:30:00", "sequence": "2"},
    ])  # fmt: skip
    path = tmp_path / "calls.jsonl"
    path.write_bytes(written(sorted(legs, key=lambda leg: leg.start), "jsonl"))
    with pytest.raises(LateLegError, match="margin"):
        list(CallsFile.of(path).calls())
    calls = list(CallsFile.of(path, margin=timedelta(days=2)).calls())
    assert max(len(call.legs) for call in calls) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.rsplit(",", 3)[0], r"row \d+ .* fields"),
        (lambda text: text.replace("2026-10-01T", "someday", 1), r"row 1 .* start is"),
        (lambda text: text.replace('"', '"x"y', 1), "no export"),
    ],
)
def test_damage_is_found(tmp_path: Path, change: Any, words: str) -> None:  # noqa: ANN401
    """A row that is cut off or cannot be read is an error that names it, and never left out."""
    path = tmp_path / "calls.csv"
    path.write_text(cast("str", change(written(LEGS, "csv").decode())), "utf-8")
    with pytest.raises(UsageError, match=words):
        list(CallsFile.of(path).calls())


@pytest.mark.parametrize("rows", ["legs", "calls"])
@pytest.mark.parametrize("value", ["[" * 100_000, "9" * 9000, "1e999", '"' + "x" * 9000 + '"'])
def test_rows_that_nobody_wrote(tmp_path: Path, rows: str, value: str) -> None:
    """A number without end, or what is nested without end, is an error of a line, with the row."""
    path = tmp_path / "calls.jsonl"
    is_legs = rows == "legs"
    what = LEGS if is_legs else group_calls(LEGS)
    text = written(what, "jsonl", rows=rows).decode()
    column = "billsec" if is_legs else "talk_seconds"
    path.write_text(re.sub(rf'("{column}"):[^,}}]+', rf"\1:{value}", text, count=1), "utf-8")
    with pytest.raises(UsageError) as caught:
        list(CallsFile.of(path).calls())
    assert len(str(caught.value)) < 600


def test_the_talk_of_a_call_that_no_timedelta_holds(tmp_path: Path) -> None:
    """So is a call that took longer than Python can say."""
    path = tmp_path / "calls.jsonl"
    text = written(group_calls(LEGS), "jsonl", rows="calls").decode()
    path.write_text(re.sub(r'("talk_seconds"):[^,}]+', rf"\1:{10**100}", text, count=1), "utf-8")
    with pytest.raises(UsageError, match=r"row 1 of .* cannot be read"):
        list(CallsFile.of(path).calls())


def test_a_file_without_rows(tmp_path: Path) -> None:
    """An export of no calls has none, and neither a start nor an end."""
    for format_ in ("csv", "jsonl", "parquet"):
        path = tmp_path / f"calls.{format_}"
        path.write_bytes(written([], cast("Format", format_)))
        read = CallsFile.of(path)
        assert (read.first, read.last, list(read.calls())) == (None, None, [])


def test_a_zone_that_is_none(tmp_path: Path) -> None:
    """A zone that does not exist is refused."""
    path = tmp_path / "calls.csv"
    path.write_bytes(written(LEGS, "csv"))
    with pytest.raises(UsageError, match="Mars"):
        CallsFile.of(path, timezone="Mars/Olympus")
