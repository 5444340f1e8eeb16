"""Readers: what a reply holds, read in chunks as it is read whole, or an error that says why."""

from __future__ import annotations

import json
import weakref
from contextlib import contextmanager, suppress
from datetime import date
from random import Random
from traceback import clear_frames
from typing import TYPE_CHECKING, Any

import pytest
from calls import DAY, NEXT_DAY
from hypothesis import given
from hypothesis import strategies as st
from mutations import MUTATIONS

from boxis_async._wire import json as wire_json
from boxis_async._wire.answers import read_reply, rows_of
from boxis_async._wire.cooperative import at_once
from boxis_async._wire.json import fast_reader
from boxis_async._wire.messages import Reply
from boxis_async._wire.readers import ContentReader, RecordsReader
from boxis_async._wire.records import Fingerprinter, Records, make_converter
from boxis_async._wire.wallclock import WallClock
from boxis_async.errors import (
    AuthenticationError,
    BoxisError,
    ClockError,
    MalformedAnswerError,
    RateLimitError,
    RecordError,
    RefusedError,
    StatusError,
    TooLargeError,
)
from boxis_async.models import Window
from boxis_async.testing import generate_calls
from boxis_async.testing.answers import params_entry, write_json, write_xml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from boxis_async._wire.json_chunks import ReadRows
    from boxis_async.types import ReturnType

CONVERT = make_converter(WallClock("Europe/Zurich"), Fingerprinter(b"key")).get_structure_hook(
    Records
)
WINDOW = Window(DAY, NEXT_DAY)

with_each_reader = pytest.mark.parametrize(
    "read_rows", [None, fast_reader()], ids=["json", "orjson"]
)


def of_records(returntype: ReturnType = "json", *, row_limit: int | None = None) -> RecordsReader:
    return RecordsReader(CONVERT, returntype, window=WINDOW, row_limit=row_limit)


def reply(body: bytes | str, status: int = 200, retry_after: str | None = None) -> Reply:
    return Reply(status, body.encode() if isinstance(body, str) else body, retry_after)


def read(
    body: bytes | str, returntype: ReturnType = "json", *, row_limit: int | None = None
) -> Records:
    """Read records as a stream does."""
    return at_once(of_records(returntype, row_limit=row_limit).read(reply(body)))


