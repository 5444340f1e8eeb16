"""Records: each field exact, nothing real rejected, nothing unreadable skipped."""

# A record may hold anything, digits of other scripts too.
# ruff: noqa: ANN401, RUF001

from __future__ import annotations

import gc
import json
import pickle
import sys
import weakref
from copy import copy, deepcopy
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st
from paths import DATA
from strategies import FIELDS, TYPED, ZURICH, rows, texts, uniqueid

from boxis_async._wire.records import (
    FINGERPRINT_SIZE,
    Fingerprinter,
    Records,
    make_converter,
)
from boxis_async._wire.wallclock import WallClock
from boxis_async.errors import RecordError
from boxis_async.models import CDR, Direction, Disposition, Extra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from strategies import Row

PAGE_EXAMPLE = json.loads((DATA / "page_example.json").read_bytes())["params"]["cdr"]
CONVERTER = make_converter(WallClock("Europe/Zurich"), Fingerprinter(b"key"))


def known_by(row: Mapping[str, object]) -> tuple[bytes, bytes]:
    """Give the fingerprints of a row's leg and of its content."""
    (both,) = CONVERTER.structure([{"start": START, **row}], Records).fingerprints
    return both[:FINGERPRINT_SIZE], both[FINGERPRINT_SIZE:]


def content(row: Mapping[str, object]) -> bytes:
    """Give the fingerprint of all that a row says."""
    return known_by(row)[1]


START = "2018-02-06 20:12:56"


def read(row: object) -> CDR:
    """Structure one row."""
    return CONVERTER.structure(row, CDR)


def made(**fields: object) -> CDR:
    """Structure a row of a start and these fields."""
    return read({"start": START} | fields)


def zurich(*when: int) -> datetime:
    """Give a local time of the provider."""
    return datetime(*when, tzinfo=ZURICH)  # type: ignore[arg-type, misc]


ONE: dict[str, object] = {
    "uniqueid": "sip022.voice.boxis.net-1517944376.108168",
    "start": zurich(2018, 2, 6, 20, 12, 56),
    "answer": zurich(2018, 2, 6, 20, 12, 56),
    "end": zurich(2018, 2, 6, 20, 16, 53),
    "clid": '"DirectCEO:" ',
    "src": "0041616925879",
    "dst": "0225101800",
    "dcontext": "fromoutside",
    "channel": "SIP/NS_Inbound_Route_CH_Direct_105-00002c27",
    "dstchannel": "SIP/sip046.voice.boxis.net-00002c28",
    "lastapp": "Dial",
    "lastdata": "SIP/QUEUE-14@sip046.voice.boxis.net,,U(destChannelActions^yes^wav^^^^)",
    "duration": 237,
    "billsec": 236,
    "disposition": Disposition.ANSWERED,
    "amaflags": "3",
    "accountcode": "BOXIS",
    "userfield": "[inbound]",
    "realsrc": "",
    "firstdst": "0225101820",
    "lastdst": "",
    "src_call_id": "2815e0000df5-5a79fe38-73bd5d15-2a761e0-402a18e@127.0.0.1",
    "prevuniqueid": "",
    "peeraccount": "BOXIS",
    "sequence": 15922,
    "originateid": "",
    "linkedid": "sip022.voice.boxis.net-1517944376.108168",
    "wherelanded": "0227359748",
    "pincode": "",
    "prevsequence": None,
    "cc_peername": "",
    "cc_date": date(2018, 2, 6),
    "cc_type": "OUTNOCHARGE",
    "cc_type_id": None,
    "cc_country": "",
    "cc_network": "",
    "cc_international": "",
    "cc_cost": Decimal("0.00000"),
    "extra": {},
}
TWO = ONE | {
    "uniqueid": "sip046.voice.boxis.net-1517944459.182738",
    "start": zurich(2018, 2, 6, 20, 14, 20),
    "answer": None,
    "end": zurich(2018, 2, 6, 20, 14, 50),
    "dst": "AG-000-NFR-453",
    "dcontext": "fromotherpbx",
    "channel": "Local/AG-000-NFR-453@fromotherpbx-00000feb;2",
    "dstchannel": "SIP/sip015.voice.boxis.net-000040d3",
    "lastdata": ("SIP/1175@sip022.voice.boxis.net&SIP/317@sip015.voice.boxis.net,90,U(destChannel"),
    "duration": 29,
    "billsec": 0,
    "disposition": Disposition.NO_ANSWER,
    "realsrc": "Queue General",
    "firstdst": "0225101800",
    "lastdst": "606",
    "src_call_id": "",
    "sequence": 31558,
    "linkedid": "sip046.voice.boxis.net-1517944379.182232",
    "wherelanded": "N/A",
}


