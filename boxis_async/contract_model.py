"""What the provider's two dates mean: a frozen value, as the probe finds it and a profile keeps it.

The provider's page says neither what `datefrom` and `dateto` are compared with nor whether they are
inclusive. A `Contract` says what one server does. Whatever is not known is None.
"""

# No `from __future__ import annotations` here: the public classes say that they are from
# `boxis_async`, see its `__init__.py`, and annotations that are texts would be looked up there.

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Literal, TypeAlias, cast

import attrs

from boxis_async.errors import UsageError

__all__ = ["Certainty", "ComparedWith", "Contract", "Finding", "RowOrder"]

ComparedWith: TypeAlias = Literal["start", "end", "overlap", "either", "within"]
"""What a server compares with the two dates: a record's start; its end; any part of it; its start
or its end; its start and its end."""

RowOrder: TypeAlias = Literal["start", "end", "start descending", "end descending", "none"]
"""The order of the records in an answer."""

Certainty: TypeAlias = Literal["certain", "likely", "unknown"]
"""How far a finding can be relied on: proved by the answers, only not contradicted, or not found.
"""

_COMPARED: tuple[ComparedWith, ...] = ("start", "end", "overlap", "either", "within")
_ORDERS: tuple[RowOrder, ...] = ("start", "end", "start descending", "end descending", "none")
_CERTAINTIES: tuple[Certainty, ...] = ("certain", "likely", "unknown")
_SECOND = timedelta(seconds=1)


@attrs.frozen
class Finding:
    """One thing that a probe found out, with its evidence.

    The evidence holds counts and dates. It holds no telephone number, name or uniqueid, so that it
    can be shown to anybody.
    """

    name: str
    """What it is about, such as `rule` or `row_cap`."""
    value: str | int | float | bool | None
    """What was found; None if it is unknown."""
    certainty: Certainty
    evidence: str
    """What it rests on, a sentence."""
    requests: int = 0
    """How many requests were sent for it. Most findings come with the requests of others."""


