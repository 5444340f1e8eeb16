"""The wire: what is signed and sent, and what of an answer is believed."""

# Naive datetimes here are the provider's wall clock; a test hands over what types forbid.
# ruff: noqa: DTZ001, ANN401

from __future__ import annotations

import copy
import hashlib
import json
import logging
import pickle
import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl

import pytest
from cases import spread
from hypothesis import example, given
from hypothesis import strategies as st
from paths import DATA
from strategies import notices, rows, texts

from boxis_async._checks import problem_with_returntype
from boxis_async._wire import answers
from boxis_async._wire.answers import content_of, rows_of
from boxis_async._wire.cooperative import at_once
from boxis_async._wire.messages import Answer, Reply
from boxis_async._wire.signing import Credentials, Key, sign
from boxis_async.errors import (
    AuthenticationError,
    BoxisError,
    ClockError,
    MalformedAnswerError,
    RefusedError,
    StatusError,
    UsageError,
)
from boxis_async.testing.answers import params_entry, write_json, write_xml

if TYPE_CHECKING:
    from collections.abc import Sequence

    from strategies import Row

KEY = "BX3KwWU2SuqvoEWnjYmOibf"
MAIL = "mail1@example.com"
CREDENTIALS = Credentials(MAIL, Key(KEY))
PAGE_EXAMPLE = (DATA / "page_example.json").read_bytes()
BOM = b"\xef\xbb\xbf"


def read_answer(
    body: bytes, returntype: Literal["json", "xml"] = "json", *, as_text: bool = False
) -> Answer:
    """Read the body of an answer."""
    return at_once(answers.read_answer(body, returntype, as_text=as_text))


def read_reply(reply: Reply, returntype: Literal["json", "xml"] = "json") -> Answer:
    """Read what came over HTTP."""
    return at_once(answers.read_reply(reply, returntype))


def rows_in(answer: Answer) -> dict[str, object]:
    """Give the rows of an answer that was read whole."""
    found = rows_of(answer)
    assert isinstance(found, dict)
    return found


def read(
    body: bytes | str, returntype: Literal["json", "xml"] = "json"
) -> list[tuple[str, object]]:
    """Read records the way a stream does."""
    body = body.encode() if isinstance(body, str) else body
    return [*rows_in(read_answer(body, returntype, as_text=True)).items()]


def outcome(
    body: bytes, returntype: Literal["json", "xml"] = "json"
) -> list[tuple[str, object]] | None:
    """Read records, or tell by None that there was an error."""
    try:
        return read(body, returntype)
    except BoxisError:
        return None


def answer(records: Sequence[Row]) -> dict[str, Any]:
    """Build an answer as the page shows it."""
    return {
        "result": "1",
        "resulttxt": "success",
        **params_entry(records, "list"),
        "timestamp": "1518091850",
    }


def signed(returntype: Literal["json", "xml"] = "json", **parameters: object) -> dict[str, str]:
    """Sign a call of getCDR, and give the form's fields."""
    form = sign(
        CREDENTIALS,
        section="voice",
        action="getCDR",
        parameters=parameters,
        timestamp=1336553826,
        returntype=returntype,
    )
    return dict(parse_qsl(form.body.decode(), keep_blank_values=True, strict_parsing=True))


# Signing


@pytest.mark.parametrize(
    ("timestamp", "key", "authcode"),
    [
        ("1336553826", KEY, "b5a95450bf9a30f1ae7c7bfb297d5a6e"),
        ("1700000000", "clé", "ebbae0de44faaaf8e29c1324ced9309e"),
        ("", "", "d41d8cd98f00b204e9800998ecf8427e"),
    ],
)
def test_authcode_vectors(timestamp: str, key: str, authcode: str) -> None:
    """The authcode is the md5, in hex, of the timestamp and the key, the page's own among them."""
    assert Key(key).authcode(timestamp) == authcode