@pytest.mark.parametrize(("position", "wanted"), [("call_1", ONE), ("call_2", TWO)])
def test_page_example(position: str, wanted: dict[str, object]) -> None:
    """Every field of the page's records has its exact value, in its own type."""
    cdr = read(PAGE_EXAMPLE[position])
    found = attrs.asdict(cdr, recurse=False)
    assert found == wanted
    assert {name: type(value) for name, value in found.items() if name != "extra"} == {
        name: type(value) for name, value in wanted.items() if name != "extra"
    }
    # A Decimal equals another of the same value: these are as many decimals as were sent.
    assert str(cdr.cc_cost) == "0.00000"


def test_page_example_moments() -> None:
    """The page's first start is the moment that its uniqueid tells."""
    assert read(PAGE_EXAMPLE["call_1"]).start.timestamp() == 1517944376
    assert read(PAGE_EXAMPLE["call_1"]).start.utcoffset() == timedelta(hours=1)


def test_every_documented_field_has_an_attribute() -> None:
    """A CDR has the fields of the page's example, all of them, and no other."""
    assert set(FIELDS) == set(PAGE_EXAMPLE["call_1"]) == set(PAGE_EXAMPLE["call_2"])


# What is unset, missing or unknown


@pytest.mark.parametrize("missing", sorted(set(FIELDS) - {"start"}))
@pytest.mark.parametrize("how", ["missing", "null", "empty"])
def test_unset_fields(missing: str, how: str) -> None:
    """A field that is missing, null or empty has its unset value, and only that field."""
    row = dict(PAGE_EXAMPLE["call_1"])
    del row[missing]
    if how != "missing":
        row[missing] = None if how == "null" else ""
    name = "src_call_id" if missing == "srcCallID" else missing
    assert read(row) == attrs.evolve(
        read(PAGE_EXAMPLE["call_1"]),
        **cast("dict[str, Any]", {name: None if missing in TYPED else ""}),
    )


def test_start_alone() -> None:
    """A start is all that a record must have."""
    assert made() == CDR(start=zurich(2018, 2, 6, 20, 12, 56))
    assert made().extra == {}


@pytest.mark.parametrize("field", sorted(TYPED - {"start"}))
def test_the_text_null(field: str) -> None:
    """The text NULL, where something else than text belongs, is unset."""
    assert getattr(made(**{field: "NULL"}), field) is None


@pytest.mark.parametrize("field", sorted(set(FIELDS) - TYPED))
def test_the_text_null_in_text(field: str) -> None:
    """The text NULL in a field of text is that text."""
    assert "NULL" in attrs.asdict(made(**{field: "NULL"})).values()


@pytest.mark.parametrize("field", ["answer", "end"])
def test_zero_times(field: str) -> None:
    """MySQL's zero time is unset."""
    assert getattr(made(**{field: "0000-00-00 00:00:00"}), field) is None


def test_zero_date() -> None:
    """MySQL's zero date is unset."""
    assert made(cc_date="0000-00-00").cc_date is None


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("x", "x"),
        ("", ""),
        (None, ""),
        (True, "true"),
        ([], "[]"),
        ({"b": "é", "a": None}, '{"a": null, "b": "é"}'),
        (["1", ["2"]], '["1", ["2"]]'),
    ],
)
def test_unknown_fields(sent: object, kept: str) -> None:
    """A field that nobody documented is kept in extra, under its own name, as text."""
    assert made(recordingfile=sent).extra == {"recordingfile": kept}