@contextmanager
def rows_read_by(read_rows: ReadRows | None) -> Iterator[None]:
    """Read rows by orjson, or by json alone."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(wire_json, "fast_reader", lambda: read_rows)
        yield


def whole(body: bytes, returntype: ReturnType) -> Records:
    """Read an answer as a whole, and convert its records one after the other."""
    rows = rows_of(at_once(read_reply(reply(body), returntype, as_text=True)))
    assert isinstance(rows, dict)
    found = Records()
    for position, row in rows.items():
        try:
            found.extend(CONVERT([row], Records))
        except RecordError as error:
            raise RecordError(
                error.reason,
                position=position,
                field=error.field,
                value=error.value,
                window=WINDOW,
            ) from None
    return found


def outcome(read_it: Callable[[], Records]) -> object:
    """Give the records with their fingerprints, or the error in its words."""
    try:
        found = read_it()
    except BoxisError as error:
        return type(error), str(error)
    return found.cdrs, found.fingerprints


def same_as_whole(
    body: bytes, returntype: ReturnType = "json", read_rows: ReadRows | None = None
) -> None:
    """Hold an answer that is read in chunks to the same that is read whole, by json."""
    wanted = outcome(lambda: whole(body, returntype))
    with rows_read_by(read_rows):
        assert outcome(lambda: read(body, returntype)) == wanted


# In chunks the same as whole

START = '"start":"2024-03-05 12:00:00"'

fields = st.sampled_from(
    [
        START,
        f'{START},"uniqueid":"a","sequence":"1"',
        f'{START},"dst":1.50,"sequence":2',
        f'{START},"odd":{{"a":[1.0]}}',
        f'{START},"lastdata":"{"x" * 20_000}"',
        # Half a character, which becomes a replacement character.
        rf'{START},"uniqueid":"\ud83d"',
        rf'{START},"disposition":"\ude00"',
        rf'{START},"odd":{{"\ud83d":["\ude00"]}}',
        rf'{START},"odd\ud83d":""',
        # What cannot be read.
        "",
        '"start":"soon"',
        f'{START},"cc_cost":"free"',
        f'{START},"duration":{{}}',
        # What json refuses.
        f"{START},{START}",
        f'{START},"dst":NaN',
    ]
)
no_rows = st.sampled_from(['"none"', "null", "7", "[]", "{}"])
rows = st.one_of(fields.map("{{{}}}".format), fields.map("{{{}}}".format), no_rows)


@st.composite
def held(draw: st.DrawFn) -> str:
    """Draw what stands where records should: an object, an array, or something else."""
    found = draw(st.lists(rows, max_size=6))
    kind = draw(st.sampled_from(["object", "object", "array", "none"]))
    if kind == "none":
        return draw(no_rows)
    if kind == "array":
        return f"[{','.join(found)}]"
    named = [f'"call_{number}":{row}' for number, row in enumerate(found)]
    return f"{{{','.join(named)}}}"


places = st.sampled_from(
    [
        '"result":"1","params":{"cdr":%s}',
        '"result":"1","params":%s',
        '"result":"1","cdr":%s',
        # In two places, of which one counts.
        '"result":"1","params":{"cdr":%s},"cdr":%s',
        '"result":"1","cdr":%s,"params":{"cdr":%s}',
        '"result":"1","cdr":%s,"params":%s',
        '"result":"1","params":%s,"cdr":%s',
        '"params":{"cdr":%s},"result":"0","resulttxt":"no"',
        '"params":{"cdr":%s},"result":"0","timestamperror":1,"timestamp":5',
        '"params":{"cdr":%s},"result":"2"',
        '"result":"1","params":{"cdr":%s,"cdr":%s}',
        '"result":"1","params":{"calls":%s}',
    ]
)


@st.composite
def answers(draw: st.DrawFn) -> str:
    """Draw an answer with records in one place or two, now and then cut or continued."""
    place = draw(places)
    body = f"{{{place % tuple(draw(held()) for _ in range(place.count('%s')))}}}"
    match draw(st.integers(0, 6)):
        case 0:
            return body[: draw(st.integers(0, len(body)))]
        case 1:
            return body + draw(st.sampled_from(["}", "x", "\n", body]))
        case _:
            return body


@with_each_reader
@given(body=answers())
def test_the_same_as_whole(body: str, read_rows: ReadRows | None) -> None:
    """Whatever an answer holds, and wherever, it gives the records that it gives as a whole."""
    same_as_whole(body.encode(), read_rows=read_rows)


@with_each_reader
@pytest.mark.parametrize("value", ["\ud83d x", "", "\ud83d\ude00"], ids=["half", "", "pair"])
def test_halves_of_characters(value: str, read_rows: ReadRows | None) -> None:
    """Half a character in any field, or in its name, is read as it is in an answer read whole."""
    for name in (*generate_calls(DAY, NEXT_DAY)[0], "odd", "odd\ud83d", "\ude00"):
        row = {"start": "2024-03-05 12:00:00", "uniqueid": "Zoë", name: value}
        body = json.dumps({"result": "1", "params": {"cdr": {"call_1": row}}})
        same_as_whole(body.encode(), read_rows=read_rows)


@pytest.mark.slow
@with_each_reader
@pytest.mark.parametrize("returntype", ["json", "xml"])
@pytest.mark.parametrize("kind", MUTATIONS)
def test_the_same_of_what_is_broken(
    kind: str, returntype: ReturnType, read_rows: ReadRows | None
) -> None:
    """Whatever became of an answer on its way, it is read, or refused, as it is as a whole."""
    rng = Random(kind)
    made = generate_calls(date(2026, 10, 23), date(2026, 10, 27), calls_per_day=20)
    for _ in range(20):
        answer = {"result": "1", **params_entry(rng.sample(made, rng.choice((1, 2, 90))), "list")}
        body = write_json(answer) if returntype == "json" else write_xml(answer)
        same_as_whole(MUTATIONS[kind](body, rng), returntype, read_rows)


def rows_of_a_kilobyte(count: int) -> dict[str, dict[str, str]]:
    return {
        f"call_{number}": {
            "uniqueid": "a",
            "sequence": f"{number}",
            "start": "2024-03-05 12:00:00",
            "lastdata": "x" * 1000,
        }
        for number in range(count)
    }


@with_each_reader
@pytest.mark.parametrize("shape", ["object", "array"])
def test_answers_of_many_chunks(shape: str, read_rows: ReadRows | None) -> None:
    """All records of a large answer are there, in their order."""
    sent = rows_of_a_kilobyte(3000)
    cdr = sent if shape == "object" else [*sent.values()]
    with rows_read_by(read_rows):
        found = read(write_json({"result": "1", "params": {"cdr": cdr}}))
    assert [cdr.sequence for cdr in found.cdrs] == [*range(3000)]
    assert len(found) == len(set(found.fingerprints)) == 3000


# Where records stand


@pytest.mark.parametrize(
    ("body", "sequences"),
    [
        ('"params":{"cdr":{"call_1":%1}},"cdr":{"call_1":%2}', [1, 2]),
        ('"cdr":{"call_1":%2},"params":{"cdr":{"call_1":%1}}', [1, 2]),
        ('"cdr":{"call_1":%2,"call_2":%3},"params":{"call_1":%1}', [1, 2, 3]),
        ('"params":{"call_1":%1},"cdr":[%2,%3]', [1, 2, 3]),
        ('"params":[%1],"cdr":[%2]', [1, 2]),
        ('"params":[%1,%2],"cdr":[]', [1, 2]),
        ('"params":{"cdr":[]},"cdr":[%1]', [1]),
        ('"params":[],"cdr":{"call_1":%1}', [1]),
        ('"cdr":{"call_1":%1},"params":{}', [1]),
        ('"params":{"cdr":[%1],"call_1":%2}', [1, 2]),
        ('"call_1":%1,"call_2":%2', [1, 2]),
        ('"params":""', []),
    ],
)
def test_records_in_two_places(body: str, sequences: list[int]) -> None:
    """Records that stand in two places are all there, those of `params` first."""
    for number in (1, 2, 3):
        row = f'{{"start":"2024-03-05 12:00:00","uniqueid":"a","sequence":"{number}"}}'
        body = body.replace(f"%{number}", row)
    found = read(f'{{"result":"1",{body}}}')
    assert [cdr.sequence for cdr in found.cdrs] == sequences
    assert len(found.fingerprints) == len(sequences)


def test_records_under_an_unknown_name() -> None:
    """Records under a name that nobody documented are no answer, rather than dropped."""
    row = '{"start":"2024-03-05 12:00:00","uniqueid":"a","sequence":"1"}'
    with pytest.raises(MalformedAnswerError, match="look like records"):
        read(f'{{"result":"1","params":{{"params":{{"cdr":[{row}]}},"cdr":[{row}]}}}}')


# What cannot be read


@with_each_reader
@pytest.mark.parametrize("shape", ["object", "array", "params", "beside"])
@pytest.mark.parametrize("at", [0, 1, 40, 119])
def test_a_bad_record_is_named(at: int, shape: str, read_rows: ReadRows | None) -> None:
    """A record that cannot be read is named by its key, its field, its value and its window."""
    sent: dict[str, Any] = rows_of_a_kilobyte(120)
    key = [*sent][at]
    sent[key]["duration"] = "long"
    # A second one is not the first.
    sent["call_119"]["cc_cost"] = "odd"
    answer = {
        "object": {"params": {"cdr": sent}},
        "array": {"params": {"cdr": [*sent.values()]}},
        "params": {"params": sent},
        "beside": sent,
    }[shape]
    with rows_read_by(read_rows), pytest.raises(RecordError) as caught:
        read(write_json({"result": "1"} | answer))
    error = caught.value
    assert error.position == (f"call_{at + 1}" if shape == "array" else key)
    assert (error.field, error.value, error.window) == ("duration", "long", WINDOW)
    assert f"window {WINDOW}, {error.position}, field 'duration'" in str(error)


@pytest.mark.parametrize("row", ["null", "7", '"x"', "[]", "{}"])
def test_what_is_no_record_is_named(row: str) -> None:
    """Likewise what is no record at all."""
    with pytest.raises(RecordError, match="call_2: a record must be a map of fields") as caught:
        read(f'{{"result":"1","params":{{"cdr":{{"call_1":{{{START}}},"call_2":{row}}}}}}}')
    assert caught.value.position == "call_2"


def test_a_bad_record_of_an_answer_that_is_broken() -> None:
    """An answer that is not complete is refused for that, whatever its records are like."""
    with pytest.raises(MalformedAnswerError):
        read('{"result":"1","params":{"cdr":{"call_1":{"start":"soon"}}')
    with pytest.raises(RefusedError):
        read('{"params":{"cdr":{"call_1":{"start":"soon"}}},"result":"0","resulttxt":"no"}')
    with pytest.raises(ClockError):
        read('{"params":{"cdr":[{"start":"soon"}]},"result":"0","timestamperror":1}')


def test_an_error_about_a_record_keeps_no_answer() -> None:
    """Once its frames are cleared, as is done to errors that are kept, the answer is freed."""
    sent = reply('{"result":"1","params":{"cdr":{"call_1":{"start":"soon"}}}}')
    freed = weakref.ref(sent)
    with pytest.raises(RecordError) as caught:
        at_once(of_records().read(sent))
    error = caught.value
    assert error.__cause__ is error.__context__ is None
    del caught, sent
    clear_frames(error.__traceback__)
    assert freed() is None


# How many may come


@pytest.mark.parametrize("returntype", ["json", "xml"])
@pytest.mark.parametrize("empty_object", [True, False])
def test_as_many_as_an_answer_may_hold(returntype: ReturnType, *, empty_object: bool) -> None:
    """An answer with as many records as it may hold may be cut off; one fewer is whole."""
    sent = rows_of_a_kilobyte(120)
    params: dict[str, object] = {"cdr": sent} if empty_object else dict(sent)
    write = write_json if returntype == "json" else write_xml
    body = write({"result": "1", "params": params})
    assert len(read(body, returntype, row_limit=121)) == len(read(body, returntype)) == 120
    for limit in (120, 1):
        with pytest.raises(TooLargeError, match=f"row_limit is {limit}") as caught:
            read(body, returntype, row_limit=limit)
        assert caught.value.limit == limit
        assert "holds 120 records" in str(caught.value)


def test_too_many_records_of_which_one_is_bad() -> None:
    """Of an answer that may be cut off nothing else is said: the window is asked for in halves."""
    sent = rows_of_a_kilobyte(3)
    sent["call_1"]["duration"] = "long"
    body = write_json({"result": "1", "params": {"cdr": sent}})
    with pytest.raises(TooLargeError):
        read(body, row_limit=3)
    with pytest.raises(RecordError):
        read(body, row_limit=4)


# The server's clock

TIMED = '"timestamp":"1709640000"'
GOOD = f'"params":{{"cdr":{{"call_1":{{{START}}}}}}}'
BAD = '"params":{"cdr":{"call_1":{"start":"soon"}}}'


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (f'{{"result":"1",{GOOD},{TIMED}}}', None),
        (f'{{"result":"1",{BAD},{TIMED}}}', RecordError),
        (f'{{"result":"1","params":"odd",{TIMED}}}', MalformedAnswerError),
        (f'{{"result":"1","params":{{"cdr":[{{{START}}},{{{START}}}]}},{TIMED}}}', TooLargeError),
    ],
)
def test_server_time(body: str, error: type[BoxisError] | None) -> None:
    """What an answer says of the server's clock is known, also if its records are of no use."""
    reader = of_records(row_limit=2)
    assert reader.server_time is None
    if error is None:
        assert len(at_once(reader.read(reply(body)))) == 1
    else:
        with pytest.raises(error):
            at_once(reader.read(reply(body)))
    assert reader.server_time == 1709640000