def test_whole_form() -> None:
    """The whole form is, byte for byte, what the page's example shows, undamaged by HTML."""
    form = sign(
        CREDENTIALS,
        section="voice",
        action="getCDR",
        parameters={
            "tenant": "VOICE-29001-1",
            "datefrom": datetime(2012, 5, 9, 10),
            "dateto": "2012-05-09 11:00:00",
        },
        timestamp=1336553826,
    )

    assert form.body == (
        b"version=1.0&returntype=json&timestamp=1336553826&username=mail1%40example.com"
        b"&authcode=b5a95450bf9a30f1ae7c7bfb297d5a6e&section=voice&action=getCDR"
        b"&tenant=VOICE-29001-1&datefrom=2012-05-09+10%3A00%3A00&dateto=2012-05-09+11%3A00%3A00"
    )


def test_returntype_is_asked_for() -> None:
    """The form asks for the form of the answer."""
    assert signed("xml")["returntype"] == "xml"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("", ""),
        ("a&b=c d+é\n", "a&b=c d+é\n"),
        (0, "0"),
        (-12, "-12"),
        (date(2012, 5, 9), "2012-05-09 00:00:00"),
        (datetime(987, 5, 9, 1, 2, 3), "0987-05-09 01:02:03"),
    ],
)
def test_parameters(value: object, sent: str) -> None:
    """Texts, whole numbers, dates and naive datetimes are sent as the API takes them."""
    assert signed(line=value)["line"] == sent


@given(texts)
def test_any_text_arrives(text: str) -> None:
    """Whatever a text holds, it arrives as it was, and no other field with it."""
    assert signed(line=text) == signed(line="") | {"line": text}


@pytest.mark.parametrize(
    "name",
    ["version", "returntype", "timestamp", "username", "authcode", "section", "action"],
)
def test_reserved_parameters(name: str) -> None:
    """A parameter cannot replace a part of the signature."""
    with pytest.raises(UsageError, match=name):
        sign(CREDENTIALS, section="a", action="b", parameters={name: "x"}, timestamp=1)


@pytest.mark.parametrize(
    "value",
    [None, True, 1.5, b"x", [], {}, datetime(2024, 1, 1, tzinfo=UTC), "\ud800", 10**5000],
    ids=lambda value: type(value).__name__,
)
def test_bad_parameters(value: object) -> None:
    """A value that cannot be told as one text is refused by its name, before anything is sent."""
    with pytest.raises(UsageError, match="line"):
        signed(line=value)


def test_all_bad_parameters_at_once() -> None:
    """One error names every parameter that is wrong."""
    with pytest.raises(UsageError) as caught:
        sign(
            CREDENTIALS,
            section="a",
            action="b",
            parameters={"authcode": "x", "line": None, "\ud800": "x", "good": "x"},
            timestamp=1,
        )
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("part", ["username", "section", "action"])
def test_texts_that_are_no_unicode(part: str) -> None:
    """What an environment variable with odd bytes gives is refused by name, not deep inside."""
    parts = {"username": MAIL, "section": "a", "action": "b"} | {part: "\udcff"}
    with pytest.raises(UsageError, match=part):
        sign(
            Credentials(parts["username"], Key(KEY)),
            section=parts["section"],
            action=parts["action"],
            parameters={},
            timestamp=1,
        )


def test_secrets_do_not_show() -> None:
    """Neither the key nor the authcode stands in a repr."""
    form = sign(CREDENTIALS, section="a", action="b", parameters={}, timestamp=1)
    shown = f"{CREDENTIALS!r} {CREDENTIALS.key} {form!r} {form}"
    assert KEY not in shown
    assert CREDENTIALS.key.authcode("1") not in shown


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_keys_are_not_copied(duplicate: Any) -> None:
    """A key is not pickled or copied, alone or inside the credentials."""
    for secret in (CREDENTIALS.key, {"inside": CREDENTIALS}):
        if duplicate is copy.copy and isinstance(secret, dict):
            continue
        with pytest.raises(TypeError, match="key"):
            duplicate(secret)


def test_traceback_holds_no_secret() -> None:
    """A traceback that shows the locals of a refused signature shows no secret."""
    with pytest.raises(UsageError) as caught:
        signed(line=None)
    frame, shown = caught.value.__traceback__, ""
    while frame is not None:
        if frame.tb_frame.f_globals["__name__"].startswith("boxis_async"):
            shown += repr(frame.tb_frame.f_locals)
        frame = frame.tb_next
    assert "getCDR" in shown
    assert KEY not in shown
    assert CREDENTIALS.key.authcode("1336553826") not in shown


