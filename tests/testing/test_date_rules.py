"""What the two dates of a request can mean, and rows that change while the stand-in serves."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from signed_by_hand import form

from boxis_async.testing import DATE_RULES, DateRule, LoopbackServer, Provider

if TYPE_CHECKING:
    from boxis_async.testing import Received, Row


def moment(second: int) -> str:
    return f"2026-10-01 10:00:{second:02}"


def is_selected(rule: DateRule, row: Row, datefrom: str, dateto: str) -> bool:
    """Compare one row with the two dates, as the provider's SQL would."""

    def from_on(name: str) -> bool:
        time = str(row.get(name) or "")
        return bool(time) and (datefrom <= time if rule.include_from else datefrom < time)

    def up_to(name: str) -> bool:
        time = str(row.get(name) or "")
        return bool(time) and (time <= dateto if rule.include_to else time < dateto)

    return {
        "start": from_on("start") and up_to("start"),
        "end": from_on("end") and up_to("end"),
        "overlap": up_to("start") and from_on("end"),
        "either": (from_on("start") and up_to("start")) or (from_on("end") and up_to("end")),
        "within": from_on("start") and up_to("end"),
    }[rule.by]


# Few seconds, so that times often equal each other and the dates; ends before starts, as where the
# clock goes back; and times that are missing or zero.
seconds = st.integers(0, 9)
times = st.one_of(seconds.map(moment), st.sampled_from([None, "", "0000-00-00 00:00:00"]))
rows = st.builds(
    lambda uniqueid, start, end: {"uniqueid": str(uniqueid), "start": start, "end": end},
    st.integers(0, 5),
    times,
    times,
)
ranges = st.tuples(seconds, seconds).map(lambda pair: [moment(second) for second in sorted(pair)])


def test_twenty_rules() -> None:
    """Five comparisons, each with and without either date."""
    assert len(set(DATE_RULES)) == 20
    assert {rule.by for rule in DATE_RULES} == {"start", "end", "overlap", "either", "within"}


@given(rows=st.lists(rows, max_size=12), dates=ranges)
def test_each_rule_selects_what_it_says(rows: list[Row], dates: tuple[str, str]) -> None:
    """Every rule selects the rows that a comparison of each row selects, in their order."""
    provider = Provider(rows)
    for rule in DATE_RULES:
        provider.filter_mode = rule
        assert provider.select(*dates) == [row for row in rows if is_selected(rule, row, *dates)]


@given(
    rows=st.lists(rows, max_size=8),
    steps=st.lists(st.tuples(st.sampled_from(["add", "change", "remove"]), rows), max_size=8),
    rule=st.sampled_from(DATE_RULES),
    dates=ranges,
)
def test_changes_are_in_the_next_answer(
    rows: list[Row], steps: list[tuple[str, Row]], rule: DateRule, dates: tuple[str, str]
) -> None:
    """After each addition, change and removal, an answer has the rows as they are then."""
    provider = Provider(rows, filter_mode=rule)
    expected = rows.copy()
    for step, row in steps:
        uniqueid = str(row["uniqueid"])
        same = [other for other in expected if other["uniqueid"] == uniqueid]
        if step == "add":
            provider.add(row)
            expected.append(row)
        elif not same:
            with pytest.raises(LookupError, match=f"no row has uniqueid='{uniqueid}'"):
                provider.remove(uniqueid=uniqueid)
        elif step == "change":
            assert provider.change(row, uniqueid=uniqueid) == len(same)
            expected = [row if other["uniqueid"] == uniqueid else other for other in expected]
        else:
            assert provider.remove(uniqueid=uniqueid) == len(same)
            expected = [other for other in expected if other["uniqueid"] != uniqueid]
        assert provider.select() == expected
        selected = [other for other in expected if is_selected(rule, other, *dates)]
        assert provider.select(*dates) == selected


@pytest.mark.parametrize("rule", DATE_RULES, ids=str)
async def test_an_answer_follows_the_rule(rule: DateRule) -> None:
    """A request is answered with the rows that its rule selects."""
    rows = [
        {"uniqueid": f"{start}-{end}", "start": moment(start), "end": moment(end)}
        for start in range(6)
        for end in range(start, 6)
    ]
    dates = (moment(2), moment(4))
    async with Provider(rows, filter_mode=rule).client() as client:
        request = form(datefrom=dates[0], dateto=dates[1])
        answer = (await client.post("/", data=request)).json()
    expected = [row for row in rows if is_selected(rule, row, *dates)]
    assert [*answer["params"]["cdr"].values()] == expected


