"""Each key once, and every kind of drop counted and told apart."""

# A user's function may give anything.
# ruff: noqa: ANN401

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import ZURICH, rows, uniqueid

from boxis_async._checks import problem_with_unique_by
from boxis_async._run.dedupe import Deduplicator, Verdict
from boxis_async._wire.records import (
    FINGERPRINT_SIZE,
    Fingerprinter,
    Records,
    leg_text,
    make_converter,
)
from boxis_async._wire.wallclock import WallClock
from boxis_async.errors import UsageError
from boxis_async.models import CDR, Extra

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from strategies import Row

    from boxis_async.types import UniqueBy

FINGERPRINTER = Fingerprinter(b"key")
CONVERTER = make_converter(WallClock("Europe/Zurich"), FINGERPRINTER)


def records(*sent: Mapping[str, object]) -> Records:
    """Read rows."""
    return CONVERTER.structure(sent, Records)


def content(row: Mapping[str, object]) -> bytes:
    """Give the fingerprint of all that was sent."""
    return records(row).fingerprints[0][FINGERPRINT_SIZE:]


def new(unique_by: UniqueBy, carried: Collection[bytes] = ()) -> Deduplicator:
    """Make one that knows no records but those of an earlier run."""
    return Deduplicator(unique_by, FINGERPRINTER, carried)


START = "2024-03-05 10:00:00"
NEW, DUPLICATE, CONFLICT, REVISION = (
    Verdict.NEW,
    Verdict.DUPLICATE,
    Verdict.CONFLICT,
    Verdict.REVISION,
)
COUNTED = {DUPLICATE: "duplicates", CONFLICT: "conflicts", REVISION: "revisions"}
every_key = pytest.mark.parametrize("unique_by", ["uniqueid", "leg", lambda cdr: cdr.linkedid])


def row(**fields: str | None) -> dict[str, str | None]:
    """Make a row."""
    return {"uniqueid": "a-1.1", "linkedid": "a-1.1", "start": START, "sequence": "1"} | fields


def add(seen: Deduplicator, sent: Mapping[str, str | None]) -> Verdict:
    """Show a row to `seen`, and give its verdict, which is also counted."""
    before = attrs.asdict(seen.counts)
    found = seen.compare(records(sent))
    assert found.keys() <= {0}
    verdict = found.get(0, NEW)
    if verdict is not NEW:
        before[COUNTED[verdict]] += 1
    assert attrs.asdict(seen.counts) == before
    return verdict


def verdicts(unique_by: UniqueBy, *sent: dict[str, str | None]) -> list[Verdict]:
    """Show rows to a new one, and give the verdict of each."""
    seen = new(unique_by)
    return [add(seen, one) for one in sent]


FIRST = row()
OTHER_CALL = row(uniqueid="a-1.2", linkedid="a-1.2")
OTHER_LEG = row(sequence="2", dstchannel="SIP/2")
CHANGED = row(cc_cost="0.05")


@every_key
def test_copies(unique_by: UniqueBy) -> None:
    """A record that comes again, as at a boundary that windows share, is a duplicate."""
    again = dict(reversed(FIRST.items())) | {"src": "", "cc_cost": None}
    assert verdicts(unique_by, FIRST, FIRST, again) == [NEW, DUPLICATE, DUPLICATE]


@every_key
def test_other_calls(unique_by: UniqueBy) -> None:
    """Another call is new."""
    assert verdicts(unique_by, FIRST, OTHER_CALL) == [NEW, NEW]


@pytest.mark.parametrize(
    ("unique_by", "verdict"),
    [("uniqueid", CONFLICT), ("leg", NEW), (lambda cdr: cdr.linkedid, CONFLICT)],
)
def test_other_legs(unique_by: UniqueBy, verdict: Verdict) -> None:
    """Another leg under a known key is a conflict; by leg it is a record of its own."""
    assert verdicts(unique_by, FIRST, OTHER_LEG, OTHER_LEG) == [NEW, verdict, DUPLICATE]


@every_key
def test_revisions(unique_by: UniqueBy) -> None:
    """The same leg with other content, such as a cost worked out later, is a revision."""
    assert verdicts(unique_by, FIRST, CHANGED, CHANGED) == [NEW, REVISION, DUPLICATE]


def test_revision_of_a_conflict() -> None:
    """A leg that was dropped as a conflict, changed since, is a revision."""
    changed = OTHER_LEG | {"cc_cost": "0.05"}
    assert verdicts("uniqueid", FIRST, OTHER_LEG, changed) == [NEW, CONFLICT, REVISION]


