"""A reply → what was requested: the records of one window, or the content of any function.

A reader is made for one request. It owns what is read of the reply: envelope, rows and records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, cast

import attrs

from boxis_async._wire.answers import content_of, read_reply, rows_of
from boxis_async._wire.json_chunks import Chunked
from boxis_async._wire.members import UnknownMembers
from boxis_async._wire.records import Records
from boxis_async.errors import BoxisError, RecordError, TooLargeError
from boxis_async.models import Reject

if TYPE_CHECKING:
    from collections.abc import Sequence, Sized

    from boxis_async._wire.cooperative import Steps
    from boxis_async._wire.messages import Answer, Reply
    from boxis_async.models import Window
    from boxis_async.types import ReturnType

__all__ = ["ContentReader", "Convert", "Reader", "RecordsReader"]

Convert: TypeAlias = Callable[[Iterable[Any], type[Records]], Records]
"""Converts rows, as the converter's hook for `Records` does."""

T_co = TypeVar("T_co", bound="Sized", covariant=True)

# A chunk of 32 kB takes half a millisecond, and so do some 30 rows that are converted later.
_CHUNKS_PER_STEP = 2
_ROWS_PER_STEP = 64
# A record is flat. The recursion limit ends pickles at some 300 levels.
_DEEPEST = 32
_RECORDS_PER_STEP = 4096


class Reader(Protocol[T_co]):
    """Reads the reply to one request."""

    @property
    def server_time(self) -> int | None:
        """The server's clock in Unix seconds, as the latest reply gave it."""
        ...

    def read(self, reply: Reply) -> Steps[T_co]:
        """Read a reply, in steps.

        Raises:
            BoxisError: It is not what was requested.
        """
        ...


class ContentReader:
    """Reads what a function returned, as a dict."""

    def __init__(self, returntype: ReturnType) -> None:
        self.server_time: int | None = None
        self._returntype: ReturnType = returntype

    def read(self, reply: Reply) -> Steps[dict[str, Any]]:
        """Read a reply; PHP writes an array with the keys 0, 1, … as a list."""
        self.server_time = None
        answer = yield from read_reply(reply, self._returntype)
        self.server_time = answer.server_time
        content = content_of(answer)
        if isinstance(content, dict):
            return cast("dict[str, Any]", content)
        if isinstance(content, list):
            values = cast("Sequence[Any]", content)
            return {str(key): value for key, value in enumerate(values)}
        return {"params": content}


