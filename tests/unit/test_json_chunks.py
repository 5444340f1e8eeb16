"""Answers read in chunks: the same as read at once, and no step is long."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from calls import DAY, NEXT_DAY, call
from defusedxml.ElementTree import ParseError, fromstring
from hypothesis import assume, given
from hypothesis import strategies as st

from boxis_async import Contract
from boxis_async._wire.body_text import BodyText
from boxis_async._wire.cooperative import at_once
from boxis_async._wire.json import fast_reader, json_in_chunks, read_json
from boxis_async._wire.json_chunks import Chunked, read_object
from boxis_async._wire.xml import read_xml, xml_in_chunks
from boxis_async.errors import MalformedAnswerError
from boxis_async.testing import Provider
from boxis_async.testing.answers import write_xml

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conftest import MakeClient

    from boxis_async import BoxisClient
    from boxis_async._wire.json_chunks import ReadRows

KIB = 1024
SURROGATE = re.compile("[\ud800-\udfff]")

LONG = '"%s"' % ("f" * 30_000)
"""A value so long that two records with one are more than a chunk."""

PLACES = (
    '{"result":"1","params":{"cdr":%s},"timestamp":1}',
    '{"result":"1","params":%s}',
    '{"cdr":%s}',
    '{"params":{"a":[1],"cdr":%s,"b":{}},"cdr":{},"x":{"cdr":[]}}',
    '{"params":{"params":%s}}',
    # Behind the records stands what looks like more of them.
    '{"cdr":%s,"x":{"call_0":{"a":"b"},"call_1":{"a":"b"},"a":[{},{}]}}',
    '{"result":"1","calls":%s}',
)
"""Where records may stand in an answer, known to the provider's pages or not."""


# Decoding as a whole, to compare with


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key comes twice in one object")
    return dict(pairs)


def refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def replaced(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, dict):
        return once([(replaced(name), replaced(inner)) for name, inner in value.items()])
    if isinstance(value, list):
        return [replaced(inner) for inner in value]
    return SURROGATE.sub("\ufffd", value) if isinstance(value, str) else value


def decoder() -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=once, parse_constant=refused, parse_int=str, parse_float=str
    )


def as_a_whole(text: str) -> object:
    """Decode an answer in one go, or give the words in which it is refused."""
    try:
        value, end = decoder().raw_decode(text)
        value = replaced(value)
    except ValueError as error:
        return f"the answer is not complete, valid JSON: {error}"
    return "the answer goes on after the end of its JSON" if text[end:].strip() else value


def in_chunks(text: str) -> object:
    """Read it in chunks, or give the words in which it is refused."""
    try:
        return read_json(text.encode(), as_text=True)
    except MalformedAnswerError as error:
        return str(error)


# Answers, good and bad

blanks = st.sampled_from(["", "", "", " ", "\n\t", "\r\n"])
values = st.sampled_from(
    [
        *('"a"', '""', "null", "-0", "1.50", "1e5", "[]", "{ }", LONG, LONG),
        # What looks like the end of a record.
        *('{"a":{},"b":{"c":"d"}}', '[{"a":"b"},{}]', r'"},\"call_1\":{"', '"},{"', '"},"'),
        *(r'"\ud800"', r'"\ud83d\ude00"', r'"\\ud800"', '"😀é"', r'"\u0022\/"', r'{"\udc00":1}'),
    ]
)
odd_names = st.sampled_from(
    ["call_0", r"call\u005f1", r"\ud800", r"\udc00", "params", "cdr", r"c\u0064r", "},", r"\"", ""]
)
garbage = st.sampled_from(
    [
        *"{}[],:\"\\x0 '\x00\x0b",
        "},",
        '},"call_7":{',
        "},{",
        "NaN",
        "-Infinity",
        LONG,
        "//",
        "\\u12",
    ]
)