def test_a_key_of_the_users_own() -> None:
    """A function's key decides alone, also between records of one leg."""
    assert verdicts(lambda cdr: (cdr.uniqueid, cdr.cc_cost), FIRST, CHANGED, FIRST) == [
        NEW,
        NEW,
        DUPLICATE,
    ]
    assert verdicts(lambda _: None, FIRST, OTHER_CALL) == [NEW, CONFLICT]


@pytest.mark.parametrize("unique_by", ["uniqueid", "leg"])
@pytest.mark.parametrize("unset", ["", None])
def test_records_without_a_uniqueid(unique_by: UniqueBy, unset: str | None) -> None:
    """A record without a uniqueid is known by its whole content: whatever differs is new."""
    nameless = row(uniqueid=unset)
    assert verdicts(
        unique_by,
        nameless,
        nameless,
        nameless | {"sequence": "2"},
        nameless | {"cc_cost": "0.05"},
        nameless | {"recordingfile": "x"},
        nameless | {"uniqueid": "" if unset is None else None},
    ) == [NEW, DUPLICATE, NEW, NEW, NEW, DUPLICATE]


@pytest.mark.parametrize("unset", ["", None])
def test_records_without_a_uniqueid_by_a_function(unset: str | None) -> None:
    """By a function's key, a record without a uniqueid is the same only if all of it is."""
    nameless = row(uniqueid=unset)
    assert verdicts(
        lambda cdr: cdr.linkedid,
        nameless,
        nameless,
        nameless | {"cc_cost": "0.05"},
        nameless | {"cc_cost": "0.05"},
        nameless | {"linkedid": "a-1.2"},
    ) == [NEW, DUPLICATE, CONFLICT, DUPLICATE, NEW]


@pytest.mark.slow
@pytest.mark.parametrize("of", ["leg", "leg without a sequence"])
def test_a_uniqueid_that_reads_like_another_leg(of: str) -> None:
    """No uniqueid is taken for the leg of another record, in whichever bucket both are."""
    for key in (b"one", b"two", b"three"):
        fingerprinter = Fingerprinter(key)
        convert = make_converter(WallClock("Europe/Zurich"), fingerprinter)
        sequence = "1" if of == "leg" else None
        legs = convert.structure(
            [row(uniqueid=f"a{number}", sequence=sequence) for number in range(6000)], Records
        )
        alike = convert.structure([row(uniqueid=leg_text(cdr)) for cdr in legs.cdrs], Records)
        seen = Deduplicator("uniqueid", fingerprinter)
        assert not seen.compare(legs)
        assert not seen.compare(alike)


def test_sequences_are_numbers() -> None:
    """A sequence names a leg by its number, however it is written."""
    assert verdicts("leg", row(sequence="7"), row(sequence="07")) == [NEW, REVISION]


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, DUPLICATE),
        ({"start": "2024-03-05 10:00:01"}, NEW),
        ({"channel": "SIP/9"}, NEW),
        ({"dstchannel": "SIP/9"}, NEW),
        ({"sequence": "1"}, NEW),
        ({"end": START}, REVISION),
        ({"dst": "9"}, REVISION),
        ({"cc_cost": "1"}, REVISION),
    ],
)
@pytest.mark.parametrize("missing", [None, "", "NULL"])
def test_legs_without_a_sequence(
    change: dict[str, str | None], verdict: Verdict, missing: str | None
) -> None:
    """Without a sequence a leg is named by its uniqueid, start, channel and dstchannel."""
    leg = row(sequence=missing, channel="SIP/1", dstchannel="SIP/2")
    assert verdicts("leg", leg, leg | change) == [NEW, verdict]


def test_legs_without_a_sequence_in_the_repeated_hour() -> None:
    """Without a sequence, the two moments of one wall time are two legs."""
    seen = new("leg")
    for fold in (0, 1):
        start = datetime(2026, 10, 25, 2, 30, tzinfo=ZURICH, fold=fold)
        cdr = CDR(uniqueid="x", start=start)
        both = FINGERPRINTER.of(leg_text(cdr)) + FINGERPRINTER.of(f"content {fold}")
        assert not seen.compare(Records([cdr], [both]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"uniqueid": "a", "sequence": "12"}, {"uniqueid": "a1", "sequence": "2"}),
        ({"uniqueid": "a1:1", "sequence": "1"}, {"uniqueid": "a", "sequence": "11"}),
        (
            {"sequence": None, "channel": "ab", "dstchannel": "c"},
            {"sequence": None, "channel": "a", "dstchannel": "bc"},
        ),
        (
            {"sequence": None, "channel": "a", "dstchannel": ""},
            {"sequence": None, "channel": "", "dstchannel": "a"},
        ),
    ],
)
def test_keys_are_not_run_together(
    one: dict[str, str | None], other: dict[str, str | None]
) -> None:
    """Keys whose parts read the same when run together are different keys."""
    assert verdicts("leg", row(**one), row(**other)) == [NEW, NEW]