# Answers with calls, and without


def test_page_example() -> None:
    """The page's example holds two records, null and escaped slashes read as JSON says."""
    (first, one), (second, two) = read(PAGE_EXAMPLE)
    assert (first, second) == ("call_1", "call_2")
    assert isinstance(one, dict)
    assert isinstance(two, dict)
    assert len(one) == len(two) == 38
    assert one["channel"] == "SIP/NS_Inbound_Route_CH_Direct_105-00002c27"
    assert two["prevsequence"] is None


@pytest.mark.parametrize(
    "nothing",
    [
        "",
        ',"params":[]',
        ',"params":{}',
        ',"params":""',
        ',"params":" "',
        ',"params":null',
        ',"params":{"cdr":[]}',
        ',"params":{"cdr":{}}',
        ',"params":{"cdr":""}',
        ',"params":{"cdr":" "}',
        ',"params":{"cdr":null}',
        ',"cdr":[]',
        ',"cdr":""',
        ',"cdr":null',
        ',"cdr":{}',
        ',"params":{"cdr":[],"count":"0"}',
    ],
)
def test_every_form_of_empty(nothing: str) -> None:
    """Each of PHP's ways to write nothing, at params and at cdr, means no calls."""
    assert read(f'{{"result":"1","resulttxt":"success"{nothing},"timestamp":1}}') == []


@pytest.mark.parametrize(
    "content",
    [
        '"params":"no calls"',
        '"params":7',
        '"params":true',
        '"params":false',
        '"params":{"cdr":"none"}',
        '"params":{"cdr":7}',
        '"params":{"cdr":0}',
        '"params":{"cdr":false}',
        '"params":{"cdrs":{"call_1":{"start":"x"}}}',
        '"params":{"uniqueid":"a","start":"b"}',
        '"params":[],"calls":{"call_1":{"start":"x"}}',
        '"cdr":"none"',
        '"cdr":7',
    ],
)
def test_other_shapes_are_errors(content: str) -> None:
    """What is not known to say "no calls" is an error, never taken for no calls."""
    with pytest.raises(MalformedAnswerError, match="params"):
        read(f'{{"result":"1",{content}}}')


@pytest.mark.parametrize(
    "content",
    [
        '"params":{"cdr":{"call_1":%s,"call_2":%s}}',
        '"params":{"cdr":[%s,%s]}',
        '"params":{"call_1":%s,"call_2":%s}',
        '"params":[%s,%s]',
        '"call_1":%s,"call_2":%s',
        '"params":[],"call_1":%s,"call_2":%s',
        '"params":"","cdr":{"call_1":%s,"call_2":%s}',
        '"cdr":[%s,%s]',
    ],
)
@pytest.mark.parametrize("second", [{"dst": "b"}, None, "garbage", [], {}])
def test_every_place_of_records(content: str, second: object) -> None:
    """Records are found in each place where the provider puts them, and none is passed over."""
    found = read('{"result":1,' + content % ('{"dst":"a"}', json.dumps(second)) + "}")
    assert found == [("call_1", {"dst": "a"}), ("call_2", second)]


def test_order_of_records() -> None:
    """Records keep the order of the answer, and their own keys."""
    body = '{"result":"1","params":{"cdr":{"call_10":{"a":"1"},"call_9":{"a":"2"}}}}'
    assert [position for position, _ in read(body)] == ["call_10", "call_9"]


@pytest.mark.parametrize("result", ['"1"', "1", '" 1 "'])
def test_result_as_text_or_number(result: str) -> None:
    """A success may be told as text or as number."""
    assert read(f'{{"result":{result},"params":[]}}') == []
    assert read_answer(f'{{"result":{result},"params":[]}}'.encode()).params == []


@pytest.mark.parametrize(
    "result", ['"2"', "2", "true", "null", '""', "[]", "{}", "1.5", '"success"', "-1", "1" * 10_000]
)
def test_other_results(result: str) -> None:
    """Any other result is no answer of the API."""
    with pytest.raises(MalformedAnswerError):
        read(f'{{"result":{result},"params":[]}}')


def test_missing_result() -> None:
    """An answer without a result is none."""
    with pytest.raises(MalformedAnswerError, match="result"):
        read('{"params":[]}')


