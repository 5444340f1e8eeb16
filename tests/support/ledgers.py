"""Whole ledgers as hypothesis draws them: few keys, many collisions, on the edges of windows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from hypothesis import strategies as st

if TYPE_CHECKING:
    from boxis_async import CDR

Content: TypeAlias = tuple[str, ...]
"""What a row of a ledger holds, field by field: the wall clock's texts, and the rest as sent."""

# A quiet night, the spring night without a third hour, and the autumn night with two of them.
NIGHTS = tuple(
    datetime.fromisoformat(text)
    for text in ("2024-03-05 00:00:00", "2024-03-31 01:00:00", "2024-10-27 01:00:00")
)
SPAN = timedelta(hours=4)

_seconds = st.one_of(
    # Whole quarters are where windows meet; the rest is anywhere.
    st.integers(0, 16).map(lambda quarter: quarter * 900),
    st.integers(0, int(SPAN.total_seconds())),
)
_durations = st.one_of(st.sampled_from((0, 1, 900, 3600)), st.integers(0, 8000))


@st.composite
def ledgers(draw: st.DrawFn, night: datetime) -> list[dict[str, str | None]]:
    """Draw the rows that a provider holds of one night, copies and changed copies among them."""
    rows: list[dict[str, str | None]] = []
    for _ in range(draw(st.integers(0, 30))):
        if rows and draw(st.integers(0, 4)) == 0:
            row = dict(draw(st.sampled_from(rows)))
            if draw(st.booleans()):
                row["cc_cost"] = draw(st.sampled_from(("0.10000", "0.20000")))
            rows.append(row)
            continue
        start = night + timedelta(seconds=draw(_seconds))
        rows.append(
            {
                "uniqueid": draw(st.sampled_from(("", "a-1.1", "a-2.2", "a-3.3", "a-4.4"))),
                "start": f"{start}",
                "end": f"{start + timedelta(seconds=draw(_durations))}",
                "sequence": draw(st.sampled_from((None, "1", "2", "10"))),
                "dstchannel": draw(st.sampled_from(("", "SIP/201"))),
                "cc_cost": "0.00000",
            }
        )
    return rows


def content_of_row(row: dict[str, str | None]) -> Content:
    """Give what a row holds; its cost comes last."""
    names = ("uniqueid", "start", "end", "sequence", "dstchannel", "cc_cost")
    return tuple(str(row[name] or "") for name in names)


def content_of_cdr(cdr: CDR) -> Content:
    """Give what a record that was read from such a row holds, likewise."""
    assert cdr.end is not None
    return (
        cdr.uniqueid,
        f"{cdr.start:%Y-%m-%d %H:%M:%S}",
        f"{cdr.end:%Y-%m-%d %H:%M:%S}",
        "" if cdr.sequence is None else f"{cdr.sequence}",
        cdr.dstchannel,
        f"{cdr.cc_cost}",
    )