def test_unknown_rules() -> None:
    """A mode or a comparison that does not exist raises, also when it is set later."""
    wrong: Any = "starts"
    with pytest.raises(ValueError, match="'by' must be in"):
        DateRule(wrong)
    with pytest.raises(ValueError, match="filter_mode must be a DateRule or one of start, "):
        Provider(filter_mode=wrong)
    with pytest.raises(ValueError, match="not 'starts'"):
        Provider().filter_mode = wrong


@pytest.mark.parametrize("keeps", ["first", "last"])
@pytest.mark.parametrize("limit", [0, 1, 3, 4, 9])
def test_row_limit_from_either_end(limit: int, keeps: Any) -> None:  # noqa: ANN401 - a literal
    """A limit keeps the first or the last rows; `undivided` has them all."""
    rows = [{"uniqueid": str(number), "start": moment(number)} for number in range(5)]
    provider = Provider(rows, row_limit=limit, row_limit_keeps=keeps)
    dates = (moment(1), moment(4))
    whole = rows[1:]
    cut = whole[:limit] if keeps == "first" else whole[max(len(whole) - limit, 0) :]
    assert provider.select(*dates) == cut
    assert provider.undivided(*dates) == whole
    assert provider.undivided() == rows


def test_limit_keeps_an_end() -> None:
    """A limit keeps one of two ends, and no other."""
    middle: Any = "middle"
    with pytest.raises(ValueError, match="row_limit_keeps"):
        Provider(row_limit_keeps=middle)


def test_dates_ignored() -> None:
    """A server that ignores dates answers with everything, cut to the limit if there is one."""
    rows = [{"uniqueid": str(number), "start": moment(number)} for number in range(5)]
    provider = Provider(rows, ignore_dates=True, row_limit=2)
    assert provider.select(moment(3), moment(4)) == rows[:2]
    assert provider.undivided(moment(3), moment(4)) == rows
    provider.ignore_dates = False
    assert provider.undivided(moment(3), moment(4)) == rows[3:]


def test_changes_need_a_row_and_text() -> None:
    """A change or removal that finds no row, or names none, raises; so does a number."""
    provider = Provider([{"uniqueid": "1", "sequence": "2"}], tenants={"VOICE-2": []})
    number: Any = 2
    for change in (provider.remove, lambda **where: provider.change({"cc_cost": "1"}, **where)):
        with pytest.raises(TypeError, match="at least one field"):
            change()
        with pytest.raises(LookupError, match="no row has uniqueid='1', sequence='3'"):
            change(uniqueid="1", sequence="3")
        with pytest.raises(LookupError, match="no row has uniqueid='1'"):
            change(uniqueid="1", tenant="VOICE-2")
        with pytest.raises(LookupError, match="VOICE-3"):
            change(uniqueid="1", tenant="VOICE-3")
    with pytest.raises(TypeError, match="billsec must be a text or None"):
        provider.change({"billsec": number}, uniqueid="1")
    assert provider.select() == [{"uniqueid": "1", "sequence": "2"}]


async def test_an_answer_on_its_way_keeps_its_values() -> None:
    """A change replaces rows: the rows that were selected before stay as they were."""
    provider = Provider([{"uniqueid": "1", "cc_cost": "0"}])
    before = provider.select()
    provider.change({"cc_cost": "1"}, uniqueid="1")
    assert before == [{"uniqueid": "1", "cc_cost": "0"}]
    assert provider.select() == [{"uniqueid": "1", "cc_cost": "1"}]


async def test_changes_while_a_server_answers() -> None:
    """A row that a test changes while a request waits is in that request's answer."""
    provider = Provider([{"uniqueid": str(number), "start": moment(number)} for number in range(3)])
    arrived, changed = threading.Event(), threading.Event()

    async def gate(_: Received) -> None:
        arrived.set()
        await anyio.to_thread.run_sync(changed.wait)

    def change_rows() -> None:
        arrived.wait()
        provider.change({"start": moment(9)}, uniqueid="0")
        provider.remove(uniqueid="1")
        provider.add({"uniqueid": "3", "start": moment(3)})
        changed.set()

    provider.select(moment(0), moment(5))
    provider.gate = gate
    async with (
        LoopbackServer(provider) as server,
        httpx.AsyncClient() as client,
        anyio.create_task_group() as group,
    ):
        group.start_soon(anyio.to_thread.run_sync, change_rows)
        request = form(datefrom=moment(0), dateto=moment(5))
        answer = (await client.post(server.url, data=request)).json()
    assert [row["uniqueid"] for row in answer["params"]["cdr"].values()] == ["2", "3"]
