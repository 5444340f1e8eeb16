"""Answers that a hostile server could send: each kind of them, of any size, and what it ends in."""

from __future__ import annotations

import json
from collections.abc import Callable

import attrs

from boxis_async import MalformedAnswerError, RecordError, RefusedError, TooLargeError
from boxis_async.types import ReturnType

START = "2018-02-06 20:12:56"


@attrs.frozen
class Attack:
    """One kind of answer."""

    write: Callable[[int], bytes]
    """Writes one of about so many bytes."""
    outcome: type[Exception] | None
    """What a stream ends in; None is records."""
    returntype: ReturnType = "json"


ATTACKS: dict[str, Attack] = {}
"""All of them, by name."""


def row(number: int, **more: str) -> str:
    """Write a record as JSON."""
    fields = {
        "uniqueid": f"sip022.voice.boxis.net-1517944376.{number}",
        "start": START,
        "end": "2018-02-06 20:16:53",
        "clid": '"Zoë" <0041616925879>',
        "duration": "237",
        "disposition": "ANSWERED",
        "sequence": f"{number}",
    }
    return json.dumps(fields | more)


def rows(size: int, **more: str) -> str:
    """Write the records of an answer as an object."""
    count = size // len(row(1000, **more))
    return "{" + ",".join(f'"call_{number}":{row(number, **more)}' for number in range(count)) + "}"


def cdr(content: str | bytes) -> bytes:
    """Put something in the place of the records."""
    content = content.encode() if isinstance(content, str) else content
    return b'{"result":"1","params":{"cdr":' + content + b'},"timestamp":"1"}'


def one_row(field: str) -> bytes:
    """Write an answer with one record, which has a further field."""
    return cdr(f'[{{"start":"{START}",{field}}}]')


def beside(member: str) -> bytes:
    """Write an answer without records, with a further member."""
    return f'{{"result":"1","params":{{"cdr":[]}},{member}}}'.encode()


def array(content: str) -> str:
    """Write an array."""
    return f"[{content}]"


def object_(content: str) -> str:
    """Write an object."""
    return f"{{{content}}}"


def refusal(text: str) -> bytes:
    """Write a refusal, with something in the place of its text."""
    return f'{{"result":"0","resulttxt":{text}}}'.encode()


def xml(content: str, head: str = "") -> bytes:
    """Put something in the place of the records of an answer in XML."""
    return (
        f"{head}<return><result>1</result><resulttxt>ok</resulttxt><params><cdr>{content}</cdr>"
        "</params></return>"
    ).encode()


def _add(
    name: str,
    outcome: type[Exception] | None,
    write: Callable[[int], bytes],
    returntype: ReturnType = "json",
) -> None:
    ATTACKS[name] = Attack(write, outcome, returntype)