@st.composite
def containers(draw: st.DrawFn, inner: st.SearchStrategy[str], *, numbered: bool, most: int) -> str:
    """Draw the JSON of an object or an array, spaced at will."""
    items = [draw(blanks) + item + draw(blanks) for item in draw(st.lists(inner, max_size=most))]
    if draw(st.booleans()) and numbered:
        return f"[{','.join(items) or draw(blanks)}]"
    names = [f"call_{number}" for number in range(len(items))]
    if names and not draw(st.integers(0, 7)):
        names[-1] = draw(odd_names)
    members = [
        f'{draw(blanks)}"{name}"{draw(blanks)}:{item}'
        for name, item in zip(names, items, strict=True)
    ]
    return f"{{{','.join(members) or draw(blanks)}}}"


records = containers(values, numbered=False, most=4)
answers = st.builds(
    lambda place, held: place % held,
    st.sampled_from(PLACES),
    containers(st.one_of(records, records, records, values), numbered=True, most=12),
)


@given(answers, blanks)
def test_the_same_as_at_once(answer: str, after: str) -> None:
    """Whatever an answer holds and however it is spaced, it is read, or refused, as a whole."""
    assert in_chunks(answer + after) == as_a_whole(answer + after)


@given(answers, garbage, st.data())
def test_the_same_of_what_is_broken(answer: str, put_in: str, data: st.DataObject) -> None:
    """Cut or interrupted at any place, it is refused in the same words, or the same is read."""
    # Within the long values there is little to find.
    places = [found.start() for found in re.finditer("[^f]", answer)]
    at = data.draw(st.sampled_from(places[1:]))
    for broken in (answer[:at], answer[:at] + put_in + answer[at:], answer[:at] + answer[at + 1 :]):
        wanted, found = as_a_whole(broken), in_chunks(broken)
        assert found == wanted


@pytest.mark.parametrize("held", ['{"call_1":{"a":%s}}', '[{"a":%s}]', "[]", "{}"])
def test_what_stands_behind_the_records(held: str) -> None:
    """What is cut where the records have ended is none of them, however alike."""
    held = held.replace("%s", LONG)
    more = ",".join(f'"call_{number}":{{"a":{LONG}}}' for number in range(9))
    items = ",".join(f'{{"a":{LONG}}}' for _ in range(9))
    for answer in (
        f'{{"cdr":{held},"x":{{{more}}}}}',
        f'{{"cdr":{held},"x":[{items}]}}',
        f'{{"params":{{"cdr":{held},{more}}},{more}}}',
    ):
        assert in_chunks(answer) == as_a_whole(answer) == json.loads(answer)


def test_what_is_refused_in_chunks_too() -> None:
    """A key that comes twice is found in whichever chunks it comes."""
    far = ",".join(f'"call_{number}":{{"a":{LONG}}}' for number in range(10))
    for name in ("call_0", "call_9", r"call\u005f5"):
        answer = PLACES[0] % f'{{{far},"{name}":{{}}}}'
        assert "twice" in str(in_chunks(answer))
    assert "twice" in str(in_chunks(PLACES[0] % rf'{{"\ud800":{{}},{far},"\udc00":{{}}}}'))


# Rows that are handed over

read_by = pytest.mark.parametrize("rows_reader", [None, fast_reader()], ids=["json", "orjson"])


def handed_over(text: str, rows_reader: ReadRows | None = None) -> tuple[object, list[list[Any]]]:
    """Decode an answer, or give the words of its refusal; and the rows that came before."""
    came: list[list[Any]] = []
    chunks = read_object(BodyText(text.encode()), decoder(), rows_reader, chunked=True)
    while True:
        try:
            came.append(next(chunks))
        except StopIteration as end:
            return end.value, came
        except ValueError as error:
            return str(error), came


def stood_in(value: object, whole: object, came: list[Any]) -> object:
    """Put the rows that came back where a `Chunked` stands, as many as it says, in their order."""
    if isinstance(value, Chunked):
        rows, came[: value.count] = came[: value.count], []
        assert len(rows) == value.count > 0
        assert isinstance(whole, (dict, list))
        # The keys do not come with the rows.
        return dict(zip(whole, rows, strict=True)) if isinstance(whole, dict) else rows
    if isinstance(value, dict):
        assert isinstance(whole, dict)
        return {name: stood_in(inner, whole[name], came) for name, inner in value.items()}
    return value


