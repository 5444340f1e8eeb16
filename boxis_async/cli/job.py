"""What an export is asked for: the options, and what an unfinished one has fixed already."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Literal

import attrs
import click

from boxis_async.export import Format, Unfinished

from .dates import Span, write_moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

__all__ = ["Job", "Wanted"]


@attrs.frozen(kw_only=True)
class Job:
    """One export, with nothing left open."""

    datefrom: date | None
    dateto: date | None
    tenant: str
    format: Format
    formula_safe: bool
    unique_by: Literal["uniqueid", "leg"]
    clip: Literal["start"] | None
    window: timedelta | None
    row_limit: int | None
    on_error: Literal["raise", "collect"]

    def question(self) -> dict[str, Any]:
        """Give the arguments of `cdrs()` beside the dates."""
        names = ("tenant", "window", "unique_by", "clip", "row_limit", "on_error")
        return {name: getattr(self, name) for name in names}


@attrs.frozen(kw_only=True)
class Wanted:
    """The options of an export as they stand on the command line; None was left out."""

    span: Span | None
    tenant: str | None
    format: Format | None
    formula_safe: bool
    unique_by: Literal["uniqueid", "leg"] | None
    clip: Literal["start"] | None
    is_open_end: bool
    window: timedelta | None
    row_limit: int | None
    keep_going: bool

    def begin(self, tenant: str, by_name: Format) -> Job:
        """Give a new export.

        Raises:
            click.UsageError: There is no range.
        """
        if self.span is None:
            raise click.UsageError("which range? give --from, or --month")
        return self._job(
            datefrom=self.span.datefrom,
            dateto=self.span.dateto,
            tenant=tenant,
            format=self.format or by_name,
            formula_safe=self.formula_safe,
            unique_by=self.unique_by or "uniqueid",
            clip=self._clip(),
        )

    def go_on(
        self, left: Unfinished, tenant: str | None, zone: tzinfo, *, tenant_from: str = "option"
    ) -> Job:
        """Give an unfinished export again; options that are given must agree with it.

        Args:
            left: The unfinished export.
            tenant: The tenant of the connection, and where that comes from: it must agree too.
            zone: The provider's.
            tenant_from: `"option"`, the name of a variable, or `"profile"`.

        Raises:
            click.UsageError: They do not, or no command line could have begun it.
        """
        if tenant and left.tenant and tenant != left.tenant and tenant_from != "option":
            raise click.UsageError(
                f"the unfinished export is of tenant {left.tenant}, and {tenant_from} says "
                f"{tenant}: go on with --tenant {left.tenant}, or begin anew with --overwrite"
            )
        tenant = left.tenant or tenant
        if tenant is None:
            raise click.UsageError("no tenant: give --tenant, or set BOXIS_TENANT")
        if left.unique_by not in ("uniqueid", "leg") or left.clip not in ("start", None):
            raise click.UsageError(
                "the unfinished export was begun by a program, with a key of its own: "
                "go on with it there, or begin anew with --overwrite"
            )
        if different := list(self._differences(left, zone)):
            raise click.UsageError(
                "the unfinished export asks for something else: "
                + "; ".join(different)
                + ". Leave these options out, or begin anew: --overwrite, without --resume"
            )
        return self._job(
            datefrom=left.datefrom,
            dateto=left.dateto,
            tenant=tenant,
            format=left.format,
            formula_safe=left.formula_safe,
            unique_by="leg" if left.unique_by == "leg" else "uniqueid",
            clip="start" if left.clip else None,
        )

    def _job(self, **settled: Any) -> Job:  # noqa: ANN401 - a job's own fields
        return Job(
            **settled,
            window=self.window,
            row_limit=self.row_limit,
            on_error="collect" if self.keep_going else "raise",
        )

    def _clip(self) -> Literal["start"] | None:
        return "start" if self.span is not None and self.span.is_month else self.clip

    def _differences(self, left: Unfinished, zone: tzinfo) -> Iterator[str]:
        pairs: list[tuple[str, object, object]] = [
            ("--tenant", self.tenant, left.tenant or self.tenant),
            ("--format", self.format, left.format),
            ("--formula-safe", self.formula_safe or None, left.formula_safe),
            ("--unique-by", self.unique_by, left.unique_by),
            ("--clip", self._clip(), left.clip),
        ]
        if self.span is not None:
            pairs.append(("--from", _text(self.span.datefrom, zone), _text(left.datefrom, zone)))
            if not self.is_open_end:
                pairs.append(("--to", _text(self.span.dateto, zone), _text(left.dateto, zone)))
        for option, given, kept in pairs:
            if given is not None and given != kept:
                yield f"{option} is {_word(given)}, but was {_word(kept)}"


def _text(moment: date | None, zone: tzinfo) -> str | None:
    return None if moment is None else write_moment(moment, zone)


def _word(value: object) -> str:
    if value is True:
        return "given"
    return "left out" if value is None or value is False else str(value)