@pytest.mark.parametrize(
    "latest",
    [
        reply("", 503),
        reply("{", 200),
        reply(f'{{"result":"1",{GOOD}}}'),
        reply(f'{{"result":"1",{BAD}}}'),
        reply('{"result":"0","resulttxt":"no"}'),
    ],
)
@pytest.mark.parametrize("kind", ["records", "content"])
def test_server_time_of_the_latest_reply(latest: Reply, kind: str) -> None:
    """A reader that reads again says nothing of what an earlier reply said."""
    reader = of_records() if kind == "records" else ContentReader("json")
    at_once(reader.read(reply(f'{{"result":"1",{GOOD},{TIMED}}}')))
    assert reader.server_time == 1709640000
    with suppress(BoxisError):
        at_once(reader.read(latest))
    assert reader.server_time is None


# Steps


def steps_of(reader: RecordsReader | ContentReader, body: bytes) -> int:
    steps = reader.read(reply(body))
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration:
            return count
        count += 1


@pytest.mark.parametrize("place", ["cdr", "params"])
def test_steps_are_short(place: str) -> None:
    """A large answer is read and converted in many steps: of two chunks, or of 64 records."""
    sent = rows_of_a_kilobyte(3000)
    body = write_json({"result": "1", "params": {"cdr": sent} if place == "cdr" else sent})
    steps = steps_of(of_records(), body)
    # Records that are members of `params` itself are read first, and then converted.
    assert 40 <= steps <= 60 if place == "cdr" else 60 <= steps <= 80
    assert steps_of(ContentReader("json"), body) >= 40