def test_numbers_as_text() -> None:
    """For a stream numbers are read as the text that stands there; for a call they stay numbers."""
    body = b'{"result":1,"params":{"cdr":{"call_1":{"a":12,"b":0.50,"c":1e5,"d":true,"e":-0}}}}'
    assert read(body) == [("call_1", {"a": "12", "b": "0.50", "c": "1e5", "d": True, "e": "-0"})]
    assert read_answer(body).params["cdr"]["call_1"]["b"] == 0.5


def test_content() -> None:
    """What a function gives back is its params, or what it put beside the result instead."""
    inside = read_answer(b'{"result":"1","resulttxt":"ok","params":{"a":"1"},"timestamp":1}')
    assert content_of(inside) == {"a": "1"}
    beside = read_answer(b'{"result":"1","resulttxt":"ok","sms1":{"a":"1"},"credit":2,"params":[]}')
    assert content_of(beside) == {"sms1": {"a": "1"}, "credit": 2}


@pytest.mark.parametrize("returntype", ["JSON", "", None, 7, "csv"])
def test_problem_with_returntype(returntype: object) -> None:
    """Only the two forms of the API can be asked for."""
    assert "returntype" in (problem_with_returntype(returntype) or "")


def test_no_problem_with_returntype() -> None:
    """Both forms of the API can be asked for."""
    assert problem_with_returntype("json") is problem_with_returntype("xml") is None


# Refusals


@pytest.mark.parametrize("result", ['"0"', "0"])
def test_refusal_text_is_kept_whole(result: str) -> None:
    """A refusal carries the API's text, whole, as its text and its attribute."""
    text = "Error: " + "Unknown tenant é / <b> " * 500 + "."
    body = json.dumps({"resulttxt": text, "timestamp": 1335777400})
    with pytest.raises(RefusedError) as caught:
        read(f'{{"result":{result},{body[1:]}')
    assert type(caught.value) is RefusedError
    assert str(caught.value) == caught.value.text == text


@pytest.mark.parametrize("text", ["null", '""', "[]", '{"a":"b"}', "7"])
def test_refusal_with_another_text(text: str) -> None:
    """A refusal without a usable text is a refusal still, and says something."""
    with pytest.raises(RefusedError) as caught:
        read(f'{{"result":"0","resulttxt":{text}}}')
    assert str(caught.value)


def test_refusal_without_text() -> None:
    """A refusal without any text is a refusal still."""
    with pytest.raises(RefusedError, match="without a text"):
        read('{"result":"0"}')


def test_refusal_with_records() -> None:
    """A refusal that holds records nevertheless is a refusal."""
    with pytest.raises(RefusedError):
        read('{"result":"0","resulttxt":"Error: x","params":{"cdr":{"call_1":{"start":"x"}}}}')


@pytest.mark.parametrize(
    "text", ["Error: Authentication failed", "error: wrong authcode", "Error: bad credentials"]
)
def test_authentication(text: str) -> None:
    """A refusal is told as one of who asks where the text says so."""
    with pytest.raises(AuthenticationError, match=text):
        read(json.dumps({"result": "0", "resulttxt": text}))


@pytest.mark.parametrize(
    "text",
    [
        "Error: author of the recording unknown",
        "Error: tenant not found",
        "Error: username",
        "Error: wrong date",
    ],
)
def test_not_authentication(text: str) -> None:
    """A refusal for anything else is not taken for one of who asks."""
    with pytest.raises(RefusedError) as caught:
        read(json.dumps({"result": "0", "resulttxt": text}))
    assert type(caught.value) is RefusedError


@pytest.mark.parametrize("truthy", ["1", '"1"', "true", '"yes"', '{"a":1}', "[1]"])
@pytest.mark.parametrize("result", ["0", "1"])
def test_clock_refusal(truthy: str, result: str) -> None:
    """A truthy timestamperror is a refusal of the clock, with the server's time."""
    with pytest.raises(ClockError) as caught:
        read(
            f'{{"result":"{result}","resulttxt":"Error: t","timestamperror":{truthy},'
            '"timestamp":1335777400}'
        )
    assert caught.value.server_time == 1335777400
    assert caught.value.text == "Error: t"


