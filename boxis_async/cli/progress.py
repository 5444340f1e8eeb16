"""The progress bar, on standard error, where that is a terminal."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Self

from boxis_async import Stats, printable

from .messages import percent, plural

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.progress import Progress, TaskID

    from boxis_async import Call, CallStream, Plan

__all__ = ["ProgressBar", "take_calls"]

# The bar counts in ten-thousandths of the range.
_WHOLE = 10_000
_CAUSE_WIDTH = 36
# The library logs each retry here, and an attribute of the record has its cause.
_RETRY_LOGGER = "boxis_async"
_RETRY_CAUSE = "boxis_async.retry_cause"


class ProgressBar:
    """Shows how far a run is; in a pipe, or where it is not enabled, it shows nothing.

    Args:
        plan: The windows of the whole range; how many there are is shown unless it is a guess.
            None where there is no plan.
        covered: The share of the range that earlier runs have fetched.
        enabled: Whether it may be shown.
        has_label: Whether a text stands before it, see `begin`.
    """

    def __init__(
        self,
        plan: Plan | None,
        *,
        covered: float = 0.0,
        enabled: bool = True,
        has_label: bool = False,
    ) -> None:
        is_known = plan is not None and not plan.guess
        self._windows = max(1, round(len(plan) * (1 - covered))) if plan and is_known else None
        self._progress = _progress(has_label) if enabled and sys.stderr.isatty() else None
        if self._progress is not None:
            self._task = self._progress.add_task(
                "",
                label="",
                total=_WHOLE,
                completed=_share(covered),
                percent=percent(covered),
                windows=self._of_all(0),
                records="0 records",
            )
            self._retries = _RetryHandler(self._progress, self._task)

    def update(self, stats: Stats) -> None:
        """Show what a run has done so far."""
        if self._progress is not None:
            task = self._progress.tasks[0]
            rate = stats.records / task.elapsed if task.elapsed else 0
            self._progress.update(
                self._task,
                completed=_share(stats.covered),
                percent=percent(stats.covered),
                windows=self._of_all(stats.windows),
                records=f"{plural(stats.records, 'record')}, {rate:,.0f}/s",
            )

    @property
    def is_shown(self) -> bool:
        """Whether there is a bar."""
        return self._progress is not None

    def begin(self, label: str) -> None:
        """Show another run from its start, with a text before it."""
        if self._progress is not None:
            self._progress.reset(self._task)
            self._progress.update(self._task, label=printable(label))
            self.update(Stats())

    def _of_all(self, done: int) -> str:
        # There are more than planned where some were halved.
        if self._windows is None:
            return plural(done, "window")
        return f"{done:,}/{plural(max(self._windows, done), 'window')}"

    def __enter__(self) -> Self:
        if self._progress is not None:
            logging.getLogger(_RETRY_LOGGER).addHandler(self._retries)
            self._progress.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
            logging.getLogger(_RETRY_LOGGER).removeHandler(self._retries)


async def take_calls(
    stream: CallStream, take: Callable[[Call], object], *, draw_bar: bool = True
) -> None:
    """Hand each call of a stream to a function, and show a bar meanwhile."""
    with ProgressBar(stream.plan(), enabled=draw_bar) as bar:
        windows = 0
        async for call in stream:
            take(call)
            run = stream.stats
            if run.windows != windows:
                windows = run.windows
                bar.update(run)


class _RetryHandler(logging.Handler):
    """Shows each retry as soon as it is planned.

    While a provider does not answer, no window is done for minutes, and the bar would not move.
    """

    def __init__(self, progress: Progress, task: TaskID) -> None:
        super().__init__()
        self._progress = progress
        self._task = task
        self._count = 0

    def emit(self, record: logging.LogRecord) -> None:
        cause = getattr(record, _RETRY_CAUSE, None)
        if cause is None:
            return
        self._count += 1
        cause = printable(str(cause.error))[:_CAUSE_WIDTH]
        self._progress.update(self._task, records=f"{self._count:,} sent again: {cause}")


def _share(covered: float) -> int:
    return int(_WHOLE * covered)


def _progress(has_label: bool) -> Progress | None:  # noqa: FBT001 - ours alone
    # Here, so that a run in a pipe starts without rich.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    console = Console(stderr=True)
    if console.is_dumb_terminal:
        return None
    label = (TextColumn("{task.fields[label]}", markup=False),) if has_label else ()
    return Progress(
        *label,
        BarColumn(bar_width=20),
        TextColumn("{task.fields[percent]:>4}"),
        TextColumn("{task.fields[windows]}"),
        # A cause is the provider's text: not rich's markup.
        TextColumn("{task.fields[records]}", markup=False),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        # Standard output may be the data; nothing else is written while the bar is shown.
        redirect_stdout=False,
        redirect_stderr=False,
        refresh_per_second=5,
    )
