"""Calls as lines: for people, as CSV for spreadsheets, and as JSON Lines for programs.

Names and numbers are what strangers sent. On a screen they are made printable, and in CSV what a
spreadsheet would take for a formula gets a `'` before it.
"""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Final

from boxis_async import CDR, Direction, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from boxis_async import Call

__all__ = ["csv_lines", "json_lines", "leg_line", "text_lines"]

_FORMULA = re.compile(r"[=+\-@\t\r\n'＝＋－＠]")  # noqa: RUF001
# `+41…` is a number, and would be read as one.
_PLAIN_NUMBER = re.compile(r"\+?[0-9]+")
_ARROWS: Final = {Direction.INBOUND: "in", Direction.OUTBOUND: "out", Direction.LOCAL: "local"}
_LINE_WIDTH: Final = 80
_NAME_WIDTH: Final = 16
_COLUMNS: Final = (
    "start",
    "direction",
    "caller_number",
    "caller_name",
    "dialled",
    "outcome",
    "answered_by",
    "wait_seconds",
    "talk_seconds",
    "cost",
    "legs",
    "end",
    "outside",
    "answered",
    "missed",
    "id",
)


def text_lines(calls: Iterable[Call]) -> Iterator[str]:
    """Write each call as a line for people, at 80 columns: when, which way, who, how it ended."""
    for call in calls:
        party = call.outside or call.caller_number
        name = call.caller_name if call.direction is not Direction.OUTBOUND else ""
        ended = _shown(str(call.outcome))
        if call.answered:
            ended = f"talked {_minutes(call.talk.total_seconds())}"
            # Of a call that went out, whoever answered is the outside party.
            if call.direction is not Direction.OUTBOUND:
                ended += f" with {_shown(call.answered_by)}"
        elif call.wait:
            ended += f" after {_minutes(call.wait.total_seconds())}"
        yield _line(call, party, name, ended)


def leg_line(cdr: CDR) -> str:
    """Write a leg as a line for people, at 80 columns: which way, who, whom it rang, how it ended.

    What a leg alone says of its end is the exchange's word, and no judgement.
    """
    is_outbound = cdr.direction is Direction.OUTBOUND
    party = cdr.dst if is_outbound else cdr.caller_number
    ended = f"{_shown(str(cdr.disposition or '-'))} {_minutes(cdr.duration or 0)}"
    ended += f" at {_shown(cdr.dst)}" if cdr.dst and not is_outbound else ""
    return _line(cdr, party, "" if is_outbound else cdr.caller_name, ended)


def _line(of: Call | CDR, party: str, name: str, ended: str) -> str:
    way = _ARROWS.get(of.direction, "-") if of.direction is not None else "-"
    line = f"{of.start:%Y-%m-%d %H:%M} {way:5} {_shown(party):14} "
    # A call that was forwarded is answered by a long number: the name makes room for it.
    width = max(0, min(_NAME_WIDTH, _LINE_WIDTH - len(line) - len(f" {ended}")))
    return f"{line}{_shown(name)[:width]:{width}} {ended}".rstrip()


def json_lines(calls: Iterable[Call]) -> Iterator[str]:
    """Write each call as a JSON object on a line of its own."""
    for call in calls:
        yield printable(json.dumps(call.to_dict(), ensure_ascii=False))


def csv_lines(calls: Iterable[Call]) -> Iterator[str]:
    """Write a header, and each call as a line of CSV by RFC 4180, without the end of the line."""
    yield ",".join(_COLUMNS)
    for call in calls:
        values = call.to_dict()
        line = io.StringIO(newline="")
        csv.writer(line, lineterminator="").writerow([_guarded(values[name]) for name in _COLUMNS])
        yield line.getvalue()


def _guarded(value: object) -> object:
    if not isinstance(value, str) or _PLAIN_NUMBER.fullmatch(value) or not _FORMULA.match(value):
        return value
    return f"'{value}"


def _shown(text: str) -> str:
    """Make one short line of a stranger's text."""
    return printable(text.strip())


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
