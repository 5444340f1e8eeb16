"""Bad answers: each ends in an error of this library or in a complete answer, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import json
import random
import zlib
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from cases import spread
from hypothesis import settings
from mutations import (
    MUTATIONS,
    ROWS,
    SECOND,
    is_what_was_sent,
    json_answer,
    provider,
    readings,
    xml_answer,
)

from boxis_async import (
    AttemptTimeoutError,
    BoxisError,
    ConnectionFailedError,
    MalformedAnswerError,
    RecordError,
    RefusedError,
    RetryPolicy,
    TooLargeError,
    WindowError,
)
from boxis_async.testing import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from conftest import MakeClient

    from boxis_async import CDR, BoxisClient

START, END = (datetime.fromisoformat(text) for text in SECOND)
ONCE = RetryPolicy(attempts=1)
JSON, XML = json_answer(), xml_answer()


def whole(cdr: CDR) -> CDR:
    return cdr


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage for a while.

    At the bottom of the recursion that a deep answer leads to, no finalizer can be called: not
    that of a stream which an earlier answer left either.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Judge:
    """Asks for the smallest window, again and again, and judges what comes of each answer."""

    def __init__(self, make_client: MakeClient, *, returntype: str = "json") -> None:
        self._provider = provider()
        self._provider.faults = lambda _: Fault.garbage(self._body)
        self._body = b""
        self._client = make_client(
            self._provider, retry=ONCE, timeout=10, returntype=returntype, max_response_bytes=10**6
        )
        self._returntype = returntype
        self.outcomes: Counter[str] = Counter()

    async def judge(self, body: bytes, *, is_deep: bool = False) -> type[Exception] | None:
        """Give the kind of error that an answer ends in; None if it is complete.

        Args:
            body: What is answered.
            is_deep: Whether it is too deep for the independent reading, and holds one record.
        """
        self._body = body
        sent = ONE if is_deep else body
        with uncollected():
            outcome = await outcome_of(self._client, sent, self._returntype)
        self.outcomes["complete" if outcome is None else outcome.__name__] += 1
        return outcome


async def outcome_of(
    client: BoxisClient, body: bytes, returntype: str = "json"
) -> type[Exception] | None:
    try:
        cdrs = await client.cdrs(START, END, unique_by=whole).to_list()
    except WindowError as error:
        return type_of(error)
    assert is_what_was_sent(cdrs, body, returntype), f"{cdrs} of {body[:3000]!r}"
    return None


def type_of(error: WindowError) -> type[Exception]:
    """Hold an error to being one of this library, and give its kind."""
    assert isinstance(error.cause, BoxisError), f"{error.cause!r}"
    assert "stand-in-key" not in f"{error}"
    return type(error.cause)


# Mutations of a good answer

forms = pytest.mark.parametrize(
    ("reader", "returntype"),
    [("orjson", "json"), ("json", "json"), ("orjson", "xml")],
    indirect=["reader"],
    ids=["orjson", "json", "xml"],
)
"""Every way to read an answer: of XML there is one."""


@pytest.mark.usefixtures("reader")
async def test_the_good_answer(make_client: MakeClient) -> None:
    """What is mutated is a complete answer, and the independent reading agrees."""
    assert len(readings(JSON)) == len(readings(XML, "xml")) == 1
    assert await Judge(make_client).judge(JSON) is None
    assert await Judge(make_client, returntype="xml").judge(XML) is None


@pytest.mark.slow
@forms
@pytest.mark.usefixtures("reader")
async def test_cut_anywhere(make_client: MakeClient, returntype: str) -> None:
    """No beginning of an answer is taken for the answer, wherever it ends."""
    body = (JSON if returntype == "json" else XML).rstrip()
    judge = Judge(make_client, returntype=returntype)
    for length in spread(range(len(body)), 300):
        assert await judge.judge(body[:length]) is MalformedAnswerError, length
    assert await judge.judge(body) is None


@pytest.mark.slow
@forms
@pytest.mark.parametrize("kind", sorted(MUTATIONS))
@pytest.mark.usefixtures("reader")
async def test_mutations(make_client: MakeClient, kind: str, returntype: str) -> None:
    """Whatever happens to an answer, what comes of it is in it, and all that is, or an error."""
    rng = random.Random(f"{kind} {returntype}")
    body = JSON if returntype == "json" else XML
    judge = Judge(make_client, returntype=returntype)
    examples = settings.default.max_examples
    for _ in range(examples):
        mutated = MUTATIONS[kind](body, rng)
        outcome = await judge.judge(mutated)
        assert outcome is None or issubclass(outcome, BoxisError)
    assert sum(judge.outcomes.values()) == examples


def with_cdr(cdr: str) -> bytes:
    return b'{"result":"1","params":{"cdr":%b}}' % cdr.encode()


RECORD = json.dumps(ROWS[0])
ONE = with_cdr(f"[{RECORD}]")
DEEP = 10_000


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (with_cdr('["a text"]'), RecordError),
        (with_cdr('"a text"'), MalformedAnswerError),
        (with_cdr("5"), MalformedAnswerError),
        (with_cdr("true"), MalformedAnswerError),
        (with_cdr(f"[{RECORD}]"), None),
        (with_cdr(f'{{"call_1":{RECORD}}}'), None),
        (with_cdr('""'), None),
        (with_cdr("null"), None),
        (with_cdr("[null]"), RecordError),
        (with_cdr(f'{{"call_1":{RECORD},"call_2":null}}'), RecordError),
        (with_cdr(f'{{"call_1":{RECORD},"call_2":[]}}'), RecordError),
        (with_cdr(f'{{"call_1":{RECORD},"call_2":"x"}}'), RecordError),
        (with_cdr(f'{{"call_1":{RECORD},"call_1":{RECORD}}}'), MalformedAnswerError),
        (b'{"result":"1","params":[],"params":{"cdr":[]}}', MalformedAnswerError),
        (with_cdr(f'[{RECORD[:-1]},"src":"1"}}]'), MalformedAnswerError),
        (with_cdr("NaN"), MalformedAnswerError),
        (with_cdr(f'[{RECORD[:-1]},"x":NaN}}]'), MalformedAnswerError),
        (with_cdr(f'[{RECORD[:-1]},"x":-Infinity}}]'), MalformedAnswerError),
        (with_cdr(f'[{RECORD[:-1]},"x":{"9" * 10_000}}}]'), None),
        (with_cdr(f"[{RECORD.replace(chr(34) + '90' + chr(34), '9' * 10_000)}]"), RecordError),
        (with_cdr("9" * 10_000), MalformedAnswerError),
        (b"9" * 10_000, MalformedAnswerError),
        (b'{"result":%b}' % (b"1" * 10_000), MalformedAnswerError),
        (b'{"result":1e9999}', MalformedAnswerError),
        (b"[" * DEEP, MalformedAnswerError),
        (b"[" * DEEP + b"]" * DEEP, MalformedAnswerError),
        (b'{"a":' * DEEP, MalformedAnswerError),
        (with_cdr("[" * DEEP + "]" * DEEP), MalformedAnswerError),
        (with_cdr('{"call_1":' * DEEP + "1" + "}" * DEEP), MalformedAnswerError),
        (b'{"result":"0","resulttxt":' + b"[" * DEEP + b"]" * DEEP + b"}", MalformedAnswerError),
        (b"<br />" * 10_000 + JSON, None),
        (b"{" * 10_000 + JSON, MalformedAnswerError),
        (JSON + b"<br />\n<b>Warning</b>: it ends", MalformedAnswerError),
        (JSON + JSON, MalformedAnswerError),
        (JSON[:40] + b"<b>Notice</b>: within" + JSON[40:], MalformedAnswerError),
        (b"\x00" * 100, MalformedAnswerError),
        (b" " * 100_000, MalformedAnswerError),
        (b" " * 10**6 + JSON, TooLargeError),
        (b"", MalformedAnswerError),
    ],
    ids=lambda value: value[-40:].decode("latin-1") if isinstance(value, bytes) else "",
)
@pytest.mark.usefixtures("reader")
async def test_crafted(make_client: MakeClient, body: bytes, error: type[Exception] | None) -> None:
    """Answers of another shape, too deep, too long, twice, with what JSON is not: each is told."""
    assert await Judge(make_client).judge(body) is error


@pytest.mark.parametrize("depth", [10, 100, 300, 480, 600, 900, 960, 990, 1000, 2000])
@pytest.mark.parametrize("place", ["extra", "src", "duration", "cdr", "resulttxt"])
@pytest.mark.usefixtures("reader")
async def test_any_depth(make_client: MakeClient, depth: int, place: str) -> None:
    """At whichever depth Python gives up, it is an error of ours."""
    deep = "[" * depth + "]" * depth
    body = {
        "extra": with_cdr(f'[{RECORD[:-1]},"x":{deep}}}]'),
        "src": with_cdr(f"[{json.dumps({**ROWS[0], 'src': 0}).replace(': 0', ': ' + deep)}]"),
        "duration": with_cdr(
            f"[{json.dumps({**ROWS[0], 'duration': 0}).replace(': 0', ': ' + deep)}]"
        ),
        "cdr": with_cdr(deep),
        "resulttxt": b'{"result":"0","resulttxt":%b}' % deep.encode(),
    }[place]
    outcome = await Judge(make_client).judge(body, is_deep=place == "extra")
    assert outcome in (None, MalformedAnswerError, RecordError, RefusedError)


ENTITIES = (
    '<?xml version="1.0"?><!DOCTYPE return [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1 or str()};" * 10}">' for n in range(1, 10))
    + "]><return><result>1</result><params><cdr><call_1><src>&a9;</src></call_1></cdr></params>"
    "</return>"
).encode()


@pytest.mark.parametrize(
    "body",
    [
        ENTITIES,
        ENTITIES.replace(b"&a9;", b"x"),
        (
            b'<!DOCTYPE return [<!ENTITY x SYSTEM "file:///etc/passwd">]><return><result>1</result>'
            b"<params><cdr><call_1><src>&x;</src></call_1></cdr></params></return>"
        ),
        b"<return><result>1</result><params>&nbsp;</params></return>",
        b"<a>" * DEEP,
        b"<return>" * DEEP + b"</return>" * DEEP,
        b"<return><result>1</result>" + b"<a>" * 500 + b"</a>" * 500 + b"</return>",
        b'<?xml version="1.0" encoding="utf-16"?>' + XML.partition(b"\n")[2],
        b"<return><result>1</result><result>1</result></return>",
        b"<html><body>Maintenance</body></html>",
        JSON,
    ],
    ids=lambda body: body[:40].decode(),
)
async def test_crafted_xml(make_client: MakeClient, body: bytes) -> None:
    """XML with entities, too deep, of another root or encoding, is told, and reads no file."""
    assert await Judge(make_client, returntype="xml").judge(body) is MalformedAnswerError


async def test_a_foreign_document_type_is_not_fetched(make_client: MakeClient) -> None:
    """A document type that is elsewhere is left there."""
    asked = 0

    async def answer(_: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1

    async with serving(answer) as url:
        body = f'<!DOCTYPE return SYSTEM "{url}x.dtd">'.encode() + XML.partition(b"\n")[2]
        assert await Judge(make_client, returntype="xml").judge(body) in (
            None,
            MalformedAnswerError,
        )
    assert asked == 0


async def test_other_functions_too(make_client: MakeClient) -> None:
    """What `call()` is answered with is held to the same."""
    held = provider()
    client = make_client(held, retry=ONCE)
    rng = random.Random(5)
    bodies = [MUTATIONS[kind](JSON, rng) for kind in MUTATIONS for _ in range(20)]
    bodies += [b"9" * 10_000, b'{"result":1,"params":' + b"9" * 10_000 + b"}", b"[" * DEEP]
    for body in bodies:
        held.faults = lambda _, body=body: Fault.garbage(body)  # type: ignore[misc]
        with contextlib.suppress(BoxisError), uncollected():
            assert isinstance(await client.call("voice", "getCDR"), dict)


# Over sockets


@contextlib.asynccontextmanager
async def serving(
    answer: Callable[[asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Answer each request with raw bytes, then close; give the address."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.partition(b":")[2])
                for line in head.lower().splitlines()
                if line.startswith(b"content-length")
            )
            await reader.readexactly(length)
            await answer(writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def raw_client(make_client: MakeClient, url: str, **more: float) -> BoxisClient:
    settings = {"timeout": 10, "max_response_bytes": 100_000} | more
    return make_client(provider(), http_client=None, base_url=url, retry=ONCE, **settings)


def chunked(body: bytes) -> bytes:
    parts = [body[at : at + 300] for at in range(0, len(body), 300)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def framed(how: str) -> bytes:
    """Write a whole HTTP answer, its length told in one way or another."""
    body = ONE
    packed = gzip.compress(body, mtime=0)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n"
    return {
        "length": head + b"content-length: %d\r\n\r\n%b" % (len(body), body),
        "chunked": head + b"transfer-encoding: chunked\r\n\r\n" + chunked(body),
        "close": head + b"connection: close\r\n\r\n" + body,
        "gzip": head
        + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b" % (len(packed), packed),
        "gzip and close": head + b"content-encoding: gzip\r\nconnection: close\r\n\r\n" + packed,
    }[how]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["length", "chunked", "close", "gzip", "gzip and close"])
async def test_closed_anywhere(make_client: MakeClient, how: str) -> None:
    """A connection that closes anywhere in an answer gives an error, and no record."""
    raw = framed(how)
    # Each byte of the head, which is short.
    body = raw.index(b"\r\n\r\n")
    ends = [*range(body), *spread(range(body, len(raw) + 1), 150)]
    sent = 0

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(raw[:sent])
        await writer.drain()

    outcomes: Counter[type[Exception] | None] = Counter()
    async with serving(answer) as url:
        client = raw_client(make_client, url)
        for sent in ends:  # noqa: B007 - read by the server
            outcomes[await outcome_of(client, ONE)] += 1
    assert outcomes.pop(None) == 1
    assert set(outcomes) <= {ConnectionFailedError, MalformedAnswerError}
    assert sum(outcomes.values()) == len(ends) - 1


@pytest.mark.slow
async def test_flips_anywhere_in_the_http_answer(make_client: MakeClient) -> None:
    """Bytes flipped in the head, the framing or the compression end in an error, or are seen."""
    raws = [framed(how) for how in ("length", "chunked", "close", "gzip", "gzip and close")]
    rng = random.Random(11)
    raw = b""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    outcomes: Counter[str] = Counter()
    async with serving(answer) as url:
        client = raw_client(make_client, url, timeout=5)
        for number in range(300):
            good = raws[number % len(raws)]
            # Half of them in the head, which is short.
            end = good.index(b"\r\n\r\n") if number % 2 else len(good)
            at = rng.randrange(end)
            raw = good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1 :]
            # Where the body itself was flipped, that is what the server sent.
            body = raw[-len(ONE) :] if good.endswith(ONE) else ONE
            if number % 5 == 1:
                body = unchunked(raw)
            outcome = await outcome_of(client, body)
            outcomes["complete" if outcome is None else outcome.__name__] += 1
    assert outcomes["complete"] > 0
    assert len(outcomes) > 2


def unchunked(raw: bytes) -> bytes:
    """Take the body out of a chunked answer, flipped or not."""
    _, _, rest = raw.partition(b"\r\n\r\n")
    good = framed("chunked").partition(b"\r\n\r\n")[2]
    if len(rest) != len(good):
        return ONE
    found, at, body = bytearray(), 0, ONE
    for begin in range(0, len(body), 300):
        size = len(body[begin : begin + 300])
        at += len(b"%x\r\n" % size)
        found += rest[at : at + size]
        at += size + 2
    return bytes(found)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n"


async def forever(writer: asyncio.StreamWriter, head: bytes, part: bytes) -> None:
    writer.write(head)
    while True:
        writer.write(part)
        await writer.drain()


@pytest.mark.parametrize(
    ("head", "part", "error"),
    [
        (HEAD + b"\r\n", b" " * 1000, TooLargeError),
        (HEAD + b"\r\n" + JSON, b"\n" * 1000, TooLargeError),
        (
            HEAD + b"transfer-encoding: chunked\r\n\r\n",
            b"3e8\r\n%b\r\n" % (b" " * 1000),
            TooLargeError,
        ),
        (HEAD + b"content-length: 99999999999\r\n\r\n", b" " * 1000, TooLargeError),
        (HEAD, b"x-more: " + b"a" * 1000 + b"\r\n", ConnectionFailedError),
        (HEAD + b"x-more: ", b"a" * 1000, ConnectionFailedError),
        (b"HTTP/1.1 200 ", b"OK" * 1000, ConnectionFailedError),
        (b"", b"a" * 1000, ConnectionFailedError),
    ],
    ids=["body", "after", "chunks", "length", "headers", "header", "reason", "no head"],
)
async def test_endless(
    make_client: MakeClient, head: bytes, part: bytes, error: type[Exception]
) -> None:
    """An answer without an end, in whichever part, is read no further than the limits."""
    async with serving(lambda writer: forever(writer, head, part)) as url:
        assert await outcome_of(raw_client(make_client, url), b"") is error


async def test_endless_provisional_answers(make_client: MakeClient) -> None:
    """A server that says for ever that it goes on is left at the time-out."""
    async with serving(
        lambda writer: forever(writer, b"", b"HTTP/1.1 102 Processing\r\n\r\n")
    ) as url:
        outcome = await outcome_of(raw_client(make_client, url, timeout=0.3), b"")
        assert outcome in (AttemptTimeoutError, ConnectionFailedError)


@pytest.mark.parametrize(
    "sent", [b"", HEAD, HEAD + b"content-length: 100\r\n\r\n{", b"HTTP/1.1 100 Continue\r\n\r\n"]
)
async def test_a_server_that_falls_silent(make_client: MakeClient, sent: bytes) -> None:
    """A connection that stays open and says no more is left at the time-out."""
    gone = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await gone.wait()

    async with serving(answer) as url:
        outcome = await outcome_of(raw_client(make_client, url, timeout=0.2), b"")
        gone.set()
    assert outcome is AttemptTimeoutError


async def test_an_answer_that_drips(make_client: MakeClient) -> None:
    """An answer that comes byte by byte, for ever, is left at the time-out of the whole."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"content-length: 99999\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with serving(answer) as url:
        outcome = await outcome_of(raw_client(make_client, url, timeout=0.2), b"")
    assert outcome is AttemptTimeoutError