@pytest.mark.parametrize(
    "params", [[], {"cdr": []}, {"cdr": {"call_1": {"start": "2024-03-05 12:00:00"}}}]
)
def test_a_small_answer_is_one_step(params: object) -> None:
    """A small answer is read without a pause."""
    body = write_json({"result": "1", "params": params})
    assert steps_of(of_records(), body) == steps_of(ContentReader("json"), body) == 0


# The content of any function


@pytest.mark.parametrize(
    ("body", "content"),
    [
        ('"params":{"line1":{"a":1.5}}', {"line1": {"a": 1.5}}),
        ('"params":["a","b"]', {"0": "a", "1": "b"}),
        ('"params":[]', {}),
        ('"params":{}', {}),
        ('"params":null', {}),
        ('"params":"done"', {"params": "done"}),
        ('"params":7', {"params": 7}),
        ('"history":{"sms_1":{"to":"x"}}', {"history": {"sms_1": {"to": "x"}}}),
        ('"params":[],"history":[1]', {"history": [1]}),
        # Rows are read by json, as they were sent.
        ('"params":{"cdr":{"call_1":{"duration":29}}}', {"cdr": {"call_1": {"duration": 29}}}),
    ],
)
def test_content(body: str, content: dict[str, object]) -> None:
    """What a function returned is a dict: its params, or else what stands beside the result."""
    reader = ContentReader("json")
    assert at_once(reader.read(reply(f'{{"result":"1",{body},{TIMED}}}'))) == content
    assert reader.server_time == 1709640000


