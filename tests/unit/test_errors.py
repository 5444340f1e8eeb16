"""The errors: one tree, drawn as it is, each of them telling, carrying and pickling."""

# Naive datetimes here are the provider's wall clock.
# ruff: noqa: DTZ001

from __future__ import annotations

import builtins
import inspect
import pickle
import re
from copy import copy
from datetime import datetime, timedelta

import pytest

import boxis_async
from boxis_async import errors
from boxis_async.errors import (
    AttemptTimeoutError,
    AuthenticationError,
    BoxisError,
    ClientClosedError,
    ClockError,
    ConfigurationError,
    ConnectionFailedError,
    LateLegError,
    MalformedAnswerError,
    MissingExtraError,
    RecordError,
    RefusedError,
    StatusError,
    StreamClosedError,
    UsageError,
    WindowError,
    WrongLoopError,
)
from boxis_async.models import Window

WINDOW = Window(datetime(2024, 3, 5), datetime(2024, 3, 5) + timedelta(hours=1))
SPAN = "2024-03-05 00:00:00 to 2024-03-05 01:00:00"


def classes() -> dict[str, type[BaseException]]:
    """Give the classes that the module defines."""
    return {
        name: one
        for name, one in vars(errors).items()
        if inspect.isclass(one)
        and issubclass(one, BaseException)
        and one.__module__ == "boxis_async"
    }


def drawn() -> dict[str, set[str]]:
    """Read the tree in the module's docstring: each class, and the names of its bases."""
    tree: dict[str, set[str]] = {}
    above: list[str] = []
    pattern = re.compile(r"^    ((?:[│ ]   )*)(?:[├└]── )?(\w+Error)(?: \((\w+)\))?(?= |$)")
    for line in (errors.__doc__ or "").splitlines():
        if found := pattern.match(line):
            depth = len(found[1]) // 4 + ("─ " in line)
            above[depth:] = [found[2]]
            tree[found[2]] = {above[depth - 1] if depth else "Exception"} | (
                {found[3]} if found[3] else set()
            )
    return tree


def test_the_tree_is_as_drawn() -> None:
    """The tree at the top of the module shows every class, with exactly the bases it has."""
    assert drawn() == {
        name: {base.__name__ for base in one.__bases__} for name, one in classes().items()
    }
    assert len(drawn()) > 15


def test_every_error_is_public() -> None:
    """Every class of the tree can be caught by a name of the package."""
    assert set(errors.__all__) == set(classes())
    for name, one in classes().items():
        assert getattr(boxis_async, name) is one
        assert one.__doc__


def test_names_hide_no_builtin() -> None:
    """No error is named as one of Python's own."""
    assert not set(classes()) & set(vars(builtins))


@pytest.mark.parametrize(
    ("ours", "pythons"),
    [
        (UsageError, ValueError),
        (ConfigurationError, ValueError),
        (MissingExtraError, ImportError),
        (AttemptTimeoutError, TimeoutError),
        (StreamClosedError, RuntimeError),
        (ClientClosedError, RuntimeError),
        (WrongLoopError, RuntimeError),
    ],
)
def test_pythons_own_kinds(ours: type[BoxisError], pythons: type[Exception]) -> None:
    """Where Python has a kind for it, an error is caught by that as well."""
    assert issubclass(ours, pythons)