def holds_chunked(value: object) -> bool:
    return isinstance(value, Chunked) or (
        isinstance(value, dict) and any(map(holds_chunked, value.values()))
    )


@read_by
@given(answer=answers)
def test_rows_are_handed_over(answer: str, rows_reader: ReadRows | None) -> None:
    """All rows come, in order, in the chunks; or they stand in the answer, and none counts."""
    # It may give a number as a number, see `json_in_chunks`.
    assume(rows_reader is None or not re.search(r"-0|1\.50|1e5", answer))
    whole = json_or_words(answer)
    found, came = handed_over(answer, rows_reader)
    if not holds_chunked(found):
        assert found == whole
        return
    rows = [row for chunk in came for row in chunk]
    assert stood_in(found, whole, rows) == whole
    assert rows == []


@given(answers, garbage, st.data())
def test_rows_of_what_is_broken(answer: str, put_in: str, data: st.DataObject) -> None:
    """What is broken is refused in json's words, whatever was handed over before."""
    places = [found.start() for found in re.finditer("[^f]", answer)]
    at = data.draw(st.sampled_from(places[1:]))
    for broken in (answer[:at], answer[:at] + put_in + answer[at:], answer[:at] + answer[at + 1 :]):
        whole, (found, came) = json_or_words(broken), handed_over(broken)
        if isinstance(whole, str) or not holds_chunked(found):
            assert found == whole
        else:
            rows = [row for chunk in came for row in chunk]
            assert stood_in(found, whole, rows) == whole


def json_or_words(text: str) -> object:
    """Decode the first value of a text in one go, or give json's words."""
    try:
        return decoder().raw_decode(text)[0]
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("held", ["{%s}", "[%s]"])
def test_rows_come_chunk_by_chunk(held: str) -> None:
    """Rows are not collected: each pause hands over those of one chunk, some thirty of a kB."""
    found, came = handed_over(large(PLACES[0], held))
    assert max(map(len, came)) < 40
    assert sum(map(len, came)) == 3000
    assert isinstance(found, dict)
    assert found["params"]["cdr"].count == 3000


@pytest.mark.parametrize("held", ["{}", "[]", "{ }"])
def test_no_rows(held: str) -> None:
    """Where there are no rows, there is nothing in their place but what was sent."""
    found, came = handed_over(PLACES[0] % held)
    assert isinstance(found, dict)
    assert found["params"]["cdr"] == json.loads(held)
    assert not any(came)


# Steps are short


class Recording(json.JSONDecoder):
    """Notes how much is decoded in one go."""

    def __init__(self) -> None:
        super().__init__(object_pairs_hook=once)
        self.lengths: list[int] = []

    def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
        value, end = super().raw_decode(s, idx)
        self.lengths.append(end - idx)
        return value, end


def large(place: str, held: str) -> str:
    """Write an answer with 3,000 records of a kilobyte."""
    record = json.dumps({"clid": "},{", "lastdata": "x" * 1000})
    named = held == "{%s}"
    return (
        place
        % held
        % ",".join(f'"call_{number}": {record}' if named else record for number in range(3000))
    )


@pytest.mark.parametrize("place", PLACES[:4])
@pytest.mark.parametrize("held", ["{%s}", "[%s]"])
def test_steps_are_short(place: str, held: str) -> None:
    """A large answer is read in many steps, and no more than a chunk is decoded in one."""
    text = large(place, held)
    recording = Recording()
    steps = sum(1 for _ in read_object(BodyText(text.encode()), recording))
    # Where records are members of `params` itself, 64 of them are read between two pauses.
    least = 40 if (place, held) == (PLACES[1], "{%s}") else 80
    assert least <= steps <= least + 20
    assert max(recording.lengths) < 34 * KIB
    assert sum(1 for _ in json_in_chunks(text.encode(), as_text=True)) == steps