@pytest.mark.parametrize("falsy", ["0", '"0"', "false", '""', "null", "[]", "{}"])
def test_no_clock_refusal(falsy: str) -> None:
    """What PHP takes for false is no refusal of the clock."""
    assert read(f'{{"result":"1","timestamperror":{falsy},"params":[]}}') == []


@pytest.mark.parametrize(
    "timestamp", ['""', "null", '"soon"', "-5", "1.5", "true", "[]", '"١٢"', "1" * 10_000]
)
def test_clock_refusal_without_a_usable_time(timestamp: str) -> None:
    """A time that cannot be set by is None, not a guess."""
    with pytest.raises(ClockError) as caught:
        read(f'{{"result":"0","timestamperror":1,"timestamp":{timestamp}}}')
    assert caught.value.server_time is None


# Bytes that are read past, and bytes that are not


@pytest.mark.parametrize("marks", [1, 2, 3])
def test_byte_order_marks(marks: int, caplog: pytest.LogCaptureFixture) -> None:
    """Byte order marks are skipped, and their number is logged as a warning."""
    caplog.set_level(logging.WARNING, "boxis_async")
    assert len(read(BOM * marks + PAGE_EXAMPLE)) == 2
    assert caplog.messages == [
        f"{marks} byte order marks stand before the answer; they are skipped"
    ]


@pytest.mark.parametrize("between", [b"\n", b" \r\n\t"])
def test_blanks_and_a_byte_order_mark(between: bytes) -> None:
    """Blanks before and after a byte order mark are read past too."""
    assert len(read(between + BOM + between + PAGE_EXAMPLE + between)) == 2


@pytest.mark.parametrize(
    "notice",
    [
        "Notice: Undefined index: tenant in /srv/api.php on line 3\n",
        "PHP Warning:  Undefined variable {$tenant} in {closure} on line 3\n",
        '<br />\n<b>Warning</b>: json_decode({"a":1}): {main} thrown in <b>/srv/api.php</b><br />',
        '{"a":1}',
        "{",
        "[]",
        "{}" * 10,
        "Warning: " + "é" * 5000,
        '{"a":{"b":"c"}} [1,2] }',
        # Bytes in another encoding.
        "Avertissement: clé non définie ".encode("latin-1").decode("utf-8", "surrogateescape"),
    ],
)
def test_notices_are_read_past(notice: str, caplog: pytest.LogCaptureFixture) -> None:
    """What PHP prints before the answer is read past, braces and all, and logged as a warning."""
    caplog.set_level(logging.WARNING, "boxis_async")
    body = notice.encode("utf-8", "surrogateescape") + PAGE_EXAMPLE
    if notice in ('{"a":1}', "{}" * 10, "{", '{"a":{"b":"c"}} [1,2] }'):
        # An object of its own, at the very beginning, is the answer and not a notice.
        with pytest.raises(MalformedAnswerError):
            read(body)
        body = b"Dump: " + body
    assert read(body) == read(PAGE_EXAMPLE)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_notices_are_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    """The log does not repeat a notice, which may hold a telephone number."""
    caplog.set_level(logging.DEBUG, "boxis_async")
    read(b"Notice: no route for 0041616925879\n" + PAGE_EXAMPLE)
    assert "41616925879" not in caplog.text


def test_errors_quote_no_telephone_number() -> None:
    """An error that shows how a body begins shows no telephone number."""
    with pytest.raises(MalformedAnswerError, match="no route") as caught:
        read("no route for 0041616925879")
    assert "41616925879" not in str(caught.value)


def test_notice_before_a_refusal() -> None:
    """A refusal behind a notice is a refusal."""
    with pytest.raises(RefusedError, match="Error: x"):
        read('Notice: {x}\n{"result":"0","resulttxt":"Error: x"}')


def test_notices_without_an_answer() -> None:
    """Notices alone, however long, are an error, and found out quickly."""
    for notice in ("Fatal error: {x}", "{" * 200_000, '{"a":' * 50_000, "x" * 200_000):
        with pytest.raises(MalformedAnswerError):
            read("PHP " + notice)