EXAMPLES: list[tuple[BoxisError, str]] = [
    (BoxisError("a"), "a"),
    (UsageError("a", "b"), "a; b"),
    (UsageError(), ""),
    (ConfigurationError("no username: give it", "no key"), "no username: give it; no key"),
    (MissingExtraError('pip install "boxis-async[xml]"'), 'pip install "boxis-async[xml]"'),
    (errors.ClosedError("a"), "a"),
    (ClientClosedError("a"), "a"),
    (StreamClosedError("a"), "a"),
    (WrongLoopError("a"), "a"),
    (errors.NoAnswerError("a"), "a"),
    (ConnectionFailedError("a"), "a"),
    (AttemptTimeoutError("no answer within 30 s"), "no answer within 30 s"),
    (AttemptTimeoutError("no answer", was_sent=True), "no answer"),
    (errors.DeadlineError("not complete within 5 s", deadline=5.0), "not complete within 5 s"),
    (errors.TooLargeError("the answer is too large", limit=5), "the answer is too large"),
    (
        errors.ContractError("cut off", window=Window(None, None), tenant="T"),
        "tenant T: cut off (await client.probe(), or boxis probe, finds out what the server does)",
    ),
    (errors.BadAnswerError("a"), "a"),
    (StatusError("HTTP status 503", status_code=503, retry_after="5"), "HTTP status 503"),
    (errors.RateLimitError("HTTP status 429", status_code=429), "HTTP status 429"),
    (MalformedAnswerError("a"), "a"),
    (
        RecordError("not a whole number", position="call_3", field="duration", value="x"),
        "call_3, field 'duration': not a whole number, got 'x'",
    ),
    (
        RecordError("must be a map", position="call_3", value=None, window=WINDOW),
        f"window {SPAN}, call_3: must be a map, got None",
    ),
    (
        RecordError("odd", position="call_3", field="src", value={"a": ["b"]}, window=WINDOW),
        f"window {SPAN}, call_3, field 'src': odd, got a dict",
    ),
    (RefusedError("Error: unknown tenant"), "Error: unknown tenant"),
    (RefusedError(""), "refused without a text"),
    (AuthenticationError("Error: authentication"), "Error: authentication"),
    (
        ClockError("Error: t", server_time=1335777400),
        "the server refuses our clock (it says 1335777400): Error: t",
    ),
    (ClockError(""), "the server refuses our clock (it says no usable timestamp): no text"),
    (WindowError("a"), "a"),
    (
        WindowError.of(RefusedError("Error: x"), window=WINDOW, tenant="VOICE-1", attempts=3),
        f"window {SPAN} of tenant VOICE-1 failed after 3 attempts: Error: x",
    ),
    (LateLegError("a", margin=timedelta(hours=4)), "a"),
]


def test_an_example_of_each() -> None:
    """The examples below leave out no class."""
    assert {type(error) for error, _ in EXAMPLES} == set(classes().values())


@pytest.mark.parametrize(("error", "text"), EXAMPLES, ids=lambda one: type(one).__name__)
def test_texts(error: BoxisError, text: str) -> None:
    """Each error says what happened."""
    assert str(error) == text


def told(error: BaseException) -> dict[str, object]:
    """Give all that an error carries, in a form that compares."""
    return {
        name: (type(value), told(value)) if isinstance(value, BaseException) else value
        for name, value in (vars(error) | {"args": error.args, "str": str(error)}).items()
    }


@pytest.mark.parametrize(("error", "_"), EXAMPLES, ids=lambda one: type(one).__name__)
def test_pickling(error: BoxisError, _: str) -> None:
    """Each error comes back from pickling with its text and its attributes."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(error, protocol))
        assert type(again) is type(error)
        assert told(again) == told(error)
    assert told(copy(error)) == told(error)


def test_problems() -> None:
    """A usage error gives each of its problems."""
    assert ConfigurationError("a", "b").problems == ("a", "b")
    assert pickle.loads(pickle.dumps(ConfigurationError("a", "b"))).problems == ("a", "b")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x" * 10_000, "(10002 characters)"),
        ([["x"] * 100_000], "got a list"),
        ({"a": "x" * 100_000}, "got a dict"),
        (b"x" * 10_000, "got a bytes"),
        (None, "got None"),
    ],
)
def test_large_values_do_not_fill_the_screen(value: object, shown: str) -> None:
    """A value that cannot be read is carried whole, and shown in short."""
    error = RecordError("odd", position="call_1", field="a", value=value)
    assert error.value is value
    assert shown in str(error)
    assert len(str(error)) < 400


@pytest.mark.parametrize("cause", [error for error, _ in EXAMPLES], ids=lambda e: type(e).__name__)
def test_window_errors(cause: BoxisError) -> None:
    """A window's error names the window, the tenant, the attempts and its cause's whole text."""
    error = WindowError.of(cause, window=WINDOW, tenant="VOICE-29001-1", attempts=1)
    assert str(error) == f"window {SPAN} of tenant VOICE-29001-1 failed after 1 attempt: {cause}"
    assert (error.window, error.tenant, error.attempts) == (WINDOW, "VOICE-29001-1", 1)
    assert error.cause is cause


def test_refusals_through_a_window() -> None:
    """The API's own text is whole in a window's error, however long it is."""
    text = "Error: " + "x y" * 5000
    assert text in str(WindowError.of(RefusedError(text), window=WINDOW, tenant="t", attempts=2))


def test_the_window_of_everything() -> None:
    """An error of the one request for everything reads as a sentence too."""
    error = WindowError.of(
        RefusedError("Error: x"), window=Window(None, None), tenant="t", attempts=2
    )
    assert str(error) == "window of everything of tenant t failed after 2 attempts: Error: x"
