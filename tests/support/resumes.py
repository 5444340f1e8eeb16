"""What whoever resumes keeps of a run that was cut short."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from boxis_async import CDR, Batch, Coverage, Window


def is_within(window: Window, span: Window) -> bool:
    """Tell whether a span contains a window."""
    assert window.start is not None
    assert window.end is not None
    assert span.start is not None
    assert span.end is not None
    return span.start <= window.start and window.end <= span.end


def kept(batches: list[Batch], coverage: Coverage) -> list[CDR]:
    """Keep what a coverage seals, as whoever resumes gets the rest once more."""
    return [
        cdr
        for batch in batches
        if any(is_within(batch.window, span) for span in coverage.sealed)
        for cdr in batch.cdrs
    ]