def test_extra_named_like_an_attribute() -> None:
    """A field named like one of our attributes, but not documented, does not replace it."""
    cdr = made(srcCallID="right", src_call_id="wrong", extra="x", answered="no")
    assert cdr.src_call_id == "right"
    assert cdr.extra == {"src_call_id": "wrong", "extra": "x", "answered": "no"}


# What must not be rejected


@pytest.mark.parametrize(
    ("field", "sent", "wanted"),
    [
        ("disposition", "0", Disposition.NO_ANSWER),
        ("disposition", "2", Disposition.FAILED),
        ("disposition", "4", Disposition.BUSY),
        ("disposition", "8", Disposition.ANSWERED),
        ("disposition", "16", Disposition.CONGESTION),
        ("disposition", "NO ANSWER", Disposition.NO_ANSWER),
        ("disposition", "Answered", Disposition.ANSWERED),
        ("disposition", "VOICEMAIL", "VOICEMAIL"),
        ("disposition", "nie gehört", "nie gehört"),
        ("disposition", "17", "17"),
        ("amaflags", "3", "3"),
        ("amaflags", "DOCUMENTATION", "DOCUMENTATION"),
        ("uniqueid", "", ""),
        ("dst", "*60", "*60"),
        ("dst", "i", "i"),
        ("dst", "s", "s"),
        ("dst", "6500(5160)", "6500(5160)"),
        ("clid", "\ufffd <1>", "\ufffd <1>"),
        ("lastdata", "SIP/317@sip015.voice.boxis.net,90,U(destC" * 2, None),
        ("lastdata", "", ""),
        ("duration", "-1", -1),
        ("duration", " 29 ", 29),
        ("duration", "0029", 29),
        ("billsec", "99999999999999999999", 99999999999999999999),
        ("cc_cost", "-0.05", Decimal("-0.05")),
        ("cc_cost", "12", Decimal(12)),
        ("cc_cost", ".5", Decimal("0.5")),
        ("cc_cost", "0.1234567890123456789012345678901", None),
    ],
)
def test_what_must_not_be_rejected(field: str, sent: str, wanted: object) -> None:
    """What real records hold reads, and is carried as sent."""
    found = getattr(made(**{field: sent}), field)
    if wanted is None:
        assert str(found) == sent
    else:
        assert found == wanted
        assert type(found) is (Disposition if field == "disposition" else type(wanted))


@pytest.mark.parametrize(
    ("disposition", "billsec"),
    [("ANSWERED", "0"), ("NO ANSWER", "12"), ("BUSY", "1"), ("0", "9"), ("VOICEMAIL", "30")],
)
def test_nothing_is_asserted_between_fields(disposition: str, billsec: str) -> None:
    """A disposition and a billsec that do not go together are both carried as sent."""
    cdr = made(disposition=disposition, billsec=billsec, duration="5", end="2018-02-06 20:00:00")
    assert cdr.billsec == int(billsec)
    assert cdr.duration == 5
    assert cdr.end == zurich(2018, 2, 6, 20)


def test_unknown_dispositions_are_texts() -> None:
    """An unknown word compares, hashes and pickles like the text that it is."""
    word = made(disposition="VOICEMAIL").disposition
    assert isinstance(word, Disposition)
    assert {word, word.value, str(word), f"{word}"} == {"VOICEMAIL"}
    assert hash(word) == hash("VOICEMAIL")
    assert pickle.loads(pickle.dumps(word)) == word
    assert hash(Disposition.ANSWERED) == hash("ANSWERED")
    assert "VOICEMAIL" not in Disposition.__members__


# What cannot be read