def test_content_in_xml() -> None:
    """Likewise in XML, all of it texts."""
    body = write_xml({"result": 1, "params": {"line1": {"a": 1}}, "timestamp": 1709640000})
    reader = ContentReader("xml")
    assert at_once(reader.read(reply(body))) == {"line1": {"a": "1"}}
    assert reader.server_time == 1709640000


# Statuses

every_reader = pytest.mark.parametrize(
    "make", [of_records, lambda: ContentReader("json")], ids=["records", "content"]
)


@every_reader
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, RateLimitError),
        *((status, StatusError) for status in (301, 400, 404, 408, 425, 500, 503)),
    ],
)
@pytest.mark.parametrize("retry_after", [None, "120"])
def test_statuses(
    make: Callable[[], RecordsReader | ContentReader],
    status: int,
    kind: type[StatusError],
    retry_after: str | None,
) -> None:
    """A status without an answer is an error that carries it; for 429 one of its own kind."""
    with pytest.raises(StatusError) as caught:
        at_once(make().read(reply("<html>", status, retry_after)))
    assert type(caught.value) is kind
    assert (caught.value.status_code, caught.value.retry_after) == (status, retry_after)
    assert f"HTTP status {status}" in str(caught.value)


@every_reader
@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, RefusedError), (400, RefusedError), (403, RefusedError), (429, RateLimitError)],
)
def test_refusals(
    make: Callable[[], RecordsReader | ContentReader], status: int, kind: type[BoxisError]
) -> None:
    """A refusal of the API's own is what counts, unless the status says that it may pass."""
    body = '{"result":"0","resulttxt":"Error: not now"}'
    with pytest.raises(kind, match="Error: not now") as caught:
        at_once(make().read(reply(body, status)))
    assert type(caught.value) is kind
    with pytest.raises(AuthenticationError):
        at_once(make().read(reply(body.replace("not now", "wrong authcode"))))
