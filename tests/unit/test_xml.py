"""Answers in XML: the same calls as from JSON, or an error."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import DATA
from strategies import names, rows, xml_texts

from boxis_async._wire.answers import read_answer, rows_of
from boxis_async._wire.cooperative import at_once
from boxis_async._wire.records import (
    FINGERPRINT_SIZE,
    Fingerprinter,
    Records,
    make_converter,
)
from boxis_async._wire.wallclock import WallClock
from boxis_async._wire.xml import read_xml
from boxis_async.errors import (
    AuthenticationError,
    ClockError,
    MalformedAnswerError,
    RefusedError,
)
from boxis_async.models import CDR
from boxis_async.testing.answers import params_entry, write_json, write_xml

if TYPE_CHECKING:
    from collections.abc import Sequence

    from strategies import Row

    from boxis_async.types import ReturnType

PAGE_EXAMPLE = (DATA / "page_example.json").read_bytes()
PAGE_AS_XML = write_xml(json.loads(PAGE_EXAMPLE))
CONVERTER = make_converter(WallClock("Europe/Zurich"), Fingerprinter(b"key"))


def content(row: object) -> bytes:
    """Give the fingerprint of all that a row says."""
    return CONVERTER.structure([row], Records).fingerprints[0][FINGERPRINT_SIZE:]


def rows_in(body: bytes, returntype: ReturnType) -> list[tuple[str, object]]:
    """Read records, each with its key."""
    found = rows_of(at_once(read_answer(body, returntype, as_text=True)))
    assert isinstance(found, dict)
    return [*found.items()]


def read(body: bytes | str) -> list[tuple[str, object]]:
    """Read records from XML."""
    return rows_in(body.encode() if isinstance(body, str) else body, "xml")


def cdrs(found: Sequence[tuple[str, object]]) -> list[CDR]:
    """Build the calls."""
    return [CONVERTER.structure(row, CDR) for _, row in found]


def ok(inside: str) -> str:
    """Put something into a successful answer."""
    return f"<return><result>1</result><resulttxt>success</resulttxt>{inside}</return>"


def test_page_example() -> None:
    """The page's records give the same calls, with the same content, from XML as from JSON."""
    from_json = rows_in(PAGE_EXAMPLE, "json")
    from_xml = read(PAGE_AS_XML)
    assert len(from_xml) == 2
    assert cdrs(from_xml) == cdrs(from_json)
    assert [position for position, _ in from_xml] == [position for position, _ in from_json]
    for (_, one), (_, other) in zip(from_xml, from_json, strict=True):
        assert isinstance(one, dict)
        assert isinstance(other, dict)
        assert content(one) == content(other)


@given(st.lists(rows(xml_texts, names.filter(lambda name: name != "cdr")), max_size=4))
def test_the_same_calls_as_json(records: list[Row]) -> None:
    """Whatever rows there are, XML gives the calls that JSON gives."""
    whole = {
        "result": "1",
        "resulttxt": "success",
        **params_entry(records, "list"),
        "timestamp": "1",
    }
    from_json = rows_in(write_json(whole), "json")
    from_xml = read(write_xml(whole))
    assert cdrs(from_xml) == cdrs(from_json)
    assert [content(row) for _, row in from_xml] == [content(row) for _, row in from_json]


@pytest.mark.parametrize(
    "nothing",
    [
        "",
        "<params/>",
        "<params></params>",
        "<params> \n </params>",
        "<params><cdr/></params>",
        "<params><cdr></cdr></params>",
        "<params>\n  <cdr>\n  </cdr>\n</params>",
        "<cdr/>",
        "<params/><cdr/>",
    ],
)
def test_every_form_of_empty(nothing: str) -> None:
    """Each way to write nothing, at params and at cdr, means no calls."""
    assert read(ok(nothing)) == []