@pytest.mark.parametrize(
    ("field", "sent"),
    [
        ("start", "2018-02-06"),
        ("start", "2018-02-06T20:12:56"),
        ("start", "2018-02-06 20:12"),
        ("start", "2018-02-30 20:12:56"),
        ("start", "2018-02-06 24:00:01"),
        ("start", "2018-02-06 20:12:56.5"),
        ("start", "06.02.2018 20:12:56"),
        ("start", "2018-02-06 20:12:5Z"),
        ("start", " 2018-02-06 20:12:56"),
        ("start", "２018-02-06 20:12:56"),
        ("start", 1517944376),
        ("start", []),
        ("answer", "soon"),
        ("answer", "0000-00-00"[:9]),
        ("answer", []),
        ("answer", {}),
        ("answer", False),
        ("end", ["2018-02-06 20:12:56"]),
        ("end", 0),
        ("duration", "12.5"),
        ("duration", "1e3"),
        ("duration", "1_000"),
        ("duration", "٣"),
        ("duration", "²"),
        ("duration", "--5"),
        ("duration", "-"),
        ("duration", "0x10"),
        ("duration", "9" * 10_000),
        ("duration", True),
        ("duration", []),
        ("billsec", "abc"),
        ("sequence", "15922a"),
        ("sequence", {"a": "b"}),
        ("prevsequence", "x"),
        ("disposition", []),
        ("disposition", 8),
        ("cc_date", "06.02.2018"),
        ("cc_date", "2018-02-30"),
        ("cc_date", "2018-W06-2"),
        ("cc_date", "20180206"),
        ("cc_type_id", "y"),
        ("cc_cost", "NaN"),
        ("cc_cost", "sNaN"),
        ("cc_cost", "Infinity"),
        ("cc_cost", "-inf"),
        ("cc_cost", "1,50"),
        ("cc_cost", "1_0"),
        ("cc_cost", "CHF 1.50"),
        ("cc_cost", "١"),
        ("cc_cost", []),
        ("src", []),
        ("dst", {}),
        ("uniqueid", ["a"]),
        ("clid", {"a": "b"}),
        ("srcCallID", ["x"]),
    ],
)
def test_unreadable_values(field: str, sent: object) -> None:
    """A value that cannot be read is an error that names the field and carries the value."""
    with pytest.raises(RecordError) as caught:
        made(**{field: sent})
    assert caught.value.field == field
    assert caught.value.value is sent
    assert repr(field) in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("start", [None, "", "NULL", "0000-00-00 00:00:00"])
def test_records_without_a_start(start: str | None) -> None:
    """A record without a start is an error: no range could hold it."""
    with pytest.raises(RecordError, match="start") as caught:
        made(start=start)
    assert caught.value.field == "start"
    with pytest.raises(RecordError, match="start"):
        read({"uniqueid": "x"})


@pytest.mark.parametrize("row", [None, "", "x", 7, [], {}, [{"start": START}]])
def test_what_is_no_record(row: object) -> None:
    """What is no map of fields is an error, not a skipped record."""
    with pytest.raises(RecordError, match="map") as caught:
        read(row)
    assert caught.value.field is None
    assert caught.value.value == row


def test_extra_nested_too_deep() -> None:
    """A field that nobody documented, nested beyond writing it down, is an error of ours."""
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(RecordError, match="deep"):
        made(odd=nested)


# Frozen values


def test_frozen() -> None:
    """A CDR cannot be changed, nor get further attributes."""
    cdr = made()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        cdr.src = "x"  # type: ignore[misc]
    with pytest.raises((attrs.exceptions.FrozenInstanceError, AttributeError)):
        cdr.other = "x"  # type: ignore[attr-defined]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del cdr.src
    assert not hasattr(cdr, "__dict__")


def test_extra_is_read_only() -> None:
    """The extra fields of a CDR cannot be changed in any way that a dict can."""
    extra = cast("dict[str, str]", made(a="1").extra)

    def set_item() -> None:
        extra["b"] = "2"

    def delete_item() -> None:
        del extra["a"]

    def update_in_place() -> None:
        nonlocal extra
        extra |= {"b": "2"}

    for change in (
        set_item,
        delete_item,
        update_in_place,
        extra.clear,
        extra.popitem,
        lambda: extra.pop("a"),
        lambda: extra.setdefault("b", "2"),
        lambda: extra.update(b="2"),
    ):
        with pytest.raises(TypeError, match="frozen"):
            change()
    assert extra == {"a": "1"}
    assert dict(extra) | {"b": "2"} == {"a": "1", "b": "2"}