@pytest.mark.parametrize("notice", [b"", b"Notice: x\n", b"Notice: {x}\n"])
@pytest.mark.parametrize(
    "garbage",
    [
        b"}",
        b"x",
        b"\nNotice: x",
        b"<br />",
        b"\x00",
        b"{}",
        PAGE_EXAMPLE,
        b'{"result":"1","params":[]}',
        b'\nNotice: {"result":"1","params":[]}',
    ],
)
def test_trailing_garbage(notice: bytes, garbage: bytes) -> None:
    """An answer that goes on after its end is an error, never the first or the last of two."""
    with pytest.raises(MalformedAnswerError):
        read(notice + PAGE_EXAMPLE + garbage)


@pytest.mark.parametrize("notice", [b"", b"Notice: {x}\n", BOM])
def test_truncation_at_every_byte(notice: bytes) -> None:
    """The page's example, cut at any byte, is an error, never fewer calls."""
    body = notice + PAGE_EXAMPLE.rstrip()
    assert len(read(body)) == 2
    for length in range(len(body)):
        with pytest.raises(MalformedAnswerError):
            read(body[:length])


def test_truncation_behind_a_record_that_looks_like_an_answer() -> None:
    """A cut answer is not mistaken for one of its own records, whatever fields that has."""
    body = b'Notice: x\n{"result":"1","params":{"cdr":{"call_1":{"start":"x","result":"1"}'
    with pytest.raises(MalformedAnswerError):
        read(body)


@pytest.mark.parametrize("length", [1, 10, 1000])
def test_long_truncation_behind_a_notice(length: int) -> None:
    """A long answer behind a notice, cut short, is an error."""
    records: list[Row] = [{"start": "x", "result": "1"}] * length
    body = b"Notice: {x}\n" + write_json(answer(records))
    assert len(read(body)) == length
    for cut in (1, 2, 3, 30, 60):
        with pytest.raises(MalformedAnswerError):
            read(body[:-cut])


@pytest.mark.parametrize("body", [b"", b" \n", BOM, BOM + b"\n"])
@pytest.mark.parametrize("returntype", ["json", "xml"])
def test_empty_body(body: bytes, returntype: Literal["json", "xml"]) -> None:
    """An empty body is an error, not an empty list."""
    with pytest.raises(MalformedAnswerError, match="empty"):
        read(body, returntype)


@pytest.mark.parametrize("body", ["[]", "null", '"1"', "1", "true", '[{"result":"1"}]', "success"])
def test_json_that_is_no_object(body: str) -> None:
    """JSON that is no object is an error; an object in a list is not the answer."""
    with pytest.raises(MalformedAnswerError):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        '{"result":"1","result":"1","params":[]}',
        '{"result":"1","params":{"cdr":{"call_1":{"start":"a"},"call_1":{"start":"b"}}}}',
        '{"result":"1","params":{"cdr":{"call_1":{"dst":"a","dst":"b"}}}}',
        '{"result":"1","params":[],"params":{"cdr":{"call_1":{"start":"a"}}}}',
        r'{"result":"1","params":{"cdr":{"call_\ud800":{"a":"1"},"call_\udfff":{"a":"2"}}}}',
    ],
)
def test_duplicate_keys(body: str) -> None:
    """A key that comes twice is an error: keeping one of the two would lose a record."""
    for notice in ("", "Notice: x\n"):
        with pytest.raises(MalformedAnswerError):
            read(notice + body)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "nan", "undefined", "0x1"])
def test_what_is_no_json(constant: str) -> None:
    """What Python reads and JSON does not know is an error."""
    with pytest.raises(MalformedAnswerError):
        read(f'{{"result":"1","params":{{"cdr":{{"call_1":{{"cc_cost":{constant}}}}}}}}}')


@pytest.mark.parametrize("depth", [500, 960, 990, 10_000, 200_000])
@pytest.mark.parametrize("notice", ["", "Notice: x\n"])
@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting(depth: int, notice: str, opened: str, closed: str) -> None:
    """Nesting too deep to be read is an error of the answer, not of Python."""
    nested = opened * depth + ("1" if closed == "}" else "") + closed * depth
    for body in (
        f'{{"result":"1","params":{{"cdr":{{"call_1":{nested}}}}}}}',
        f'{{"result":"0","resulttxt":{nested}}}',
        f'{{"result":"1","timestamperror":{nested}}}',
        f'{{"result":{nested}}}',
        nested,
    ):
        for whole in (body, body[:-1]):
            try:
                read(notice + whole)
            except BoxisError:
                continue
            assert depth < 1000