class RecordsReader:
    """Reads the records of one window.

    Rows are converted as they are parsed, while they are in the processor's caches. If one cannot
    be read, the answer is read once more, by json alone and its rows with their keys: the error is
    to name the key, and an answer that is not well formed is to be refused for that reason. Where
    some rows stand elsewhere than under `cdr`, it is read as a whole.
    """

    def __init__(  # noqa: PLR0913 - each is one property of the request
        self,
        convert: Convert,
        returntype: ReturnType,
        *,
        window: Window,
        row_limit: int | None = None,
        unknown: UnknownMembers | None = None,
        collect_rejects: bool = False,
    ) -> None:
        """Make one for a window.

        Args:
            convert: Converts rows.
            returntype: The form that was requested.
            window: The window.
            row_limit: So many records, or more, mean that the answer may be cut off.
            unknown: Logs the names of members that nobody documented.
            collect_rejects: Whether records that cannot be read are returned as such
                (`Records.rejects`). Otherwise the first of them is an error.
        """
        self.server_time: int | None = None
        self._convert = convert
        self._returntype: ReturnType = returntype
        self._window = window
        self._row_limit = row_limit
        self._unknown = unknown or UnknownMembers()
        self._collect_rejects = collect_rejects

    def read(self, reply: Reply) -> Steps[Records]:
        """Read a reply.

        Raises:
            TooLargeError: It has as many records as an answer may hold (`row_limit`).
            RecordError: A record cannot be read, and rejects are not collected.
            BoxisError: It is no answer of the API that holds records.
        """
        # A reader reads again after a failure: what an earlier reply said is no longer so.
        self.server_time = None
        records = Records()
        try:
            return (yield from self._read(reply, records))
        except BoxisError:
            yield from _let_go(records)
            raise

    def _read(self, reply: Reply, records: Records) -> Steps[Records]:
        rows: dict[str, object] | Chunked | None = None
        with suppress(RecordError):
            rows = yield from self._read_in_chunks(reply, records)
        if rows is None:
            yield from _let_go(records)
            rows, records = yield from self._read_with_keys(reply)
        if isinstance(rows, Chunked) and not (rows.in_order and rows.count == len(records)):
            rows = yield from self._read_whole(reply)
        if isinstance(rows, Chunked):
            self._check_count(rows.count)
            return records
        self._check_count(len(rows))
        return (yield from self._converted(rows.items()))

    def _read_in_chunks(self, reply: Reply, records: Records) -> Steps[dict[str, object] | Chunked]:
        chunks = read_reply(reply, self._returntype, as_text=True, chunked=True)
        for number in count(1):
            try:
                rows = next(chunks)
            except StopIteration as end:
                return self._rows_of(end.value)
            if len(rows) > _ROWS_PER_STEP:
                for begin in range(0, len(rows), _ROWS_PER_STEP):
                    part = rows[begin : begin + _ROWS_PER_STEP]
                    records.extend(self._convert(part, Records))
                    yield
            elif rows:
                records.extend(self._convert(rows, Records))
            if not number % _CHUNKS_PER_STEP:
                yield
        raise AssertionError("an answer ends")

    def _read_with_keys(self, reply: Reply) -> Steps[tuple[dict[str, object] | Chunked, Records]]:
        """Read likewise, by json alone and up to the end, whatever the records are.

        Raises:
            RecordError: The first record that cannot be read, if rejects are not collected and all
                rows stand in one place: else their order is not known yet.
        """
        chunks = read_reply(reply, self._returntype, as_text=True, chunked=True, named=True)
        records, rejects = Records(), list[Reject]()
        problem: RecordError | None = None
        while True:
            try:
                named: list[tuple[str, object]] = next(chunks)
            except StopIteration as end:
                rows = self._rows_of(end.value)
                break
            if named and problem is None:
                try:
                    some = yield from self._converted(named)
                except RecordError as error:
                    problem = error
                else:
                    records.extend(some)
                    rejects += some.rejects
            yield
        if problem is not None and isinstance(rows, Chunked) and rows.in_order:
            self._check_count(rows.count)
            raise problem
        return rows, attrs.evolve(records, rejects=tuple(rejects))

    def _read_whole(self, reply: Reply) -> Steps[dict[str, object] | Chunked]:
        return self._rows_of((yield from read_reply(reply, self._returntype, as_text=True)))

    def _rows_of(self, answer: Answer) -> dict[str, object] | Chunked:
        self.server_time = answer.server_time
        return rows_of(answer, self._unknown)

    def _check_count(self, count: int) -> None:
        limit = self._row_limit
        if limit is not None and count >= limit:
            raise TooLargeError(
                f"the answer holds {count:,} records, and may be cut off: row_limit is {limit:,}",
                limit=limit,
            )

    def _converted(self, rows: Iterable[tuple[str, object]]) -> Steps[Records]:
        """Convert rows one by one, so that an error names the row's key."""
        records = Records()
        rejects: list[Reject] = []
        for number, (position, row) in enumerate(rows):
            if not number % _ROWS_PER_STEP:
                yield
            problem = None
            try:
                records.extend(self._convert([row], Records))
            except RecordError as error:
                problem = error
            if problem is not None:
                # Without the error: its frames refer to the row, and errors are kept.
                rejects.append(self._reject(position, row, problem))
                if not self._collect_rejects:
                    raise _error_of(rejects[0])
        return attrs.evolve(records, rejects=tuple(rejects))

    def _reject(self, position: str, row: object, problem: RecordError) -> Reject:
        return Reject(
            window=self._window,
            position=position,
            field=problem.field,
            value=_cut_off(problem.value, _DEEPEST),
            reason=problem.reason,
            row=_cut_off(row, _DEEPEST),
        )


def _error_of(reject: Reject) -> RecordError:
    return RecordError(
        reject.reason,
        position=reject.position,
        field=reject.field,
        value=reject.value,
        window=reject.window,
    )


def _cut_off(value: object, depth: int) -> object:
    """Cut off what is nested so deep that it could neither be pickled nor be written as JSON."""
    if isinstance(value, dict):
        members = cast("dict[str, object]", value).items()
        return {name: _cut_off(member, depth - 1) for name, member in members} if depth else "…"
    if isinstance(value, list):
        items = cast("list[object]", value)
        return [_cut_off(item, depth - 1) for item in items] if depth else "…"
    return value


def _let_go(records: Records) -> Steps[None]:
    """Forget records bit by bit: to free a hundred thousand takes as long as many steps."""
    while records.cdrs:
        del records.cdrs[-_RECORDS_PER_STEP:], records.fingerprints[-_RECORDS_PER_STEP:]
        if records.cdrs:
            yield