@pytest.mark.parametrize("duplicate", [lambda x: pickle.loads(pickle.dumps(x)), copy, deepcopy])
def test_copies(duplicate: Any) -> None:
    """A CDR comes back from pickling and copying as it was, its extra fields read-only."""
    cdr = read(PAGE_EXAMPLE["call_2"] | {"odd": "x", "disposition": "VOICEMAIL"})
    again = duplicate(cdr)
    assert again == cdr
    assert hash(again) == hash(cdr)
    assert repr(again) == repr(cdr)
    assert type(again.extra) is Extra
    with pytest.raises(TypeError):
        again.extra["b"] = "2"


@pytest.mark.parametrize("protocol", range(pickle.DEFAULT_PROTOCOL, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_protocols(protocol: int) -> None:
    """A CDR pickles with the repeated hour told apart, by each protocol that keeps a fold."""
    cdr = read({"uniqueid": uniqueid(1792890000), "start": "2026-10-25 02:30:00", "odd": "x"})
    again = pickle.loads(pickle.dumps(cdr, protocol))
    assert again == cdr
    assert again.start.fold == cdr.start.fold == 1


def test_equality_and_hash() -> None:
    """Calls are equal when all fields are, the extra ones too; equal calls hash alike."""
    assert made(odd="1") == made(odd="1")
    assert made(odd="1") != made(odd="2")
    assert made(src="1") != made(src="2")
    assert len({made(odd="1"), made(odd="1"), made(odd="2"), made(src="1")}) == 3


@given(rows())
def test_text_is_carried_as_sent(row: Row) -> None:
    """Any readable record reads, its texts exactly as sent."""
    cdr = read(row)
    for name in set(FIELDS) - TYPED:
        attribute = "src_call_id" if name == "srcCallID" else name
        assert getattr(cdr, attribute) == (row.get(name) or "")
    assert cdr.extra == {name: row[name] or "" for name in row if name not in FIELDS}
    assert cdr.start.replace(tzinfo=None).isoformat(" ") == row["start"]


@given(rows(), rows())
def test_content_tells_what_a_cdr_tells(one: Row, other: Row) -> None:
    """Records of one content are equal, so that dropping one of them loses nothing."""
    if content(one) == content(other):
        assert {name: value for name, value in one.items() if value} == {
            name: value for name, value in other.items() if value
        }


# Content


@given(rows(), st.randoms(use_true_random=False))
def test_content_of_the_same(row: Row, random: Any) -> None:
    """Null, empty and missing, and the order of the fields, make no difference in content."""
    told = [(name, value) for name, value in row.items() if value]
    unset = [name for name in (*FIELDS, "odd", "result") if not row.get(name)]
    for how in (None, ""):
        again = told + [(name, how) for name in unset if random.random() < 0.5]
        random.shuffle(again)
        assert content(dict(again)) == content(row)


@given(rows(), st.sampled_from([*FIELDS, "odd", "result"]), texts)
def test_content_of_a_change(row: Row, field: str, text: str) -> None:
    """Anything else that differs makes another content."""
    assume((row.get(field) or "") != text)
    try:
        changed = content(row | {field: text})
    except RecordError:
        reject()
    assert changed != content(row)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"src": "ab", "dst": "c"}, {"src": "a", "dst": "bc"}),
        ({"src": "a"}, {"dst": "a"}),
        ({"odd": "a"}, {"other": "a"}),
        ({"odd": "a", "other": "b"}, {"odd": "b", "other": "a"}),
        ({"o": "dd", "x": "y"}, {"o": "ddx", "y": ""}),
        ({"cc_cost": "0.5"}, {"cc_cost": "0.50"}),
        ({"uniqueid": "a", "disposition": "8"}, {"uniqueid": "a", "disposition": "ANSWERED"}),
        ({"disposition": "8"}, {"disposition": "ANSWERED"}),
        ({"disposition": "answered"}, {"disposition": "ANSWERED"}),
        ({"duration": "07"}, {"duration": "7"}),
        ({"duration": "NULL"}, {}),
        ({"uniqueid": "a", "answer": "0000-00-00 00:00:00"}, {"uniqueid": "a"}),
        ({"answer": "0000-00-00 00:00:00"}, {}),
        ({"uniqueid": "a", "duration": "-1"}, {"uniqueid": "a", "duration": "-2"}),
        ({"uniqueid": "a\0b", "src": "c"}, {"uniqueid": "a", "src": "b\0c"}),
        (
            {"uniqueid": "a", "src": "a\0a", "dst": "a"},
            {"uniqueid": "a", "src": "a", "dst": "a\0a"},
        ),
        ({"src": "0"}, {}),
        ({"src": " "}, {}),
        ({"src": "NULL"}, {}),
        ({"odd": "\ufffd"}, {"odd": "?"}),
        ({"odd": []}, {"odd": "x"}),
    ],
)
def test_other_contents(one: dict[str, object], other: dict[str, object]) -> None:
    """Contents that could be mixed up differ."""
    assert content(one) != content(other)
    assert len(content(one)) == FINGERPRINT_SIZE