@pytest.mark.parametrize(
    "inside",
    [
        "<params><cdr>%s</cdr></params>",
        "<params>%s</params>",
        "%s",
        "<params/>%s",
        "<cdr>%s</cdr>",
        "<params>\n <cdr>\n <!-- two --> %s\n</cdr>\n</params>",
    ],
)
def test_every_place_of_records(inside: str) -> None:
    """Records are found in `params`, under `cdr` there, and directly under the root."""
    body = ok(inside % "<call_1><dst>a</dst></call_1>\n<call_2><dst/></call_2>")
    assert read(body) == [("call_1", {"dst": "a"}), ("call_2", {"dst": ""})]


@pytest.mark.parametrize(
    "inside",
    [
        "<params>none</params>",
        "<params><cdr>none</cdr></params>",
        "<params><calls><dst/></calls></params>",
        "<params><cdr/></params><params><cdr><call_1><dst/></call_1></cdr></params>",
        "<params><cdr>x<call_1><dst/></call_1></cdr></params>",
        "<params><cdr><call_1><dst/></call_1>x</cdr></params>",
        "<params><cdr><call_1><dst/></call_1><call_1><dst/></call_1></cdr></params>",
        "<params><cdr><call_1><dst>a</dst><dst>b</dst></call_1></cdr></params>",
        "<cdr>none</cdr>",
    ],
)
def test_other_shapes_are_errors(inside: str) -> None:
    """Text where records should be, and elements that come twice, are errors."""
    with pytest.raises(MalformedAnswerError):
        read(ok(inside))


@pytest.mark.parametrize("empty", ["<call_1/>", "<call_1> </call_1>", "<call_1>text</call_1>"])
def test_records_without_fields(empty: str) -> None:
    """A record that is empty is handed on, to be told as one that cannot be read."""
    ((position, row),) = read(ok(f"<params><cdr>{empty}</cdr></params>"))
    assert position == "call_1"
    assert not isinstance(row, dict)


def test_refusals() -> None:
    """Refusals are told as in JSON, their text whole."""
    with pytest.raises(RefusedError) as caught:
        read("<return><result>0</result><resulttxt>error: a &amp; b</resulttxt></return>")
    assert caught.value.text == "error: a & b"
    with pytest.raises(AuthenticationError):
        read("<return><result>0</result><resulttxt>error: authentication</resulttxt></return>")
    with pytest.raises(RefusedError):
        read("<return><result> 0\n</result><resulttxt/></return>")


@pytest.mark.parametrize("truthy", ["1", "true", "yes"])
def test_clock_refusals(truthy: str) -> None:
    """A truthy timestamperror is a refusal of the clock, with the server's time."""
    with pytest.raises(ClockError) as caught:
        read(
            f"<return><result>0</result><timestamperror>{truthy}</timestamperror>"
            "<timestamp> 1335777400 </timestamp></return>"
        )
    assert caught.value.server_time == 1335777400


@pytest.mark.parametrize("falsy", ["0", "", " "])
def test_no_clock_refusal(falsy: str) -> None:
    """What PHP takes for false is no refusal of the clock."""
    assert read(ok(f"<timestamperror>{falsy}</timestamperror>")) == []


@pytest.mark.parametrize("length", [0, 1, 2])
def test_byte_order_marks(length: int) -> None:
    """Byte order marks are read past."""
    assert len(read(b"\xef\xbb\xbf" * length + PAGE_AS_XML)) == 2