def test_nesting_at_the_limit() -> None:
    """At no depth does an error of Python's escape."""
    for depth in spread(range(800, 1000), 60):
        nested = "[" * depth + "]" * depth
        with pytest.raises((RefusedError, MalformedAnswerError)):
            read(f'{{"result":"0","resulttxt":{nested}}}')


def test_very_long_numbers() -> None:
    """A number of 10,000 digits is carried as text in a stream, and an error for a call."""
    digits = "9" * 10_000
    body = f'{{"result":"1","params":{{"cdr":{{"call_1":{{"billsec":{digits}}}}}}}}}'
    assert read(body) == [("call_1", {"billsec": digits})]
    with pytest.raises(MalformedAnswerError):
        read_answer(body.encode())


def test_lone_surrogates() -> None:
    """Halves of characters become replacement characters, in names as well; pairs stay."""
    body = r'{"result":"1","params":{"cdr":{"call_1":{"clid":"\ud83d x \uDE00","\udc00":"y"}}}}'
    assert read(body) == [("call_1", {"clid": "\ufffd x \ufffd", "\ufffd": "y"})]
    assert read(body.replace(" x ", "")) == [("call_1", {"clid": "\U0001f600", "\ufffd": "y"})]


escapes = st.sampled_from(
    [
        r"\ud83d",
        r"\ude00",
        r"\uD83D",
        r"\uDE00",
        r"\ud83d\ude00",
        r"\uDBFF\udfff",
        r"\\\\",
        "ud83d",
        "x",
    ]
)


@given(st.lists(st.lists(escapes, max_size=6).map("".join), max_size=4))
def test_any_surrogates(texts: list[str]) -> None:
    """Pairs and halves in any order, behind backslashes too: pairs are read, halves replaced."""
    body = json.dumps({"result": "1", "params": {"cdr": [{"clid": "@"}]}})
    wanted = [re.sub("[\ud800-\udfff]", "\ufffd", json.loads(f'"{text}"')) for text in texts]
    found = [read(body.replace("@", text)) for text in texts]
    assert found == [[("call_1", {"clid": text})] for text in wanted]
    together = read(body.replace("@", "x".join(texts)))
    assert together == [("call_1", {"clid": "x".join(wanted)})]