# Legs

legs = st.fixed_dictionaries(
    {
        "uniqueid": st.sampled_from(["a", "a.", "1 a", "a-1792890000.1"]),
        "sequence": st.sampled_from(
            [None, "0", "1", "01", "-1", "12", str(2**63 - 1), str(2**63), "9" * 40]
        ),
        "start": st.sampled_from(["2026-10-25 02:30:00", START]),
        "channel": st.sampled_from(["", "x", "xy"]),
        "dstchannel": st.sampled_from(["", "x", "yx"]),
    }
)


@given(legs, legs, texts)
def test_legs(one: dict[str, object], other: dict[str, object], text: str) -> None:
    """Records have one leg's fingerprint exactly if they are of one leg, whatever else they say."""
    of_one, of_other = known_by(one | {"lastdata": text}), known_by(other)
    assert (of_one[0] == of_other[0]) is (read(one).leg == read(other).leg)
    assert len(of_one[0]) == FINGERPRINT_SIZE


@given(rows())
def test_without_uniqueid(row: Row) -> None:
    """A record without a uniqueid is known by its content alone, which stands twice."""
    leg, told = known_by(row | {"uniqueid": ""})
    assert leg == told


# Read, and made


@given(rows())
def test_read_records_are_as_made(row: Row) -> None:
    """A record that was read is in nothing told from one that is made field by field."""
    cdr = read(row)
    made_so = CDR(**{name: getattr(cdr, name) for name in attrs.fields_dict(CDR)})
    assert type(cdr) is type(made_so)
    assert cdr == made_so
    assert (hash(cdr), repr(cdr)) == (hash(made_so), repr(made_so))
    assert pickle.dumps(cdr) == pickle.dumps(made_so)
    assert sys.getsizeof(cdr) == sys.getsizeof(made_so)
    assert weakref.ref(cdr)() is cdr
    assert gc.is_tracked(cdr)


def test_making_a_record_does_nothing_but_set_fields() -> None:
    """Reading goes past the constructor: that must have nothing to check or to convert."""
    assert not hasattr(CDR, "__attrs_post_init__")
    assert not any(field.validator or field.converter for field in attrs.fields(CDR))


@pytest.mark.parametrize("field", sorted(TYPED - {"start"}))
def test_values_that_come_again(field: str) -> None:
    """A value is read alike however often it comes, and an unreadable one is never let through."""
    for _ in range(3):
        assert getattr(made(**{field: ""}), field) is None
        if field != "disposition":
            with pytest.raises(RecordError, match=field):
                made(**{field: "odd"})
    for number in range(3000):
        assert made(sequence=f"{number}", cc_cost=f"{number}").sequence == number
    assert made(cc_cost="2999").cc_cost == Decimal(2999)


# What is derived


@pytest.mark.parametrize(
    ("disposition", "userfield", "answered", "missed"),
    [
        ("ANSWERED", "[inbound]", True, False),
        ("8", "[inbound]", True, False),
        ("NO ANSWER", "[inbound]", False, True),
        ("BUSY", "[inbound]", False, True),
        ("VOICEMAIL", "[inbound]", False, True),
        ("NO ANSWER", "[outbound]", False, False),
        ("NO ANSWER", "[local]", False, False),
        ("NO ANSWER", "", False, False),
        ("ANSWERED", "", True, False),
    ],
)
def test_answered_and_missed(
    disposition: str,
    userfield: str,
    answered: bool,  # noqa: FBT001
    missed: bool,  # noqa: FBT001
) -> None:
    """Answered follows the disposition; missed is what came in and was not answered."""
    cdr = made(disposition=disposition, userfield=userfield, billsec="0" if answered else "9")
    assert (cdr.answered, cdr.missed) == (answered, missed)