@pytest.mark.parametrize("key", [[], {}, {"a"}, (1, [])])
def test_keys_that_are_not_hashable(key: Any) -> None:
    """A function whose key cannot be one is told so, by the key's type."""
    with pytest.raises(UsageError, match=f"{type(key).__name__}.*hashable"):
        add(new(lambda _: key), FIRST)


def test_errors_of_the_users_own_function() -> None:
    """What a function of the user's raises is the user's to see."""
    with pytest.raises(ZeroDivisionError):
        add(new(lambda _: 1 // 0), FIRST)


@pytest.mark.parametrize("unique_by", ["uniqueid", "leg", lambda cdr: cdr.uniqueid, len])
def test_rules(unique_by: UniqueBy) -> None:
    """A rule is one of two names, or a function."""
    assert problem_with_unique_by(unique_by) is None


@pytest.mark.parametrize("unique_by", ["", "linkedid", "Leg", None, 7, [], ["uniqueid"], {}])
def test_bad_rules(unique_by: object) -> None:
    """Any other rule is told by what it is."""
    assert repr(unique_by) in (problem_with_unique_by(unique_by) or "")


@pytest.mark.parametrize(
    ("unique_by", "sent", "cure"),
    [
        ("uniqueid", OTHER_LEG, 'unique_by="leg"'),
        ("uniqueid", CHANGED, "Fetch the range again"),
        ("leg", CHANGED, "Fetch the range again"),
        (lambda cdr: cdr.uniqueid, OTHER_LEG, "function"),
        (lambda cdr: cdr.uniqueid, CHANGED, "Fetch the range again"),
    ],
)
def test_advice_once(
    unique_by: UniqueBy,
    sent: dict[str, str | None],
    cure: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first conflict and the first revision of a run are logged with the cure, no others."""
    caplog.set_level(logging.DEBUG, "boxis_async")
    for run in (1, 2):
        seen = new(unique_by)
        add(seen, FIRST)
        for number in "3456":
            # Each differs from all others: another leg, or the same one changed.
            add(seen, sent | {"sequence" if sent is OTHER_LEG else "src": number})
        assert len(caplog.records) == run
        assert caplog.records[-1].levelno == logging.WARNING
        assert cure in caplog.messages[-1]
        assert "a-1.1" not in caplog.text


@every_key
def test_no_advice_for_copies(unique_by: UniqueBy, caplog: pytest.LogCaptureFixture) -> None:
    """Copies are what windows that share a second bring: nothing is logged about them."""
    caplog.set_level(logging.DEBUG, "boxis_async")
    verdicts(unique_by, FIRST, FIRST, OTHER_CALL, OTHER_CALL)
    assert not caplog.records


def test_advice_for_each_kind(caplog: pytest.LogCaptureFixture) -> None:
    """A conflict and a revision in one run are each told."""
    verdicts("uniqueid", FIRST, CHANGED, OTHER_LEG, CHANGED, OTHER_LEG)
    assert len(caplog.records) == 2


@given(st.lists(rows(), max_size=12), st.sampled_from(["uniqueid", "leg"]), st.data())
def test_each_key_once(sent: list[Row], unique_by: UniqueBy, data: st.DataObject) -> None:
    """Of any rows, in any order and however often, each key is kept once; the rest is counted."""
    shown = data.draw(st.permutations(sent + sent))
    seen = new(unique_by)
    kept = [CONVERTER.structure(one, CDR) for one in shown if not seen.compare(records(one))]

    def key(cdr: CDR) -> object:
        if not cdr.uniqueid:
            # An empty field says as much as a missing one.
            said = Extra((name, value) for name, value in cdr.extra.items() if value)
            return attrs.evolve(cdr, extra=said)
        if unique_by == "uniqueid":
            return cdr.uniqueid
        if cdr.sequence is not None:
            return cdr.uniqueid, cdr.sequence
        return cdr.uniqueid, cdr.start, cdr.start.fold, cdr.channel, cdr.dstchannel

    named = [cdr for cdr in kept if cdr.uniqueid]
    assert len({key(cdr) for cdr in named}) == len(named)
    everything = [CONVERTER.structure(one, CDR) for one in shown]
    assert {key(cdr) for cdr in kept} == {key(cdr) for cdr in everything}
    assert len({content(one) for one in sent if not one["uniqueid"]}) == len(kept) - len(named)
    # The first that came with its key is the one that stays.
    for cdr in named:
        assert next(one for one in everything if key(one) == key(cdr)) == cdr
    assert sum(attrs.astuple(seen.counts)) == len(shown) - len(kept)
    if unique_by == "leg":
        assert seen.counts.conflicts == 0


few_rows = st.lists(
    st.fixed_dictionaries(
        {
            "uniqueid": st.sampled_from(["", "a", "a1", "b-1792890000.1"]),
            "sequence": st.sampled_from([None, "1", "-1", "12", "9" * 40]),
            "start": st.sampled_from(["2026-10-25 02:30:00", START]),
            "channel": st.sampled_from(["", "x"]),
            "cc_cost": st.sampled_from([None, "1", "2"]),
        }
    ),
    max_size=20,
)
"""Rows that share much: keys, legs and contents."""

RULES: dict[str, UniqueBy] = {
    "uniqueid": "uniqueid",
    "leg": "leg",
    "function": lambda cdr: cdr.cc_cost,
}


@given(few_rows, few_rows, st.sampled_from(list(RULES)))
def test_verdicts_by_their_definition(
    carried: list[dict[str, str | None]], sent: list[dict[str, str | None]], rule: str
) -> None:
    """Every verdict is what it is defined to be, also after a run whose marks are carried over."""
    unique_by = RULES[rule]
    seen = new(unique_by, frozenset(new(unique_by).marks(records(*carried))))
    known: set[bytes] = set()
    legs: set[object] = set()
    keys: set[object] = set()

    def define(one: dict[str, str | None]) -> Verdict:
        cdr, said = CONVERTER.structure(one, CDR), content(one)
        if said in known:
            return DUPLICATE
        known.add(said)
        # A record without a uniqueid has no leg: it is known by its content alone.
        is_leg_known = bool(cdr.uniqueid) and cdr.leg in legs
        legs.add(cdr.leg)
        key: object = {"uniqueid": cdr.uniqueid, "leg": cdr.leg, "function": cdr.cc_cost}[rule]
        if not cdr.uniqueid and rule != "function":
            return NEW
        is_known = key in keys
        keys.add(key)
        if not is_known:
            return NEW
        return REVISION if is_leg_known else CONFLICT

    for one in carried:
        define(one)
    assert [add(seen, one) for one in sent] == [define(one) for one in sent]


@every_key
@pytest.mark.parametrize(
    ("again", "verdict"),
    [
        ({}, DUPLICATE),
        ({"src": None, "odd": ""}, DUPLICATE),
        ({"sequence": "01"}, REVISION),
        ({"cc_cost": "0.05"}, REVISION),
        ({"odd": "x"}, REVISION),
    ],
)
def test_carried_records_are_known_by_what_was_sent(
    unique_by: UniqueBy, again: dict[str, str | None], verdict: Verdict
) -> None:
    """A record as an earlier run had it is a copy; one that was sent otherwise is a revision."""
    seen = new(unique_by, new(unique_by).marks(records(FIRST)))
    assert [add(seen, FIRST | again) for _ in range(2)] == [verdict, DUPLICATE]


@every_key
def test_marks(unique_by: UniqueBy) -> None:
    """A mark is what a record is known by: its key, its leg and its content, 16 bytes each."""
    seen = new(unique_by)
    sent = records(FIRST, OTHER_LEG, CHANGED, OTHER_CALL, row(uniqueid=""))
    marks, names = seen.marks(sent), seen.key_fingerprints(sent)
    assert [mark[FINGERPRINT_SIZE:] for mark in marks] == sent.fingerprints
    assert [mark[:FINGERPRINT_SIZE] for mark in marks] == names
    assert {len(mark) for mark in marks} == {3 * FINGERPRINT_SIZE}
    # To ask for them takes no note of anything.
    assert not new(unique_by).compare(records(FIRST))
    assert [add(seen, one) for one in (FIRST, FIRST)] == [NEW, DUPLICATE]
    first, other_leg, changed, other_call, nameless = names
    assert first == changed
    assert (first == other_leg) is (unique_by != "leg")
    assert first != other_call
    # The function goes by what the record without a uniqueid has in common with the first.
    assert (first == nameless) is callable(unique_by)


@every_key
def test_marks_of_another_key_mean_nothing(unique_by: UniqueBy) -> None:
    """What was marked by another key is not known again: nor is it taken for anything else."""
    other = Fingerprinter(b"another")
    sent = make_converter(WallClock("Europe/Zurich"), other).structure([FIRST], Records)
    marks = Deduplicator(unique_by, other).marks(sent)
    assert [add(new(unique_by, marks), one) for one in (FIRST, OTHER_LEG)] == [NEW, NEW]
    assert add(new(unique_by, new(unique_by).marks(records(FIRST))), FIRST) is DUPLICATE


def test_carried_keys_of_a_function() -> None:
    """A function's key that an earlier run handed over is known, whatever record has it."""

    def key(cdr: CDR) -> str:
        return cdr.linkedid

    seen = new(key, new(key).marks(records(FIRST)))
    assert [add(seen, one) for one in (OTHER_LEG, CHANGED, OTHER_CALL)] == [CONFLICT, REVISION, NEW]


@given(
    few_rows,
    st.lists(st.integers(1, 8), min_size=1),
    st.sampled_from(list(RULES)),
)
def test_many_at_once(sent: list[dict[str, str | None]], sizes: list[int], rule: str) -> None:
    """Records that are shown together fare as they do one after the other."""
    unique_by = RULES[rule]
    one_by_one, together = new(unique_by), new(unique_by)
    expected = [one_by_one.compare(records(one)) for one in sent]
    found: list[dict[int, Verdict]] = []
    while sent:
        size = sizes[0]
        sizes = [*sizes[1:], size]
        shown, sent = sent[:size], sent[size:]
        dropped = together.compare(records(*shown))
        found += [{0: dropped[at]} if at in dropped else {} for at in range(len(shown))]
    assert found == expected
    assert together.counts == one_by_one.counts


@pytest.mark.slow
@pytest.mark.parametrize("unique_by", ["uniqueid", "leg"])
@pytest.mark.parametrize(
    ("many", "kinds"),
    [
        ("uniqueid", {"uniqueid": NEW, "leg": NEW}),
        ("sequence", {"uniqueid": CONFLICT, "leg": NEW}),
        ("cc_cost", {"uniqueid": REVISION, "leg": REVISION}),
    ],
)
def test_many(unique_by: UniqueBy, many: str, kinds: dict[UniqueBy, Verdict]) -> None:
    """Thousands of records, though all of one key or of one leg, are told apart without delay."""
    seen = new(unique_by)
    rows = [row(**{many: f"{number}"}) for number in range(5000)]
    assert add(seen, rows[0]) is NEW
    assert {add(seen, one) for one in rows[1:]} == {kinds[unique_by]}
    assert {add(seen, one) for one in rows} == {DUPLICATE}


def test_moments_of_the_repeated_hour_are_told_apart_by_leg() -> None:
    """Legs without a sequence that start an hour apart, at one wall time, are both kept."""
    moment = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    wall = {"start": "2026-10-25 02:30:00", "channel": "SIP/1"}
    legs: list[dict[str, str | None]] = [
        {"uniqueid": uniqueid((moment + timedelta(hours=hours)).timestamp(), 1), **wall}
        for hours in (0, 1)
    ]
    assert verdicts("leg", *legs) == [NEW, NEW]


# Records that a server chose so that they are hard to tell apart


def all_texts(cdr: CDR) -> str:
    return f"{cdr.uniqueid} {cdr.sequence} {cdr.dst}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "chosen",
    [
        lambda number: {"uniqueid": "a", "sequence": f"{65_536 * number}"},
        lambda number: {"uniqueid": "a", "sequence": f"{(2**61 - 1) * number}"},
        lambda number: {"uniqueid": f"{number:b}".replace("0", "a").replace("1", "b")},
        lambda number: {"uniqueid": "", "dst": f"{65_536 * number}"},
    ],
    ids=["65,536 apart", "of one hash", "alike", "without a uniqueid"],
)
def test_chosen_records(chosen: Any) -> None:
    """Whatever a server chooses to stand in records, they are spread evenly, and found at once."""
    sent = records(*(chosen(number) | {"start": START} for number in range(1, 20_001)))
    rules: tuple[UniqueBy, ...] = ("leg", "uniqueid", all_texts)
    for unique_by in rules:
        deduplicator = new(unique_by)
        verdicts = deduplicator.compare(sent)
        of_one_key = unique_by == "uniqueid" and sent.cdrs[0].uniqueid == "a"
        conflicts = dict.fromkeys(range(1, 20_000), CONFLICT) if of_one_key else {}
        assert verdicts == conflicts, unique_by
        assert set(deduplicator.compare(sent).values()) == {DUPLICATE}, unique_by
        buckets: list[bytes] = deduplicator._table._buckets  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - what is not told
        size = (3 if unique_by == "uniqueid" else 2) * FINGERPRINT_SIZE
        # By chance the fullest of 65,536 has seven or so; all in one would take minutes.
        assert max(map(len, buckets)) <= 15 * size, unique_by