def _is_one_of(*choices: object) -> Any:  # noqa: ANN401 - an attrs validator
    def check(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
        if value is not None and not any(value is one or value == one for one in choices):
            raise UsageError(
                f"contract: {attribute.name} must be {' or '.join(map(repr, choices))}, "
                f"not {value!r}"
            )

    return check


def _is_bool(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value is not None and not isinstance(value, bool):
        raise UsageError(f"contract: {attribute.name} must be True or False, not {value!r}")


def _is_count(least: int) -> Any:  # noqa: ANN401 - an attrs validator
    def check(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int) or value < least
        ):
            raise UsageError(
                f"contract: {attribute.name} must be a whole number, {least} or more, not {value!r}"
            )

    return check


def _is_length(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value is not None and (not isinstance(value, timedelta) or value < timedelta(0)):
        raise UsageError(
            f"contract: {attribute.name} must be a timedelta, zero or more, not {value!r}"
        )


@attrs.frozen(kw_only=True, repr=False)
class Contract:
    """What one server does with the two dates of a request; None where it is not known.

    `BoxisClient.probe` finds one. Keep it with `to_toml`, in a profile of the command line for
    example, and read it with `from_toml`. Two contracts are equal if they say the same, whatever
    their findings are.

    Raises:
        UsageError: A value cannot be.
    """

    rule: ComparedWith | None = attrs.field(default=None, validator=_is_one_of(*_COMPARED))
    """What the two dates are compared with."""
    include_from: bool | None = attrs.field(default=None, validator=_is_bool)
    """Whether a time that equals `datefrom` counts."""
    include_to: bool | None = attrs.field(default=None, validator=_is_bool)
    """Whether a time that equals `dateto` counts."""
    row_cap: int | None = attrs.field(default=None, validator=_is_count(1))
    """To how many records the server cuts an answer, without a word."""
    no_cap_up_to: int = attrs.field(default=0, validator=_is_count(0))
    """An answer of so many records was whole, so that smaller ones are too; 0 if none is known."""
    dates_ignored: bool | None = attrs.field(default=None, validator=_is_bool)
    """Whether every answer holds everything, whatever the dates are."""
    order: RowOrder | None = attrs.field(default=None, validator=_is_one_of(*_ORDERS))
    """The order of the records in an answer."""
    unique_keys: bool | None = attrs.field(default=None, validator=_is_bool)
    """Whether `uniqueid` and `sequence` together name one record."""
    longest_call: timedelta | None = attrs.field(default=None, validator=_is_length)
    """The longest record. A probe proposes the longest that it saw: yours may be longer."""
    findings: tuple[Finding, ...] = attrs.field(default=(), eq=False)
    """What a probe found, with its evidence; empty for a contract that was written by hand."""

    @property
    def requests(self) -> int:
        """How many requests the probe sent."""
        return sum(finding.requests for finding in self.findings)

    def finding(self, name: str) -> Finding:
        """Return the finding of a name.

        Raises:
            KeyError: There is none.
        """
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(name)

    def contradictions(self, later: "Contract") -> tuple[str, ...]:
        """List what a later contract says otherwise, a sentence each.

        What either of them does not know contradicts nothing.
        """
        return tuple(self._contradictions(later))

    def describe(self) -> str:
        """Write the rule as a formula, such as `datefrom <= start < dateto`."""
        if self.dates_ignored:
            return "the dates are ignored"
        if self.rule is None:
            return "unknown rule"
        after, before = _operator(self.include_from), _operator(self.include_to)
        return {
            "start": f"datefrom {after} start {before} dateto",
            "end": f"datefrom {after} end {before} dateto",
            "overlap": f"datefrom {after} end and start {before} dateto",
            "either": f"datefrom {after} start {before} dateto or "
            f"datefrom {after} end {before} dateto",
            "within": f"datefrom {after} start and end {before} dateto",
        }[self.rule]

    def to_dict(self) -> dict[str, str | int | bool]:
        """Return what is known, under the names of the fields; `longest_call` in seconds."""
        found: dict[str, str | int | bool] = {}
        for field in attrs.fields(Contract):
            value = getattr(self, field.name)
            if field.name == "findings" or value == field.default:
                continue
            # Raised to the second: a shorter one would no longer be the longest.
            found[field.name] = -(-value // _SECOND) if isinstance(value, timedelta) else value
        return found

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> "Contract":
        """Make a contract of what `to_dict` returns.

        Raises:
            UsageError: A name is not known, or a value cannot be.
        """
        known = [field.name for field in attrs.fields(cls) if field.name != "findings"]
        if unknown := [name for name in values if name not in known]:
            raise UsageError(
                f"contract: {', '.join(unknown)} is not known; known are {', '.join(known)}"
            )
        given: dict[str, Any] = dict(values)
        seconds = given.get("longest_call")
        if seconds is not None:
            if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds < 0:
                raise UsageError(
                    f"contract: longest_call must be whole seconds, zero or more, not {seconds!r}"
                )
            try:
                given["longest_call"] = timedelta(seconds=seconds)
            except OverflowError:
                raise UsageError(f"contract: longest_call is too long: {seconds} s") from None
        return cls(**given)

    def to_toml(self) -> str:
        """Write what is known as TOML, a line each."""
        return "".join(f"{name} = {json.dumps(value)}\n" for name, value in self.to_dict().items())

    @classmethod
    def from_toml(cls, text: str) -> "Contract":
        """Read what `to_toml` writes, alone or in a table `[contract]`.

        Raises:
            UsageError: It is not TOML, or not a contract.
        """
        import tomllib  # noqa: PLC0415 - not for those who only stream

        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"the contract is not TOML: {error}") from None
        table = values.get("contract")
        if isinstance(table, dict) and len(values) == 1:
            values = cast("dict[str, object]", table)
        return cls.from_dict(values)

    def to_json(self) -> str:
        """Write all of it, with its findings, as one JSON object."""
        return json.dumps(
            {
                "contract": self.to_dict(),
                "describe": self.describe(),
                "requests": self.requests,
                "findings": [attrs.asdict(finding) for finding in self.findings],
            },
            indent=2,
            ensure_ascii=False,
        )

    def __repr__(self) -> str:
        parts = [self.describe()]
        if self.row_cap is not None:
            parts.append(f"cut at {self.row_cap:,} records")
        elif self.no_cap_up_to:
            parts.append(f"not cut up to {self.no_cap_up_to:,} records")
        if self.order is not None:
            parts.append("in no order" if self.order == "none" else f"by {self.order}")
        if self.unique_keys is False:
            parts.append("keys are not unique")
        if self.longest_call is not None:
            parts.append(f"longest call {self.longest_call}")
        return f"<Contract({'; '.join(parts)})>"

    def _contradictions(self, later: "Contract") -> Iterator[str]:
        for name in ("dates_ignored", "rule", "include_from", "include_to", "unique_keys"):
            old, new = getattr(self, name), getattr(later, name)
            if old is not None and new is not None and old != new:
                yield f"{name} was {_written(old)}, and is {_written(new)}"
        if self.row_cap is not None and later.row_cap is not None:
            if self.row_cap != later.row_cap:
                yield f"row_cap was {self.row_cap:,}, and is {later.row_cap:,}"
        elif self.row_cap is not None and later.no_cap_up_to > self.row_cap:
            yield (
                f"row_cap was {self.row_cap:,}, and an answer of {later.no_cap_up_to:,} records "
                "was whole"
            )
        elif later.row_cap is not None and self.no_cap_up_to > later.row_cap:
            yield (
                f"no_cap_up_to was {self.no_cap_up_to:,}, and answers are cut at {later.row_cap:,}"
            )
        if (
            self.longest_call is not None
            and later.longest_call is not None
            and later.longest_call > self.longest_call
            and "within" in (self.rule, later.rule)
        ):
            yield f"longest_call was {self.longest_call}, and a call took {later.longest_call}"


def _operator(include: bool | None) -> str:  # noqa: FBT001 - the field itself
    return "<(=)" if include is None else "<=" if include else "<"


def _written(value: object) -> str:
    return json.dumps(value)