@pytest.mark.parametrize(
    ("userfield", "direction"),
    [
        ("[inbound]", Direction.INBOUND),
        ("[outbound]", Direction.OUTBOUND),
        ("[local]", Direction.LOCAL),
        ("[INBOUND]", Direction.INBOUND),
        (" inbound ", Direction.INBOUND),
        ("x [outbound][recorded]", Direction.OUTBOUND),
        ("", None),
        ("[unknown]", None),
        ("not inbound", None),
        ("inbounds", None),
        ("[]", None),
    ],
)
def test_direction(userfield: str, direction: Direction | None) -> None:
    """The direction is the one that userfield marks, or None."""
    assert made(userfield=userfield).direction is direction


@pytest.mark.parametrize(
    ("clid", "name", "number"),
    [
        ('"Anna Meier" <0041445550123>', "Anna Meier", "0041445550123"),
        ('"DirectCEO:" ', "DirectCEO:", ""),
        ('"DirectCEO:"', "DirectCEO:", ""),
        ("Anna Meier <201>", "Anna Meier", "201"),
        ("<0041445550123>", "", "0041445550123"),
        ('"" <0041445550123>', "", "0041445550123"),
        ("0041445550123", "", "0041445550123"),
        ("+41445550123", "", "+41445550123"),
        ('"0041445550123" <0041445550123>', "0041445550123", "0041445550123"),
        (r'"Anna \"A\" Meier" <1>', 'Anna "A" Meier', "1"),
        ('"Meier <Büro>" <201>', "Meier <Büro>", "201"),
        ('"Meier <Büro>"', "Meier <Büro>", ""),
        ('"M\ufffdller" <1>', "M\ufffdller", "1"),
        ("Anna Meier", "Anna Meier", ""),
        ('"Anna', '"Anna', ""),
        ('"', '"', ""),
        ("<>", "", ""),
        ("", "", ""),
        ("  ", "", ""),
    ],
)
def test_caller(clid: str, name: str, number: str) -> None:
    """Name and number of the caller are taken from clid, as Asterisk writes it."""
    cdr = made(clid=clid)
    assert (cdr.caller_name, cdr.caller_number) == (name, number)


@pytest.mark.parametrize(
    ("clid", "src", "name", "number"),
    [
        ('"DirectCEO:" ', "0041616925879", "DirectCEO:", "0041616925879"),
        ("", "0041616925879", "", "0041616925879"),
        ("<>", "+41 61 692 58 79", "", "+41616925879"),
        ("", "<unknown>", "", "<unknown>"),
        ('"Anna" <+41 61 692 58 79>', "x", "Anna", "+41616925879"),
        ("+41 61 692 58 79", "x", "", "+41616925879"),
        ('"Anna" <sip:0041616925879@sip022.voice.boxis.net;user=phone>', "x", "Anna",
         "0041616925879"),
        ('"Anna" <tel:+41616925879>', "x", "Anna", "+41616925879"),
        ('"Anna" <0041616925879>"', "x", "Anna", "0041616925879"),
        ('Anna <0041616925879>" ', "x", "Anna", "0041616925879"),
        ('"Anna" <anonymous>', "x", "Anna", "anonymous"),
        ('"Meier <201>"', "0041", "Meier <201>", "0041"),
        (f'"{"a" * 70}" <00416'.ljust(80, "1"), "0041616925879", "a" * 70, "0041616925879"),
        (f'"{"a" * 79}', "0041616925879", "a" * 79, "0041616925879"),
        (f'"{"a" * 78}"', "0041616925879", "a" * 78, "0041616925879"),
        ("a" * 80, "0041616925879", "a" * 80, "0041616925879"),
        (f"{'a' * 74} <0041", "0041616925879", "a" * 74, "0041616925879"),
        (f'"{"a" * 63}" <0041616925879>', "x", "a" * 63, "0041616925879"),
    ],
)  # fmt: skip
def test_caller_of_real_records(clid: str, src: str, name: str, number: str) -> None:
    """A number is found however it is written; where `clid` lacks it, or is cut, `src` has it."""
    cdr = made(clid=clid, src=src)
    assert (cdr.caller_name, cdr.caller_number) == (name, number)