def bombs() -> dict[str, bytes]:
    """Make compressed answers that are small on the wire."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    blank = b" " * 2**20
    large = b"".join(deflate.compress(blank) for _ in range(64)) + deflate.flush()
    return {
        "large": large,
        "twice": gzip.compress(large),
        "not compressed": JSON,
        "cut": gzip.compress(JSON)[:-5],
        "spoiled": gzip.compress(JSON)[:30] + b"\x00" * 40,
        "followed": gzip.compress(JSON) + b"more",
        "two": gzip.compress(JSON) + gzip.compress(JSON),
        "wrong checksum": gzip.compress(JSON)[:-8] + b"\x00" * 8,
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(bombs()))
async def test_compression(make_client: MakeClient, kind: str) -> None:
    """A bomb, and compression that is none, or broken, or goes on: an error each."""
    packed = bombs()[kind]

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed))
        writer.write(packed)
        await writer.drain()

    async with serving(answer) as url:
        outcome = await outcome_of(raw_client(make_client, url), b"")
    assert outcome is (TooLargeError if kind == "large" else MalformedAnswerError)


@pytest.mark.parametrize("encoding", ["none", "utf-8", "identity", "x", "\x80", ""])
async def test_what_is_no_compression(make_client: MakeClient, encoding: str) -> None:
    """A header that names no compression changes nothing: the answer is read as it is."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"content-encoding: " + encoding.encode("latin-1"))
        writer.write(b"\r\ncontent-length: %d\r\n\r\n" % len(JSON) + JSON)
        await writer.drain()

    async with serving(answer) as url:
        assert await outcome_of(raw_client(make_client, url), JSON) is None


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(JSON[:50]) + gzip.compress(JSON[50:])),
        ("gzip", gzip.compress(JSON) + b"\0" * 300),
        ("x-gzip", gzip.compress(JSON[:9]) + b"\0\0" + gzip.compress(JSON[9:]) + b"\0"),
        ("deflate", zlib.compress(JSON)),
        ("deflate", zlib.compress(JSON)[2:-4]),
    ],
    ids=["members", "zeros", "both", "deflate", "raw deflate"],
)
async def test_compression_of_other_kinds(
    make_client: MakeClient, encoding: str, packed: bytes
) -> None:
    """Members of gzip are read on, zeros behind them passed over, and deflate is known."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"content-encoding: " + encoding.encode())
        writer.write(b"\r\ncontent-length: %d\r\n\r\n" % len(packed) + packed)
        await writer.drain()

    async with serving(answer) as url:
        assert await outcome_of(raw_client(make_client, url), JSON) is None


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip"])
async def test_compression_unasked_for(make_client: MakeClient, encoding: str) -> None:
    """A compression that was not asked for is named, and not guessed at."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"content-encoding: " + encoding.encode("latin-1"))
        writer.write(b"\r\ncontent-length: %d\r\n\r\n" % len(JSON) + JSON)
        await writer.drain()

    async with serving(answer) as url:
        assert await outcome_of(raw_client(make_client, url), b"") is MalformedAnswerError


@pytest.mark.parametrize(
    "content_type", ["text/html; charset=utf-16", "text/xml; charset=x", "image/png", "\x80", ""]
)
async def test_wrong_charset(make_client: MakeClient, content_type: str) -> None:
    """What the content type says is not looked at: the answer is complete all the same."""
    body = JSON.replace(b"Zo\\u00eb", b"Zo\xeb")
    assert b"\xeb" in body

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: " + content_type.encode("latin-1"))
        writer.write(b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    async with serving(answer) as url:
        assert await outcome_of(raw_client(make_client, url), body) is None
