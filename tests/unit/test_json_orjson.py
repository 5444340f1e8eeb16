"""Records by orjson: what json gives, or nothing; and the same calls with and without it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from calls import DAY, NEXT_DAY, call
from hypothesis import given
from hypothesis import strategies as st
from mutations import MUTATIONS

from boxis_async import BoxisError, Contract, MalformedAnswerError, Window, WindowError
from boxis_async._wire import json as wire_json
from boxis_async._wire.cooperative import at_once
from boxis_async._wire.json_orjson import read_rows
from boxis_async._wire.messages import Reply
from boxis_async._wire.readers import RecordsReader
from boxis_async._wire.records import Fingerprinter, Records, make_converter
from boxis_async._wire.wallclock import WallClock
from boxis_async.testing import Fault, Provider, generate_calls
from boxis_async.testing.answers import params_entry, write_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import MakeClient

# JSON of every kind

spaces = st.sampled_from(["", "", "", "", " ", "  ", "\n", "\t", "\r\n"])
texts = st.one_of(
    st.text(max_size=6),
    # What looks like the end of a key, with a quotation mark before it or one that is escaped.
    st.sampled_from([":", '":', '":"', ":x", '" :', " :", "\\", '\\"', '\\":', ',"a":"b"']),
).map(json.dumps)
escapes = st.sampled_from([r'"\ud800"', r'"\ud83d\ude00"', r'"\/"', r'"\u0022:"', r'"\u003a"'])
numbers = st.sampled_from(["0", "-0", "1.50", "1e5", "1e999", "9" * 40, "NaN", "-Infinity", "01"])
scalars = st.one_of(texts, texts, st.just("null"), escapes, numbers, st.sampled_from(["true", "0"]))


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    """Draw an object, spaced at will, now and then with a key that comes twice."""
    names = draw(st.lists(st.one_of(texts, st.just(r'"\u0061"'), st.just('"a"')), max_size=4))
    gap = [draw(spaces) for _ in range(3)]
    members = [f"{gap[0]}{name}{gap[1]}:{gap[2]}{draw(inner)}" for name in names]
    return "{" + ",".join(members) + "}"


nested = st.one_of(
    scalars, objects(scalars), st.lists(scalars, max_size=2).map(",".join).map("[{}]".format)
)
records = objects(nested)
anything = st.one_of(
    objects(st.one_of(records, records, nested)),
    st.lists(st.one_of(records, nested), max_size=3).map(",".join).map("[{}]".format),
    st.text(max_size=5).map("{{{}".format),
)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key comes twice")
    return dict(pairs)


def refused(constant: str) -> NoReturn:
    raise ValueError(constant)


def by_json(text: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Read the same by json, refusing what is not to be read."""
    found = json.loads(text, object_pairs_hook=once, parse_constant=refused)
    json.dumps(found, ensure_ascii=False).encode()  # no halves of characters
    return found


@given(anything)
def test_the_same_as_json(text: str) -> None:
    """Whatever is read is what json reads, each key once; whatever json refuses is not read."""
    found = read_rows(text)
    if found is not None:
        # Written down, as 0 equals False, and 1.0 equals 1.
        assert json.dumps(found) == json.dumps(by_json(text))


plain = st.text(st.characters(codec="utf-8", exclude_characters=':"\\', min_codepoint=32))
record = st.dictionaries(plain, st.one_of(st.none(), plain), max_size=9)