@given(texts)
def test_any_clid(clid: str) -> None:
    """Whatever stands in clid, a name and a number come of it, as texts."""
    cdr = made(clid=clid)
    assert isinstance(cdr.caller_name + cdr.caller_number, str)


@pytest.mark.parametrize(
    ("answer", "end", "seconds"),
    [
        ("2018-02-06 20:13:06", "2018-02-06 20:20:00", 10),
        ("2018-02-06 20:12:56", "2018-02-06 20:20:00", 0),
        (None, "2018-02-06 20:13:26", 30),
        ("0000-00-00 00:00:00", "2018-02-06 20:13:26", 30),
        (None, None, None),
    ],
)
def test_ring_time(answer: str | None, end: str | None, seconds: int | None) -> None:
    """It rings from the start to the answer, or to the end when nobody answers."""
    found = made(answer=answer, end=end).ring_time
    assert found == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("disposition", "answer", "end", "seconds"),
    [
        ("NO ANSWER", "2018-02-06 20:12:56", "2018-02-06 20:13:56", 60),
        ("BUSY", "2018-02-06 20:12:56", None, None),
        ("ANSWERED", "2018-02-06 20:13:06", "2018-02-06 20:13:56", 10),
        ("ANSWERED", None, "2018-02-06 20:13:56", 60),
        ("ANSWERED", "2018-02-06 20:12:50", "2018-02-06 20:13:56", 0),
        ("NO ANSWER", None, "2018-02-06 20:12:50", 0),
    ],
)
def test_ring_time_by_disposition(
    disposition: str, answer: str | None, end: str | None, seconds: int | None
) -> None:
    """What was not answered rang until its end, whatever `answer` says; no time is negative."""
    found = made(disposition=disposition, answer=answer, end=end).ring_time
    assert found == (None if seconds is None else timedelta(seconds=seconds))


def test_ring_time_over_the_repeated_hour() -> None:
    """Ringing over the end of summer time lasts as long as it did."""
    start = datetime(2026, 10, 25, 0, 59, 50, tzinfo=UTC)
    cdr = read(
        {
            "uniqueid": uniqueid(start.timestamp()),
            "start": "2026-10-25 02:59:50",
            "answer": "2026-10-25 02:00:05",
        }
    )
    # By timestamp: Python never calls a repeated time equal to one of another zone.
    assert cdr.start.timestamp() == start.timestamp()
    assert cdr.ring_time == timedelta(seconds=15)


def test_no_long_text_is_remembered() -> None:
    """What texts stand for is kept for the next records, but not a text of any length."""
    word = weakref.ref(made(disposition="x" * 10_000).disposition or Disposition.BUSY)
    gc.collect()
    assert word() is None


@pytest.mark.parametrize(
    ("field", "sent", "wanted"),
    [
        ("duration", "7" * 65, int("7" * 65)),
        ("sequence", "0" * 99 + "1", 1),
        ("disposition", "x" * 65, "x" * 65),
        ("cc_cost", f"0.{'3' * 65}", Decimal(f"0.{'3' * 65}")),
    ],
)
def test_values_too_long_to_be_remembered(field: str, sent: str, wanted: object) -> None:
    """A value that is too long to be kept is read all the same, beside others that are kept."""
    for _ in range(2):
        cdr = made(**({"billsec": "5", "cc_date": "2018-02-06"} | {field: sent}))
        assert getattr(cdr, field) == wanted
        assert (cdr.billsec, cdr.cc_date) == (5, date(2018, 2, 6))
        with pytest.raises(RecordError) as caught:
            made(**({"billsec": "odd", "cc_type_id": "1"} | {field: sent}))
        assert caught.value.field == "billsec"


def test_ring_time_over_the_gap() -> None:
    """Ringing over the begin of summer time lasts as long as it did."""
    cdr = made(start="2026-03-29 01:59:50", end="2026-03-29 03:00:05")
    assert cdr.ring_time == timedelta(seconds=15)