@pytest.mark.parametrize("notice", ["Notice: {x}\n", "Warning: \n"])
def test_steps_behind_a_notice(notice: str) -> None:
    """Behind a notice too, where the answer has to be found first."""
    assert (
        sum(1 for _ in json_in_chunks((notice + large(PLACES[0], "{%s}")).encode(), as_text=True))
        >= 40
    )


def test_records_beside_the_result() -> None:
    """Records that stand beside the result are read in steps as well, however many there are."""
    text = large("%s", "{%s}")
    assert sum(1 for _ in json_in_chunks(text.encode(), as_text=True)) >= 40


@pytest.mark.parametrize("text", ['{"result":"1","params":[]}', PLACES[0] % '{"call_1":{}}'])
def test_a_small_answer_is_one_step(text: str) -> None:
    """A small answer takes no turn of the loop more than it did."""
    assert list(json_in_chunks(text.encode(), as_text=True)) == []


def test_an_answer_that_is_given_up() -> None:
    """Whoever stops between two steps leaves nothing behind."""
    steps = json_in_chunks(large(PLACES[0], "{%s}").encode(), as_text=True)
    next(steps)
    steps.close()
    assert list(steps) == []


# XML


@pytest.mark.parametrize("shift", range(24))
def test_xml_in_steps(shift: int) -> None:
    """XML is the same wherever it is cut into steps: in a tag, a reference or a character."""
    record = {"clid": "é😀 &<>\"' &amp; ü", "dst": "", "src": "201"}
    sent = {f"call_{number}": record for number in range(1000)}
    body = write_xml({"resulttxt": "x" * shift, "params": {"cdr": sent}})
    assert sum(1 for _ in xml_in_chunks(body)) > len(body.decode()) // (16 * KIB)
    assert read_xml(body)["params"]["cdr"] == sent


def test_broken_xml_in_steps() -> None:
    """A large XML answer that is broken at its end is told in the words of the parser."""
    record = {"clid": "x" * 1000}
    body = write_xml({"params": {"cdr": {f"call_{number}": record for number in range(100)}}})
    for cut in (body[:-2], body[:-20], body[:-3] + b"<" + body[-3:]):
        with pytest.raises(ParseError) as plain:
            fromstring(cut.decode())
        with pytest.raises(MalformedAnswerError, match=re.escape(str(plain.value))):
            at_once(xml_in_chunks(cut))


# On the loop


async def turns_while(work: Awaitable[object]) -> int:
    """Count the turns that another task gets meanwhile."""
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(take_turns())
    await work
    other.cancel()
    return turns


@pytest.mark.both_loops
@pytest.mark.parametrize("returntype", ["json", "xml"])
async def test_others_get_their_turns(make_client: MakeClient, returntype: str) -> None:
    """While a large answer is read, other tasks get many more turns than with a small one."""

    async def turns(ask: Callable[[BoxisClient], Awaitable[object]], calls: int) -> int:
        held = Provider([call(f"{DAY}", lastdata="x" * 1000) for _ in range(calls)])
        known = Contract(rule="start", no_cap_up_to=2000)
        client = make_client(held, returntype=returntype, contract=known)
        return await turns_while(ask(client))

    def by_hand(client: BoxisClient) -> Awaitable[object]:
        return client.call("voice", "getCDR", tenant=Provider().tenant, datefrom=DAY, dateto=DAY)

    def streamed(client: BoxisClient) -> Awaitable[object]:
        return client.cdrs(DAY, NEXT_DAY, window=NEXT_DAY - DAY).to_list()

    # 1.4 MB are more than 20 steps, with two turns after each.
    assert await turns(by_hand, 1000) - await turns(by_hand, 1) >= 2 * 20
    assert await turns(streamed, 1000) - await turns(streamed, 1) >= 2 * 20