@given(
    st.one_of(
        st.lists(record, min_size=1), st.dictionaries(st.uuids().map(str), record, min_size=1)
    )
)
def test_records_are_read(sent: list[dict[str, Any]] | dict[str, dict[str, Any]]) -> None:
    """Records of texts and nulls, as PHP writes them, are read: it is not all left to json."""
    text = json.dumps(sent, separators=(",", ":"))
    assert read_rows(text.replace("/", "\\/")) == sent


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[1]",
        '["a"]',
        '[{"a":"b"},"c"]',
        '{"call_1":{"a":"b"},"call_2":null}',
        # A key that comes twice, at each height and however it is spelt or spaced.
        '[{"a":"b","a":"c"}]',
        r'[{"a":"b","\u0061":"c"}]',
        '[{"a":"b","a" :"c"}]',
        '[{"a":"b","a"  :"c"}]',
        '[{"a":"b","a"\n:"c"}]',
        '[{"a":"b","a"\t:"c"}]',
        '[{"a":"b","a"\r:"c"}]',
        '{"call_1":{"a":"b"},"call_1":{"a":"b"}}',
        '{"call_1":{"a":"b"},"call_1" :{"a":"b"}}',
        # One that is made up for by what only looks like a key.
        '[{"a":":","a" :"c"}]',
        r'[{"a":"\":","a" :"c"}]',
        # Numbers, which lose their spelling, and objects.
        '[{"a":1}]',
        '[{"a":1.50}]',
        '[{"a":true}]',
        '[{"a":["b"]}]',
        '[{"a":{"b":"c"}}]',
        '[{"a":"b"},{"a":{"b":"c"}}]',
        # What is no JSON, or not whole.
        '[{"a":NaN}]',
        r'[{"a":"\ud800"}]',
        '[{"a":"b"}',
        '[{"a":"b"}]]',
        "[" * 100_000,
    ],
)
def test_what_is_left_to_json(text: str) -> None:
    """Whatever is not certain to be read alike is left alone."""
    assert read_rows(text) is None


# The same with and without it


def answer(*members: str) -> bytes:
    """Write an answer of two records, the first of texts, the second with members of its own."""
    one = '"uniqueid":"a-1517944376.1","start":"2024-03-05 12:00:00","src":"","sequence":"1"'
    two = one.replace('"1"', '"2"')
    second = ",".join((two, *members))
    return (
        f'{{"result":"1","params":{{"cdr":{{"call_1":{{{one}}},"call_2":{{{second}}}}}}}}}'.encode()
    )


@pytest.mark.parametrize(
    ("member", "name", "value"),
    [
        ('"dst":1.50', "dst", "1.50"),
        ('"dst":-0', "dst", "-0"),
        ('"dst":1e5', "dst", "1e5"),
        ('"dst":0041616925879', None, ""),
        (f'"dst":{"9" * 40}', "dst", "9" * 40),
        ('"dst":true', "dst", "true"),
        (r'"dst":"\ud800x"', "dst", "\ufffdx"),
        (r'"dst":"\ud83d\ude00"', "dst", "😀"),
        ('"dst":NaN', None, ""),
        ('"dst":{}', None, ""),
        ('"duration":29', "duration", 29),
        ('"duration":29.5', None, ""),
        ('"cc_cost":1.50', "cc_cost", "1.50"),
        ('"disposition":8', "disposition", "ANSWERED"),
        ('"answer":0', None, ""),
        ('"odd":1.50', "extra", {"odd": "1.50"}),
        ('"odd":[1.50,{"a":-0}]', "extra", {"odd": '["1.50", {"a": "-0"}]'}),
        ('"odd":{"a":1.0}', "extra", {"odd": '{"a": "1.0"}'}),
        ('"odd":[]', "extra", {"odd": "[]"}),
        ('"odd":false', "extra", {"odd": "false"}),
        ('"src":"x"', None, ""),
        ('"src" :"x"', None, ""),
        (r'"sr\u0063":"x"', None, ""),
    ],
)
@pytest.mark.usefixtures("reader")
async def test_odd_records(
    make_client: MakeClient, member: str, name: str | None, value: object
) -> None:
    """What orjson could not tell apart, or would take, is read or refused as json does."""
    provider = Provider([])
    provider.faults = lambda _: Fault.garbage(answer(member))
    calls = make_client(provider).cdrs(DAY, NEXT_DAY, window=NEXT_DAY - DAY, unique_by="leg")
    if name is None:
        with pytest.raises(WindowError):
            await calls.to_list()
        return
    first, second = await calls.to_list()
    assert (first.sequence, second.sequence) == (1, 2)
    told = getattr(second, name)
    assert (told if isinstance(value, (int, dict)) else str(told)) == value


