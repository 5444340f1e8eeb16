"""Spoiled answers, coverages, journals and command lines: a value that is right, or an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fuzzing import TARGETS, kept_inputs
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fuzzing import Target


@pytest.fixture(scope="module", params=TARGETS)
def target(request: pytest.FixtureRequest) -> Iterator[tuple[str, Target]]:
    """Get a target ready: some need a server, or an export that is not finished."""
    with TARGETS[request.param]() as made:
        yield request.param, made


def test_what_showed_a_fault(target: tuple[str, Target]) -> None:
    """What `tests/bench/fuzz.py` found once shows no fault again."""
    name, made = target
    for file, sent in kept_inputs(name):
        try:
            made.check(sent)
        except Exception as error:
            error.add_note(f"tests/data/fuzz/{name}/{file}.json")
            raise


@pytest.mark.slow
@settings(max_examples=60)
@given(data=st.data())
def test_whatever_is_read(target: tuple[str, Target], data: st.DataObject) -> None:
    """Whatever comes from outside is read right, or refused in words that say what to do."""
    _, made = target
    made.check(data.draw(made.inputs))
