"""What stands beside the records of an answer: no record is lost, and nothing goes unsaid."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import pytest
from calls import DAY, HOUR, NEXT_DAY, call, hourly, ids

from boxis_async import MalformedAnswerError, RecordError, WindowError
from boxis_async.testing import Fault, Provider
from boxis_async.testing.answers import write_json, write_xml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from conftest import MakeClient

    from boxis_async import BoxisClient
    from boxis_async.testing import Received

Way = Literal["chunks", "array", "whole", "xml"]
Place = Literal["params", "answer"]
ENVELOPE = {"result": "1", "resulttxt": "success", "timestamp": 1709600000}
RECORDS = {f"call_{n}": call(f"{DAY:%F} 10:00:0{n}", f"a-{n}.{n}") for n in range(1, 4)}
# An array of records is cut into chunks behind 32 kB where it looks like the end of a record. Here
# it only looks so, and the answer is read as a whole.
LOOKS_LIKE_AN_END = {"lastdata": "x" * 40_000 + "},{"}

PLACES: tuple[Place, ...] = ("params", "answer")
WAYS: tuple[Way, ...] = ("chunks", "array", "whole", "xml")
ways = pytest.mark.parametrize("way", WAYS)
places = pytest.mark.parametrize("place", PLACES)
some_of_both = pytest.mark.parametrize(
    ("way", "place"),
    [("chunks", "params"), ("whole", "params"), ("xml", "params"), ("chunks", "answer")],
)


def answer(
    way: Way, place: Place, beside: Mapping[str, Any], records: Mapping[str, Any] = RECORDS
) -> bytes:
    """Write an answer whose records stand under `cdr`, and more beside `cdr` or beside `params`."""
    cdr: object = dict(records)
    if way in {"array", "whole"}:
        cdr = [row | (LOOKS_LIKE_AN_END if way == "whole" else {}) for row in records.values()]
    params = {"cdr": cdr} | (beside if place == "params" else {})
    whole = ENVELOPE | {"params": params} | (beside if place == "answer" else {})
    return write_xml(whole) if way == "xml" else write_json(whole)


def client_of(make_client: MakeClient, body: bytes, way: Way = "chunks") -> BoxisClient:
    """Make a client whose every request is answered with a body."""
    provider = Provider(faults=lambda _: Fault.html(body))
    return make_client(provider, returntype="xml" if way == "xml" else "json")


def reported(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# Records


@pytest.mark.usefixtures("reader")
@ways
@places
async def test_a_record_beside_the_records_is_read(
    make_client: MakeClient, way: Way, place: Place
) -> None:
    """A call that stands beside `cdr`, or beside `params`, is one of the calls."""
    beside = {
        "call_17": call(f"{DAY:%F} 10:00:09", "a-9.17"),
        "call18": call(f"{DAY:%F} 10:00:08", "a-8.18"),
    }
    cdrs = client_of(make_client, answer(way, place, beside), way).cdrs()
    assert ids(await cdrs.to_list()) == ["a-1.1", "a-2.2", "a-3.3", "a-8.18", "a-9.17"]
    assert cdrs.stats.requests == 1


@pytest.mark.usefixtures("reader")
@ways
async def test_records_in_both_places_are_read(make_client: MakeClient, way: Way) -> None:
    """Calls in `cdr`, beside it and beside `params` are five calls, though keys come again."""
    body = answer(way, "params", {"call_1": call(f"{DAY:%F} 10:00:08", "a-8.1")})
    more = {"call_1": call(f"{DAY:%F} 10:00:09", "a-9.1")}
    end, inside = (
        (b"</return>", write_xml(more).partition(b"<return>")[2].rpartition(b"</return>")[0])
        if way == "xml"
        else (b"}", b"," + write_json(more)[1:-1])
    )
    head, _, tail = body.rpartition(end)
    cdrs = client_of(make_client, head + inside + end + tail, way).cdrs()
    assert ids(await cdrs.to_list()) == ["a-1.1", "a-2.2", "a-3.3", "a-8.1", "a-9.1"]


@pytest.mark.parametrize("returntype", ["json", "xml"])
async def test_a_second_cdr_is_read(
    make_client: MakeClient, returntype: Literal["json", "xml"]
) -> None:
    """Records under `cdr` in `params` and under `cdr` beside `params` are all read, once."""
    again = {"cdr": {"call_1": call(f"{DAY:%F} 10:00:09", "a-9.1")}}
    way: Way = "xml" if returntype == "xml" else "chunks"
    cdrs = client_of(make_client, answer(way, "answer", again), way).cdrs()
    assert ids(await cdrs.to_list()) == ["a-1.1", "a-2.2", "a-3.3", "a-9.1"]


@ways
@places
@pytest.mark.parametrize("nothing", ["", [], {}])
async def test_a_record_beside_no_records(
    make_client: MakeClient, way: Way, place: Place, nothing: object
) -> None:
    """Where `cdr` is empty, what stands beside it is all there is."""
    beside = {"call_17": call(f"{DAY:%F} 10:00:09", "a-9.17")}
    params: dict[str, object] = {"cdr": nothing} | (beside if place == "params" else {})
    whole = ENVELOPE | {"params": params} | (beside if place == "answer" else {})
    body = write_xml(whole) if way == "xml" else write_json(whole)
    assert ids(await client_of(make_client, body, way).cdrs().to_list()) == ["a-9.17"]


@ways
@places
@pytest.mark.parametrize("row", ["", "gone", {"uniqueid": "a-9.17"}])
async def test_a_record_beside_the_records_is_never_skipped(
    make_client: MakeClient, way: Way, place: Place, row: object
) -> None:
    """One that cannot be read is an error that names it, as under `cdr`."""
    cdrs = client_of(make_client, answer(way, place, {"call_17": row}), way).cdrs()
    with pytest.raises(WindowError) as raised:
        await cdrs.to_list()
    assert isinstance(raised.value.cause, RecordError)
    assert raised.value.cause.position == "call_17"


@ways
@places
async def test_records_under_another_name_are_an_error(
    make_client: MakeClient, way: Way, place: Place
) -> None:
    """What looks like records, under a name that nobody documented, is not passed over."""
    beside = {"further": {"x": {"call_17": call(f"{DAY:%F} 10:00:09", "a-9.17")}}}
    cdrs = client_of(make_client, answer(way, place, beside), way).cdrs()
    with pytest.raises(WindowError, match="look like records under 'further'") as raised:
        await cdrs.to_list()
    assert isinstance(raised.value.cause, MalformedAnswerError)
    assert "a-9.17" not in str(raised.value)


# Members that speak of more


@some_of_both
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("truncated", "1"),
        ("truncated", "true"),
        ("is_truncated", "yes"),
        ("more", "1"),
        ("moreRecords", "1"),
        ("has_more", "True"),
        ("hasMore", "1"),
        ("next", "2024-03-05 12:00:00"),
        ("next_page", "2"),
        ("next", {"offset": "3"}),
        ("total", "4"),
        ("total", " 4 "),
        ("total", "4.0"),
        ("TOTAL", "1e999999999"),
        ("count", "1000"),
        ("total_count", "4"),
        ("totalRecords", "4"),
    ],
)
async def test_an_answer_that_is_not_whole(
    make_client: MakeClient, way: Way, place: Place, name: str, value: object
) -> None:
    """An answer that says that there is more is an error, which names the member that says so."""
    cdrs = client_of(make_client, answer(way, place, {name: value}), way).cdrs()
    with pytest.raises(WindowError, match="says itself that it is not whole") as raised:
        await cdrs.to_list()
    assert name in str(raised.value)
    assert isinstance(raised.value.cause, MalformedAnswerError)
    assert raised.value.cause.is_partial
    assert cdrs.stats.records == 0


@pytest.mark.parametrize("value", [True, 1, 2.5])
async def test_json_that_is_not_text(make_client: MakeClient, value: object) -> None:
    """Where JSON has truth and numbers, they mean the same."""
    cdrs = client_of(make_client, answer("chunks", "params", {"more": value})).cdrs()
    with pytest.raises(WindowError, match="not whole"):
        await cdrs.to_list()
    cdrs = client_of(make_client, answer("chunks", "params", {"total": 4})).cdrs()
    with pytest.raises(WindowError, match="'total' is 4, and it holds 3 records"):
        await cdrs.to_list()


@ways
@places
@pytest.mark.parametrize("nothing", ["", []])
async def test_no_records_of_many(
    make_client: MakeClient, way: Way, place: Place, nothing: object
) -> None:
    """An answer without a record that speaks of some is not taken for an empty range."""
    beside = {"total": "5"}
    params: dict[str, object] = {"cdr": nothing} | (beside if place == "params" else {})
    whole = ENVELOPE | {"params": params} | (beside if place == "answer" else {})
    body = write_xml(whole) if way == "xml" else write_json(whole)
    with pytest.raises(WindowError, match="'total' is 5, and it holds 0 records"):
        await client_of(make_client, body, way).cdrs().to_list()


@pytest.mark.parametrize("params", [[], "", None, {}])
async def test_no_params_but_more(make_client: MakeClient, params: object) -> None:
    """Nor is one without `params`."""
    body = write_json(ENVELOPE | {"params": params, "has_more": True})
    with pytest.raises(WindowError, match="has_more"):
        await client_of(make_client, body).cdrs().to_list()


@some_of_both
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("truncated", value) for value in ("0", "", "false", "False", "no", "0.0", None)),
        *(("more", value) for value in ("0", [], {}, "none")),
        *(("next", value) for value in (None, "", "null")),
        *(("total", value) for value in ("3", "3.0", "0", "1", "")),
        ("count", "3"),
    ],
)
async def test_an_answer_that_is_whole(
    make_client: MakeClient, way: Way, place: Place, name: str, value: object
) -> None:
    """A member that says no, or as many as there are, changes nothing."""
    cdrs = client_of(make_client, answer(way, place, {name: value}), way).cdrs()
    assert ids(await cdrs.to_list()) == ["a-1.1", "a-2.2", "a-3.3"]
    assert cdrs.stats.requests == 1


@ways
async def test_a_total_counts_the_records_beside(make_client: MakeClient, way: Way) -> None:
    """A total of four is right where the fourth stands beside the three."""
    beside = {"total": "4", "call_4": call(f"{DAY:%F} 10:00:04", "a-4.4")}
    cdrs = client_of(make_client, answer(way, "params", beside), way).cdrs()
    assert len(await cdrs.to_list()) == 4


def cut_at(provider: Provider, most: int) -> Callable[[Received], Fault]:
    """Answer with so many records at most, and say where there were more."""

    def respond(received: Received) -> Fault:
        rows = provider.undivided(received.datefrom, received.dateto)
        cdr = {f"call_{number}": row for number, row in enumerate(rows[:most], 1)}
        params = {"cdr": cdr, "truncated": len(rows) > most}
        return Fault.html(write_json(ENVELOPE | {"params": params}))

    return respond


async def test_halves_of_an_answer_that_is_not_whole(make_client: MakeClient) -> None:
    """A window that was cut is not asked for again, but in halves, which are whole."""
    provider = Provider(hourly())
    provider.faults = cut_at(provider, 5)
    cdrs = make_client(provider).cdrs(DAY, NEXT_DAY, window=24 * HOUR)
    assert len(await cdrs.to_list()) == 24
    assert cdrs.stats.retries == 0
    assert cdrs.stats.splits > 0


async def test_an_answer_that_always_says_more(make_client: MakeClient) -> None:
    """A server that says so of every answer is not asked for ever smaller windows."""
    provider = Provider(hourly())
    provider.faults = cut_at(provider, -1)
    cdrs = make_client(provider).cdrs(DAY, DAY + HOUR, window=HOUR)
    with pytest.raises(WindowError, match="truncated"):
        await cdrs.to_list()
    assert cdrs.stats.requests == 2


# Any other


@ways
@places
async def test_an_unknown_member_is_logged_once(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture, way: Way, place: Place
) -> None:
    """The name of a member that nobody documented is logged once by a client, and no value."""
    beside = {"generated": "at 0041445550123", "debug": {"ms": "secret"}, "line1": {"id": "secret"}}
    client = client_of(make_client, answer(way, place, beside), way)
    for _ in range(2):
        cdrs = client.cdrs(DAY, DAY + timedelta(days=3), window=timedelta(days=3))
        assert len(await cdrs.to_list()) == 3
    logged = reported(caplog)
    for name in beside:
        assert sum(f"'{name}'" in text for text in logged) == 1
    assert len(logged) == len(beside)
    assert "secret" not in caplog.text
    assert "0041445550123" not in caplog.text
    assert "0041445550123" not in repr(client)


async def test_names_of_strangers(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Names that are data themselves fill neither the log nor a line of it, and show no number."""
    beside: dict[str, Any] = {f"n{number}": "" for number in range(1000)}
    beside = {"0041445550123": "", "a\nb": "", "x" * 5000: ""} | beside
    await client_of(make_client, answer("chunks", "params", beside)).cdrs().to_list()
    logged = reported(caplog)
    assert len(logged) == 21
    assert "further names are not logged" in logged[-1]
    assert max(map(len, logged)) < 200
    assert not any("0041445550123" in text or "\n" in text for text in logged)


async def test_an_answer_as_the_page_shows_it_says_nothing(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The members that the page documents are not logged."""
    caplog.set_level(logging.INFO, "boxis_async")
    cdrs = make_client(Provider(hourly())).cdrs(DAY, NEXT_DAY)
    assert len(await cdrs.to_list()) == 24
    assert caplog.records == []


async def test_records_without_cdr(make_client: MakeClient) -> None:
    """Rows that stand in `params` themselves may have a total beside them too."""
    params = RECORDS | {"total": "3", "note": "x"}
    client = client_of(make_client, write_json(ENVELOPE | {"params": params}))
    assert len(await client.cdrs().to_list()) == 3
    params |= {"total": "4"}
    client = client_of(make_client, write_json(ENVELOPE | {"params": params}))
    with pytest.raises(WindowError, match="not whole"):
        await client.cdrs().to_list()