CONVERT = make_converter(WallClock("Europe/Zurich"), Fingerprinter(b"key")).get_structure_hook(
    Records
)


def outcome(body: bytes, read: Callable[[str], Any] | None) -> object:
    """Give what a stream makes of an answer: records with their fingerprints, or an error."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(wire_json, "fast_reader", lambda: read)
        reader = RecordsReader(CONVERT, "json", window=Window(None, None))
        try:
            found = at_once(reader.read(Reply(200, body)))
        except BoxisError as error:
            return type(error), str(error), reader.server_time
        return found.cdrs, found.fingerprints, reader.server_time


@pytest.mark.slow
@pytest.mark.parametrize("kind", MUTATIONS)
def test_the_same_of_what_is_broken(kind: str) -> None:
    """Whatever became of an answer on its way, it is read, or refused, in the same words."""
    rng = Random(kind)
    is_read: list[bool] = []

    def read(text: str) -> object:
        found = read_rows(text)
        is_read.append(found is not None)
        return found

    made = generate_calls(date(2026, 10, 23), date(2026, 10, 27), calls_per_day=20)
    for _ in range(100):
        sent = params_entry(rng.sample(made, rng.choice((1, 2, 60))), "list")
        body = MUTATIONS[kind](write_json({"result": "1", **sent}), rng)
        assert outcome(body, read) == outcome(body, None)
    assert kind in ("recode", "cut") or any(is_read)


@pytest.mark.parametrize("result_as", ["list", "object"])
async def test_long_answers(make_client: MakeClient, reader: str, result_as: str) -> None:
    """An answer of many pieces holds the same, whichever of its ways reads each."""
    odd = ["}},", '"}},{"', "a :b", "é\\", "😀", "\ud83d", '":', "x" * 40_000]
    rows = [call(f"{DAY}", sequence=f"{n}", clid=odd[n % len(odd)]) for n in range(200)]
    provider = Provider(rows, result_as=result_as)  # type: ignore[arg-type]
    client = make_client(provider, contract=Contract(no_cap_up_to=1000))
    cdrs = await client.cdrs(DAY, NEXT_DAY, unique_by="leg").to_list()
    wanted = {row["sequence"]: str(row["clid"]).replace("\ud83d", "\ufffd") for row in rows}
    assert {str(cdr.sequence): cdr.clid for cdr in cdrs} == wanted
    assert (wire_json.fast_reader() is None) == (reader == "json")


@pytest.mark.usefixtures("reader")
async def test_a_key_that_comes_twice_far_apart(make_client: MakeClient) -> None:
    """A record whose key comes again in another piece of the answer is not lost."""
    one = '{"start":"2024-03-05 12:00:00","clid":"%s"}' % ("x" * 30_000)
    records = ",".join(f'"call_{number % 9}":{one}' for number in range(10))
    provider = Provider([])
    provider.faults = lambda _: Fault.garbage(
        f'{{"result":"1","params":{{"cdr":{{{records}}}}}}}'.encode()
    )
    client = make_client(provider, max_response_bytes=10**6)
    with pytest.raises(WindowError, match="twice") as caught:
        await client.cdrs(DAY, DAY).to_list()
    assert isinstance(caught.value.cause, MalformedAnswerError)


@pytest.mark.subprocess
def test_without_it() -> None:
    """Where orjson is not installed, the library works all the same."""
    code = (
        "import sys; sys.modules['orjson'] = None\n"
        "from boxis_async._wire.json import fast_reader\n"
        "sys.exit(fast_reader() is not None)"
    )
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0
