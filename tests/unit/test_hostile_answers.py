"""Answers of a hostile server: whatever they hold, no step of reading is long, or needs much."""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from hostile import ATTACKS

from boxis_async._wire.cooperative import at_once
from boxis_async._wire.messages import Reply
from boxis_async._wire.readers import ContentReader, RecordsReader
from boxis_async._wire.records import Fingerprinter, Records, make_converter
from boxis_async._wire.wallclock import WallClock
from boxis_async.errors import BoxisError, MalformedAnswerError, RecordError
from boxis_async.models import Window

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

CONVERT = make_converter(WallClock("Europe/Zurich"), Fingerprinter(b"key")).get_structure_hook(
    Records
)
WINDOW = Window(datetime(2018, 2, 6), datetime(2018, 2, 7))  # noqa: DTZ001 - a wall clock

SIZE = 1_000_000
LONGEST_STEP = 0.1
"""Seconds of processor time. Each takes a tenth of that; most took ten times as long once."""
MOST_MEMORY = 12
"""Times the answer, beside what a small answer takes too."""

every_attack = pytest.mark.parametrize("name", sorted(ATTACKS))


def reader(name: str) -> RecordsReader:
    """Make what a stream reads an answer with."""
    return RecordsReader(CONVERT, ATTACKS[name].returntype, window=WINDOW)


def run(steps: Generator[Any, None, object]) -> tuple[float, object]:
    """Take all steps: give how long the longest took, and the result or the error."""
    longest, outcome = 0.0, None
    is_over = False
    while not is_over:
        began = time.thread_time()
        try:
            next(steps)
        except StopIteration as end:
            outcome, is_over = end.value, True
        except BoxisError as error:
            outcome, is_over = error, True
        longest = max(longest, time.thread_time() - began)
    return longest, outcome


