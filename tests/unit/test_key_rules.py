"""Key rules and keys as texts: alike in every process, and different where what they do differs."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, partial
from operator import attrgetter, itemgetter, methodcaller
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from paths import ROOT

from boxis_async import CDR, Direction
from boxis_async._run.key_rules import key_text, rule_text

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from pathlib import Path

SOURCE = '''
import re
from dataclasses import dataclass
from functools import partial
from boxis_async import Direction
from boxis_async._run.key_rules import key_text, rule_text

def rule(cdr, known={"a", "b", "c"}, *, more=frozenset({"x", "y", "z"})):
    """Say what it is for."""
    inner = lambda text: text in {"100", "101", "102", "103"}
    return [one for one in (cdr.src, cdr.dst) if inner(one) or one in known | more]

def enclosing(numbers, kinds):
    return lambda cdr: (cdr.src in numbers, kinds.get(cdr.direction))

@dataclass
class Keyed:
    names: set
    def __call__(self, cdr):
        return tuple(getattr(cdr, name) for name in self.names)

for one in (
    rule,
    partial(rule, known={"p", "q", "r"}),
    enclosing({"1", "2", "3"}, {Direction.INBOUND: re.compile("x"), None: ...}),
    Keyed({"src", "dst", "uniqueid"}),
    Keyed({"src", "dst", "uniqueid"}).__call__,
):
    print(rule_text(one))
print(key_text((frozenset({"a", "b", "c", "d"}), frozenset(), ("x",), None)))
'''


def written(folder: Path, source: str, seed: int) -> list[str]:
    """Run a source in a process of its own, and give the lines that it writes."""
    folder.mkdir(exist_ok=True)
    path = folder / "rules.py"
    path.write_text(source)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(seed), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.subprocess
def test_alike_in_every_process(tmp_path: Path) -> None:
    """The order of sets, the place of a source and what a docstring says are not in the text."""
    first = written(tmp_path / "here", SOURCE, 0)
    assert len(set(first)) == 5  # the last two are one rule
    assert not [line for line in first if "0x" in line or "rules.py" in line]
    moved = f"# A line more.\n\n{SOURCE}".replace("Say what it is for.", "Say it better.")
    assert written(tmp_path / "there", moved, 1) == first
    # What is inside of a function counts, however deep.
    changed = written(tmp_path / "here", SOURCE.replace('"103"', '"104"'), 2)
    assert [old == new for old, new in zip(first, changed, strict=True)] == [
        *(False, False, True, True, True, True)
    ]


def starting(length: int) -> Callable[[CDR], Hashable]:
    return lambda cdr: cdr.src[:length]


def among(numbers: Any) -> Callable[[CDR], Hashable]:  # noqa: ANN401
    return lambda cdr: cdr.src in numbers


def with_default(length: int) -> Callable[[CDR], Hashable]:
    def rule(cdr: CDR, length: int = length) -> Hashable:
        return cdr.src[:length]

    return rule


def with_named_default(length: int) -> Callable[[CDR], Hashable]:
    def rule(cdr: CDR, *, length: int = length) -> Hashable:
        return cdr.src[:length]

    return rule


@attrs.frozen
class Keyed:
    """Gives one attribute of a record."""

    name: str

    def __call__(self, cdr: CDR) -> Hashable:
        """Give it."""
        return getattr(cdr, self.name)  # type: ignore[no-any-return]

    def again(self, cdr: CDR) -> Hashable:
        """Give it too."""
        return self(cdr)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (starting(3), starting(4)),
        (among({"1", "2"}), among({"1", "3"})),
        (among(("1", "2")), among(["1", "2"])),
        (among({"1": "2"}), among({"1": "3"})),
        (among(Direction.INBOUND), among(Direction.OUTBOUND)),
        (among(re.compile("a")), among(re.compile("a", re.IGNORECASE))),
        (among(Decimal(1)), among(1)),
        (among(bool(1)), among(1)),
        (among(date(2026, 1, 1)), among(datetime(2026, 1, 1, tzinfo=UTC))),
        (with_default(3), with_default(4)),
        (with_named_default(3), with_named_default(4)),
        (partial(getattr, "a"), partial(getattr, "b")),
        (partial(starting(3)), partial(starting(4))),
        (attrgetter("src"), attrgetter("dst")),
        (itemgetter(1), itemgetter(2)),
        (methodcaller("a", b=1), methodcaller("a", b=2)),
        (Keyed("src"), Keyed("dst")),
        (Keyed("src").again, Keyed("dst").again),
        (Keyed("src"), Keyed("src").again),
        (cache(starting(3)), cache(starting(4))),
        (lambda cdr: [cdr.src for _ in "a"], lambda cdr: [cdr.dst for _ in "a"]),
        (lambda cdr: cdr.src, "leg"),
        (str, repr),
    ],
)
def test_what_does_something_else_is_another_rule(one: Any, other: Any) -> None:  # noqa: ANN401
    """Constants, defaults, enclosing values, arguments and attributes belong to a rule."""
    assert rule_text(one) == rule_text(one)
    assert rule_text(one) != rule_text(other)


def test_a_rule_that_contains_itself() -> None:
    """A function that refers to itself, or to what cannot be written, is written all the same."""

    def rule(cdr: CDR) -> Hashable:
        return (rule, cdr.src, lock)

    class Lock:
        def __reduce__(self) -> str:
            raise TypeError("not to be pickled")

        __getstate__ = __reduce__

        def __call__(self, cdr: CDR) -> str:
            return cdr.src

    lock = Lock()
    assert "itself" in rule_text(rule)
    assert "Lock" in rule_text(rule)
    assert "Lock" in rule_text(lock)


class Counting:
    """Gives a key, and counts how often it did."""

    def __init__(self, name: str, shown: str = "") -> None:
        self.name = name
        self.shown = shown
        self.count = 0

    def __call__(self, cdr: CDR) -> str:
        """Give it."""
        self.count += 1
        return cdr.src


class Shown(Counting):
    """The same, with a repr."""

    def __repr__(self) -> str:
        return f"{self.shown} at 0x{id(self):x}"


def test_an_object_is_what_its_repr_says() -> None:
    """What an object does not show may change while it is used, and it stays the same rule."""
    for one in (Counting("a"), Shown("a")):
        before = rule_text(one)
        one.count += 1
        assert rule_text(one) == before
    assert rule_text(Counting("a")) == rule_text(Counting("b")) != rule_text(Shown("a"))
    assert rule_text(Shown("a", "x")) == rule_text(Shown("b", "x")) != rule_text(Shown("a", "y"))


@pytest.mark.parametrize("key", ["a", 5, None, (), ("a",), ("a", ("b", 5)), b"x", date(2026, 1, 1)])
def test_a_key_without_a_set_is_its_repr(key: Hashable) -> None:
    """Keys that earlier versions noted are still recognised."""
    assert key_text(key) == repr(key)