@pytest.mark.parametrize(
    "odd", [b"M\xfcller", b"\xc3", b"a\xe2\x82", b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\xaf"]
)
def test_bytes_that_are_not_utf8(odd: bytes) -> None:
    """Bytes that are not UTF-8 become replacement characters; field and record survive."""
    body = write_json({"result": "1", "params": {"cdr": {"call_1": {"clid": b"X", "dst": "201"}}}})
    assert b'"X"' in body
    ((_, row),) = read(body.replace(b"X", odd))
    assert isinstance(row, dict)
    assert row["clid"] == odd.decode("utf-8", "replace")
    assert "\ufffd" in row["clid"]
    assert row["dst"] == "201"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le"])
def test_other_encodings(encoding: str) -> None:
    """JSON in another encoding than the API's is an error, not half read."""
    with pytest.raises(MalformedAnswerError):
        read(PAGE_EXAMPLE.decode().encode(encoding))


# HTTP


def test_success_status() -> None:
    """With any status of success the body is the answer."""
    for status in (200, 201, 206):
        assert len(rows_in(read_reply(Reply(status, PAGE_EXAMPLE)))) == 2


def test_success_without_a_body() -> None:
    """A success without a body is an error."""
    with pytest.raises(MalformedAnswerError):
        read_reply(Reply(204, b""))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_refusals_with_a_client_error(status: int) -> None:
    """A refusal that the API sends with a client error is told as the refusal."""
    body = b'Notice: x\n{"result":"0","resulttxt":"Error: no such tenant","timestamp":1}'
    with pytest.raises(RefusedError, match="Error: no such tenant"):
        read_reply(Reply(status, body))
    xml = b"<return><result>0</result><resulttxt>error: no such tenant</resulttxt></return>"
    with pytest.raises(RefusedError, match="error: no such tenant"):
        read_reply(Reply(status, xml), "xml")


@pytest.mark.parametrize("status", [400, 403])
def test_clock_refusals_with_a_client_error(status: int) -> None:
    """A refusal of the clock is told as such with a client error too."""
    with pytest.raises(ClockError):
        read_reply(Reply(status, b'{"result":"0","timestamperror":true,"timestamp":5}'))


@pytest.mark.parametrize(
    "status", [100, 204 + 100, 400, 401, 404, 408, 425, 429, 500, 502, 503, 504, 599]
)
@pytest.mark.parametrize(
    "body", [b"", b"<html>Oops {x}</html>", PAGE_EXAMPLE, b'{"result":"1","params":[]}']
)
def test_statuses_without_an_answer(status: int, body: bytes) -> None:
    """Any other status carries no answer: its body is never taken for calls, or for none."""
    with pytest.raises(StatusError, match=str(status)) as caught:
        read_reply(Reply(status, body, retry_after="7"))
    assert caught.value.status_code == status
    assert caught.value.retry_after == "7"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects(status: int) -> None:
    """A redirect is an error that names where to, and what to set."""
    with pytest.raises(StatusError, match=r"https://other\.example.*base_url"):
        read_reply(Reply(status, PAGE_EXAMPLE, location="https://other.example/"))


def test_redirect_to_nowhere() -> None:
    """A redirect without a target does not name one."""
    with pytest.raises(StatusError) as caught:
        read_reply(Reply(304, b""))
    assert "None" not in str(caught.value)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_passing_statuses_keep_the_text(status: int) -> None:
    """A status that may pass decides over the refusal in its body, whose text is kept."""
    body = b'{"result":"0","resulttxt":"Error: too many requests"}'
    with pytest.raises(StatusError, match="Error: too many requests") as caught:
        read_reply(Reply(status, body))
    assert caught.value.status_code == status


# Properties


@given(st.lists(rows(), max_size=4))
def test_json_round_trip(records: list[Row]) -> None:
    """Whatever rows are written as JSON, escaped or not, are read as they were."""
    wanted = [(f"call_{at}", record) for at, record in enumerate(records, 1)]
    assert read(write_json(answer(records))) == wanted
    assert read(json.dumps(answer(records), ensure_ascii=False)) == wanted
    assert read(json.dumps(answer(records), indent=2)) == wanted


@given(st.lists(rows(), max_size=3), notices, st.data())
@pytest.mark.parametrize("returntype", ["json", "xml"])
def test_a_cut_never_yields_another_list(
    returntype: Literal["json", "xml"], records: list[Row], notice: str, data: st.DataObject
) -> None:
    """A body that is cut at either end gives an error or all its records, nothing in between."""
    write = write_json if returntype == "json" else write_xml
    body = write(answer(records))
    whole = read(body, returntype)
    body = (f"PHP {notice}" if notice.strip() else notice).encode() + body
    assert read(body, returntype) == whole
    cut = data.draw(st.integers(0, len(body)), label="cut")
    assert outcome(body[:cut], returntype) in (None, whole)
    assert outcome(body[cut:], returntype) in (None, whole)


@given(st.lists(rows(), min_size=1, max_size=3), st.data())
@pytest.mark.parametrize("returntype", ["json", "xml"])
def test_flipped_bytes_are_told_as_our_errors(
    returntype: Literal["json", "xml"], records: list[Row], data: st.DataObject
) -> None:
    """A body with any bytes exchanged is read, or is an error of ours; nothing else is raised."""
    write = write_json if returntype == "json" else write_xml
    body = bytearray(write(answer(records)))
    for _ in range(3):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    outcome(bytes(body), returntype)


@given(st.binary(max_size=200))
@example(b'{"result":"1","params":{"cdr":{"call_1":{}}}}\x00')
@pytest.mark.parametrize("returntype", ["json", "xml"])
def test_any_bytes(returntype: Literal["json", "xml"], body: bytes) -> None:
    """Any bytes are read, or are an error of ours."""
    outcome(body, returntype)


def test_md5_needs_no_security() -> None:
    """Signing asks for md5 as what it is, so that it works where md5 is barred from security."""
    plain = hashlib.md5(f"1{KEY}".encode(), usedforsecurity=False).hexdigest()
    assert Key(KEY).authcode("1") == plain