def _numbered(pattern: str, size: int, separator: str = ",") -> str:
    return separator.join(pattern.replace("#", f"{n}") for n in range(size // len(pattern)))


def _repeated(part: str, size: int) -> str:
    return part * (size // len(part.encode()))


MARK = "\ufeff"

# What is good, to compare with
_add("records", None, lambda size: cdr(rows(size)))
_add("records on many lines", None, lambda size: cdr(rows(size).replace(",", ",\n")))
_add("records behind a notice", None, lambda size: b"Notice: {x}\n" + cdr(rows(size)))

# Before, behind and between
_add("marks", MalformedAnswerError, lambda size: _repeated(MARK, size).encode() + cdr("[]"))
_add("marks alone", MalformedAnswerError, lambda size: _repeated(MARK, size).encode())
_add("spaced marks", MalformedAnswerError, lambda size: _repeated(f"{MARK} ", size).encode())
_add("space", None, lambda size: b" " * size + cdr("[]"))
_add("space behind", None, lambda size: cdr("[]") + b" " * size)
_add("space alone", MalformedAnswerError, lambda size: _repeated("\u2003", size).encode())
_add("space within", MalformedAnswerError, lambda size: cdr(" " * (size + 2**21) + "[]"))
_add("notice", MalformedAnswerError, lambda size: _repeated("<br />", size).encode() + cdr("[]"))
_add("letter, nested", MalformedAnswerError, lambda size: b"x" + _repeated('{"a":', size).encode())
_add("letter, arrays", MalformedAnswerError, lambda size: b'x{"a":' + b"[" * size)
_add(
    "letter, nested and closed",
    MalformedAnswerError,
    lambda size: b"x" + (b'{"a":' * 900 + b"1" + b"}" * 900) * (size // 5400),
)
_add("letter, objects", MalformedAnswerError, lambda size: b"x" + b'{"a":1}' * (size // 7))
_add(
    "letter, large objects",
    MalformedAnswerError,
    lambda size: b"x" + b'{"a":' * 60 + cdr(array(_repeated("[],", size) + "[]")) + b"}" * 60,
)
_add("good, then garbage", MalformedAnswerError, lambda size: b"x" + cdr(rows(size)) + b"x")

# Very many of something
_add("arrays", MalformedAnswerError, lambda size: cdr(array(_repeated("[],", size) + "[]")))
_add("empty objects", MalformedAnswerError, lambda size: cdr(array(_repeated("{},", size) + "{}")))
_add("empty rows", MalformedAnswerError, lambda size: cdr(object_(_numbered('"c#":{}', size))))
_add("numbers", MalformedAnswerError, lambda size: cdr(array(_repeated("1,", size) + "1")))
_add("no rows", MalformedAnswerError, lambda size: cdr(array(_repeated("null,", size) + "1")))
_add(
    "doubled rows",
    MalformedAnswerError,
    lambda size: cdr(object_(_repeated('"c":{},', size) + '"c":{}')),
)
_add(
    "one doubled row",
    MalformedAnswerError,
    lambda size: cdr(rows(size)[:-1] + f',"call_1":{row(1)}}}'),
)
_add("members", MalformedAnswerError, lambda size: beside(_numbered('"x#a":#', size)))
_add("members as rows", MalformedAnswerError, lambda size: beside(_numbered('"call_#":1', size)))
_add(
    "arrays beside",
    MalformedAnswerError,
    lambda size: beside('"x":' + array(_repeated("[],", size) + "1")),
)
_add(
    "objects beside",
    MalformedAnswerError,
    lambda size: beside('"x":' + object_(_numbered('"x#":{}', size))),
)
_add(
    "rows elsewhere",
    TooLargeError,
    lambda size: b'{"result":"1","params":' + rows(max(size, 3_000_000)).encode() + b"}",
)
_add(
    "rows in two places",
    TooLargeError,
    lambda size: (
        f'{{"result":"1","params":{{"cdr":{rows(size)}}},"cdr":{rows(max(size, 3_000_000))}}}'
    ).encode(),
)
_add("fields", MalformedAnswerError, lambda size: one_row(_numbered('"f#":"x"', size)))
_add(
    "nested field",
    MalformedAnswerError,
    lambda size: one_row('"x":' + array(_repeated("[],", size) + "1")),
)
_add(
    "deep rows",
    MalformedAnswerError,
    lambda size: cdr(
        array(",".join([f'{{"start":"{START}","x":{"[" * 900}{"]" * 900}}}'] * (size // 1850)))
    ),
)

# Very long


def _text(name: str, outcome: type[Exception] | None, field: str, part: str, size: int = 0) -> None:
    """Add a record with a text of so many bytes, or of as many as there may be."""
    _add(
        name,
        outcome,
        lambda most: one_row(f'"{field}":"{_repeated(part, size or most + 2**21)}"'),
    )


_text("text", MalformedAnswerError, "clid", "a")
_text("shorter text", RecordError, "clid", "a", 500_000)
_text("escapes", RecordError, "clid", r"\u00e9", 900_000)
_text("halves of characters", RecordError, "clid", r"\ud800", 900_000)
_text("pairs of halves", None, "clid", r"\ud83d\ude00", 900_000)
_text("backslashes", RecordError, "clid", r"\\", 900_000)
_text("seeming rows", RecordError, "clid", "},{", 900_000)
_text("digits in a text", RecordError, "billsec", "9", 4300)
_text("digits of a cost", RecordError, "cc_cost", "3", 500_000)
_text("word", RecordError, "disposition", "A", 50_000)
_add("no UTF-8", RecordError, lambda _: one_row('"clid":"@"').replace(b"@", b"a\xff" * 400_000))
_add("halves in records", None, lambda size: cdr(rows(size, dst="\ud800")))
_add("without an end", MalformedAnswerError, lambda size: one_row('"clid":"' + "a" * size)[:-3])
_add("braces", MalformedAnswerError, lambda size: b"{" * size)
_add("brackets", MalformedAnswerError, lambda size: b"[" * size)
_add("digits", MalformedAnswerError, lambda size: one_row('"billsec":' + "9" * size))
_add("digits of a result", MalformedAnswerError, lambda size: b'{"result":' + b"1" * size + b"}")
_add("digits of a time", MalformedAnswerError, lambda size: beside('"timestamp":' + "1" * size))
_add("digits of a count", MalformedAnswerError, lambda _: beside(f'"total":"{"9" * 100_000}"'))
_add("exponent of a count", MalformedAnswerError, lambda _: beside('"total":1e999999999'))
_add("name", MalformedAnswerError, lambda size: beside(f'"{_repeated("A_", size)}":1'))
_add("shorter name", None, lambda _: beside(f'"{_repeated("A_", 200_000)}":1'))
_add("refusal", RefusedError, lambda _: refusal(f'"{"a" * 200_000}"'))
_add("nested refusal", RefusedError, lambda _: refusal(array(_repeated("[],", 25_000) + "1")))
_add("cut at its end", MalformedAnswerError, lambda size: cdr(rows(size))[:-30])
_add("bad at its end", RecordError, lambda size: cdr(rows(size)[:-1] + ',"call_x":{"start":"x"}}'))
_add("NaN at its end", MalformedAnswerError, lambda size: cdr(rows(size)[:-1] + ',"call_x":NaN}'))
_add("cost", RecordError, lambda _: one_row('"cc_cost":"1E+300000000"'))
_add("year", RecordError, lambda _: cdr('[{"start":"9999-12-31 23:59:59"}]'))

# XML
DECLARED = '<?xml version="1.0" encoding="%s"?>'
FIELD = f"<call_1><start>{START}</start><clid>@</clid></call_1>"


def _add_xml(name: str, outcome: type[Exception] | None, write: Callable[[int], bytes]) -> None:
    _add(f"XML: {name}", outcome, write, "xml")


def _xml_records(size: int, more: str = "") -> bytes:
    fields = "".join(f"<{name}>{value}</{name}>" for name, value in (("start", START), ("dst", 1)))
    return xml(
        _numbered(f"<call_#>{fields}<lastdata>{'x' * 200}</lastdata></call_#>", size, "") + more
    )


_add_xml("records", None, _xml_records)
_add_xml("bad at its end", RecordError, lambda size: _xml_records(size, "<call_x><dst/></call_x>"))
_add_xml("marks", MalformedAnswerError, lambda size: _repeated(MARK, size).encode() + xml(""))
_add_xml("notice", MalformedAnswerError, lambda size: _repeated("<br />", size).encode() + xml(""))
_add_xml("declarations", MalformedAnswerError, lambda size: xml("", _repeated("<?xml ", size)))
_add_xml("deep", MalformedAnswerError, lambda size: _repeated("<return>", size).encode())
_add_xml("deep records", MalformedAnswerError, lambda size: xml(_repeated("<a>", size)))
_add_xml("elements", MalformedAnswerError, lambda size: xml(_repeated("<a/>", size)))
_add_xml("empty records", MalformedAnswerError, lambda size: xml(_numbered("<a#/>", size, "")))
_add_xml(
    "elements beside",
    MalformedAnswerError,
    lambda size: f"<return><result>1</result>{_numbered('<a#/>', size, '')}</return>".encode(),
)
_add_xml(
    "elements within one beside",
    MalformedAnswerError,
    lambda size: (
        f"<return><result>1</result><x>{_numbered('<a#/>', size, '')}</x></return>".encode()
    ),
)
_add_xml("fields", MalformedAnswerError, lambda size: xml(f"<c>{_numbered('<a#/>', size, '')}</c>"))
_add_xml(
    "attributes",
    MalformedAnswerError,
    lambda size: xml("<c " + _numbered('a#=""', size, " ") + "/>"),
)
_add_xml("text", MalformedAnswerError, lambda size: xml(FIELD.replace("@", "a" * (size + 2**23))))
_add_xml("shorter text", RecordError, lambda _: xml(FIELD.replace("@", "a" * 500_000)))
_add_xml("lines", RecordError, lambda _: xml(FIELD.replace("@", "\n" * 500_000)))
_add_xml("references", RecordError, lambda _: xml(FIELD.replace("@", "&amp;" * 150_000)))
_add_xml("comment", MalformedAnswerError, lambda size: xml(f"<!--{'a' * size}-->"))
_add_xml("comment without an end", MalformedAnswerError, lambda size: xml(f"<!--{'a<' * size}"))
_add_xml("instruction", MalformedAnswerError, lambda size: xml(f"<?a {'<b' * size}?>"))
_add_xml("tag", MalformedAnswerError, lambda size: xml(f"<{'a' * size}/>"))
_add_xml("value of an attribute", MalformedAnswerError, lambda size: xml(f'<a b="{"a" * size}"/>'))
_add_xml(
    "names of namespaces",
    MalformedAnswerError,
    lambda size: xml(_numbered('<a xmlns="u#"/>', size, "")),
)
_add_xml(
    "long name of a namespace",
    MalformedAnswerError,
    lambda size: f'<return xmlns="{"u" * size}">{_repeated("<a/>", size)}</return>'.encode(),
)
_add_xml(
    "namespaces within each other",
    MalformedAnswerError,
    lambda size: xml(_numbered('<a xmlns:b#="u">', size, "")),
)
_add_xml(
    "default attributes",
    MalformedAnswerError,
    lambda size: xml(
        _repeated("<a/>", size),
        '<?xml version="1.0"?><!DOCTYPE return [<!ATTLIST a '
        + _numbered('b# CDATA "x"', 20_000, " ")
        + ">]>",
    ),
)
_add_xml(
    "entities within each other",
    MalformedAnswerError,
    lambda _: xml(
        FIELD.replace("@", "&a9;"),
        '<?xml version="1.0"?><!DOCTYPE return [<!ENTITY a0 "aaaaaaaaaa">'
        + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
        + "]>",
    ),
)
_add_xml(
    "one long entity, often",
    MalformedAnswerError,
    lambda size: xml(
        FIELD.replace("@", "&a;" * 10_000),
        f'<?xml version="1.0"?><!DOCTYPE return [<!ENTITY a "{"a" * size}">]>',
    ),
)
for _encoding in ("utf-7", "utf-16", "utf-32", "hz", "iso-2022-kr", "shift_jis", "gb18030"):
    _add_xml(
        f"in {_encoding}",
        MalformedAnswerError,
        lambda size, encoding=_encoding: xml(  # type: ignore[misc]
            FIELD.replace("@", "+AAAA-" * (size // 6)), DECLARED % encoding
        ),
    )
for _encoding in ("punycode", "idna", "unicode_escape", "hex", "zip"):
    # There is none of this name for a body, so it is read as UTF-8.
    _add_xml(
        f"in {_encoding}",
        None,
        lambda _, encoding=_encoding: xml(  # type: ignore[misc]
            FIELD.replace("@", "ab-" * 10_000), DECLARED % encoding
        ),
    )