@pytest.mark.parametrize(
    "notice",
    [
        "Notice: Undefined index {x} in /srv/{closure}\n",
        "<br />\n<b>Warning</b>:  Undefined & odd <i>key</i> in <b>/srv/api.php</b><br />\n",
    ],
)
@pytest.mark.parametrize("body", [PAGE_AS_XML, PAGE_AS_XML.partition(b"?>")[2]])
def test_notices_are_read_past(notice: str, body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """What PHP prints before the answer is read past, and logged as a warning."""
    caplog.set_level(logging.WARNING, "boxis_async")
    assert len(read(notice.encode() + body)) == 2
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("garbage", ["x", "<br />", "<return/>", "\nNotice: x", "\x00", "<"])
def test_trailing_garbage(garbage: str) -> None:
    """An answer that goes on after its end is an error."""
    with pytest.raises(MalformedAnswerError):
        read(PAGE_AS_XML + garbage.encode())


def test_truncation_at_every_byte() -> None:
    """An answer that is cut at any byte is an error, never fewer calls."""
    body = PAGE_AS_XML.rstrip()
    for length in range(len(body)):
        with pytest.raises(MalformedAnswerError):
            read(body[:length])


@pytest.mark.parametrize(
    "body",
    [
        "success",
        "<html><body>Oops</body></html>",
        "<returned><result>1</result></returned>",
        '<?xml version="1.0"?><answer><result>1</result></answer>',
        '{"result":"1","params":[]}',
        "<return/>",
        "<return>1</return>",
        "<return><params/></return>",
        "<return><result>2</result></return>",
        "<return><result/></return>",
        "<return><result><a>1</a></result></return>",
    ],
)
def test_what_is_no_answer(body: str) -> None:
    """Anything but a complete answer of the API is an error."""
    with pytest.raises(MalformedAnswerError):
        read(body)


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE return [<!ENTITY a "b">]>',
        '<!DOCTYPE return [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE return [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE return [<!ENTITY % a SYSTEM "http://127.0.0.1/x">%a;]>',
    ],
)
def test_entities_are_refused(doctype: str) -> None:
    """An answer that defines entities is refused, whether it uses them or not."""
    for used in ("", "&a;"):
        with pytest.raises(MalformedAnswerError):
            read(f'<?xml version="1.0"?>{doctype}{ok(f"<params>{used}</params>")}')


@pytest.mark.parametrize("depth", [16, 17, 1000, 10_000])
def test_deep_nesting(depth: int) -> None:
    """Nesting too deep for any answer of the API is an error, not one of Python's."""
    with pytest.raises(MalformedAnswerError):
        read(ok(f"<params>{'<a>' * depth}{'</a>' * depth}</params>"))


@pytest.mark.parametrize("odd", [b"M\xfcller", b"\xc3", b"a\xe2\x82", b"\xed\xa0\x80"])
@pytest.mark.parametrize("declaration", [b"", b'<?xml version="1.0" encoding="UTF-8"?>'])
def test_bytes_that_are_not_utf8(odd: bytes, declaration: bytes) -> None:
    """Bytes that are not UTF-8 become replacement characters; field and record survive."""
    body = ok("<params><cdr><call_1><clid>X</clid><dst>201</dst></call_1></cdr></params>")
    ((_, row),) = read(declaration + body.encode().replace(b"X", odd))
    assert row == {"clid": odd.decode("utf-8", "replace"), "dst": "201"}


@pytest.mark.parametrize(
    ("encoding", "wanted"),
    [
        ("iso-8859-1", "Müller"),
        ("ISO-8859-15", "Müller"),
        ("windows-1252", "Müller"),
        # What cannot decode is not trusted.
        ("no-such-encoding", "M\ufffdller"),
        ("hex", "M\ufffdller"),
        ("rot13", "M\ufffdller"),
        ("undefined", "M\ufffdller"),
    ],
)
def test_declared_encodings(encoding: str, wanted: str) -> None:
    """The encoding that the answer declares is the one that it is read in."""
    body = f'<?xml version="1.0" encoding="{encoding}"?>'.encode("ascii") + ok(
        "<params><cdr><call_1><clid>Müller</clid></call_1></cdr></params>"
    ).encode("latin-1")
    assert read(body) == [("call_1", {"clid": wanted})]


def test_references_and_cdata() -> None:
    """Escaped characters and CDATA are read as the text that they stand for."""
    body = ok(
        "<params><cdr><call_1><clid>&quot;A&#38;B&quot; &lt;1&gt;<!-- x --> c</clid>"
        "<dst><![CDATA[<*60> & ]]></dst></call_1></cdr></params>"
    )
    assert read(body) == [("call_1", {"clid": '"A&B" <1> c', "dst": "<*60> & "})]


def test_attributes_are_not_read() -> None:
    """Attributes carry nothing."""
    assert read_xml(b'<return a="1"><result b="2">1</result></return>') == {"result": "1"}