@contextmanager
def uncollected() -> Iterator[None]:
    """Leave out what the collector of garbage takes, for whatever else is in the memory."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.slow
@every_attack
def test_no_step_is_long(name: str) -> None:
    """An answer ends in its records or in the right error, in short steps, and says so shortly."""
    attack = ATTACKS[name]
    reply = Reply(200, attack.write(SIZE))
    with uncollected():
        longest, outcome = run(reader(name).read(reply))
    if attack.outcome is None:
        assert isinstance(outcome, Records)
    else:
        assert type(outcome) is attack.outcome
        assert len(str(outcome)) < 70_000
    assert longest < LONGEST_STEP


@pytest.mark.slow
@every_attack
def test_no_step_of_a_call_is_long(name: str) -> None:
    """What is read for `call()`, whatever it is, is read in short steps too."""
    attack = ATTACKS[name]
    with uncollected():
        longest, outcome = run(
            ContentReader(attack.returntype).read(Reply(200, attack.write(SIZE)))
        )
    assert isinstance(outcome, (dict, BoxisError))
    assert longest < LONGEST_STEP


def peak_of(steps: Generator[Any, None, object]) -> int:
    """Give how much memory all steps took at once."""
    tracemalloc.start()
    try:
        run(steps)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@every_attack
def test_memory_is_a_small_multiple(name: str) -> None:
    """To read an answer takes a few times the memory of the answer itself."""
    reply = Reply(200, ATTACKS[name].write(SIZE // 4))
    assert peak_of(reader(name).read(reply)) < MOST_MEMORY * len(reply.body) + 3_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["arrays", "fields", "numbers", "XML: fields", "XML: elements"])
def test_memory_of_a_call_is_bounded(name: str) -> None:
    """What is read for `call()` may be more values, but not as many as would fill the memory."""
    reply = Reply(200, ATTACKS[name].write(SIZE // 4))
    steps = ContentReader(ATTACKS[name].returntype).read(reply)
    assert peak_of(steps) < MOST_MEMORY * len(reply.body) + 8_000_000


# What lies just within the bounds


def read(body: bytes | str, returntype: Any = "json") -> Records:  # noqa: ANN401
    """Read records as a stream does."""
    body = body.encode() if isinstance(body, str) else body
    return at_once(RecordsReader(CONVERT, returntype, window=WINDOW).read(Reply(200, body)))


ROW = '{"start":"2018-02-06 20:12:56","dst":"%s"}'


def test_many_rows_elsewhere() -> None:
    """Ten thousand records are read wherever they stand: in `params`, and in two places."""
    rows = ",".join(f'"call_{number}":{ROW % number}' for number in range(10_000))
    assert len(read(f'{{"result":"1","params":{{{rows}}}}}')) == 10_000
    assert len(read(f'{{"result":"1",{rows}}}')) == 10_000
    half = ",".join(f'"call_{number}":{ROW % number}' for number in range(5000))
    found = read(f'{{"result":"1","params":{{"cdr":{{{half}}}}},"cdr":{{{half}}}}}')
    assert [cdr.dst for cdr in found.cdrs] == [f"{number}" for number in range(5000)] * 2


def test_texts_of_a_record() -> None:
    """A record may have texts of 128 kB in all, documented or not; a longer one is named."""
    most = 128 * 1024
    (cdr,) = read(f'{{"result":"1","params":{{"cdr":[{ROW % ("x" * (most - 100))}]}}}}').cdrs
    assert len(cdr.dst) == most - 100
    for field in ("clid", "odd"):
        fields = f'{{"start":"2018-02-06 20:12:56","{field}":"{"x" * (most + 1)}"}}'
        with pytest.raises(RecordError) as caught:
            read(f'{{"result":"1","params":{{"cdr":[{fields}]}}}}')
        assert caught.value.field == field
        assert len(str(caught.value)) < 500


def test_fields_of_a_record() -> None:
    """A record may have a thousand fields that nobody documented, and a value as many values."""
    fields = ",".join(f'"f{number}":"x"' for number in range(1000))
    (cdr,) = read(f'{{"result":"1","params":{{"cdr":[{ROW[:-1] % 1},{fields}}}]}}}}').cdrs
    assert len(cdr.extra) == 1000
    for more in (f'{fields},"one":"more"', f'"x":[{"null," * 1000}null]'):
        with pytest.raises(RecordError, match="call_1"):
            read(f'{{"result":"1","params":{{"cdr":[{ROW[:-1] % 1},{more}}}]}}}}')


@pytest.mark.parametrize("place", ['{"cdr":[]},"x":"%s"', '{"cdr":[],"x":["%s"]}', '[],"x":"%s"'])
def test_what_stands_beside(place: str) -> None:
    """A quarter of a megabyte may stand beside the records."""
    most = 256 * 1024
    assert len(read(f'{{"result":"1","params":{place % ("x" * (most - 100))}}}')) == 0
    with pytest.raises(MalformedAnswerError, match="beside"):
        read(f'{{"result":"1","params":{place % ("x" * most)}}}')


def test_a_long_text_of_a_call() -> None:
    """What any function returns may have texts of any length, read piece by piece as at once."""
    for piece in ("x", "é", r"\u00e9", r"\ud83d\ude00", r"\ud800", r"\ud800\ud83d\ude00", r"\/\n"):
        for shift in range(len(piece)):
            text = "a" * shift + piece * 40_000
            found = at_once(
                ContentReader("json").read(
                    Reply(200, f'{{"result":1,"params":{{"file":"{text}"}}}}'.encode())
                )
            )
            whole = (
                "a" * shift
                + {
                    r"\u00e9": "é",
                    r"\ud83d\ude00": "😀",
                    r"\ud800": "\ufffd",
                    r"\ud800\ud83d\ude00": "\ufffd😀",
                    r"\/\n": "/\n",
                }.get(piece, piece)
                * 40_000
            )
            assert found == {"file": whole}


def test_values_longer_than_a_chunk() -> None:
    """What any function returns is read as it was sent, however large its parts are."""
    content = {
        "list": [list(range(20)) for _ in range(3000)],
        "map": {
            f"key {number}": {"a": [number, None, True, 1.5, "é" * 9]} for number in range(3000)
        },
        "texts": ["x" * 50_000, "", "y" * 5],
        "numbers": list(range(9000)),
        "empty": [{}, [], ""],
    }
    body = json.dumps({"result": "1", "params": content}, indent=1)
    for text in (body, json.dumps(json.loads(body), ensure_ascii=False, separators=(",", ":"))):
        assert at_once(ContentReader("json").read(Reply(200, text.encode()))) == content
