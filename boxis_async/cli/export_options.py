"""What to export: the options of a new export, or what an unfinished one has recorded already."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
import click

from boxis_async import UsageError
from boxis_async.export import Format, Rows, Unfinished, format_of

from .dates import NO_RANGE, DateRange, write_length, write_moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

__all__ = ["DELIMITERS", "ExportJob", "ExportOptions", "LayoutOptions"]

DELIMITERS: Final = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
"""What `--delimiter` takes."""

# An unfinished export has recorded these too.
_UNCHANGED: Final = {"rows": "legs", "delimiter": ","}


@attrs.frozen(kw_only=True)
class LayoutOptions:
    """What a row is, the columns, and the spelling of CSV; None and False were left out."""

    rows: Rows | None = None
    columns: Sequence[str] | str | None = None
    delimiter: str | None = None
    bom: bool = False
    local_times: bool = False
    decimal_comma: bool = False
    formula_safe: bool = False

    def given(self) -> dict[str, Any]:
        """Return those that are given, as the library has them."""
        return {name: value for name, value in attrs.asdict(self).items() if value}


@attrs.frozen(kw_only=True)
class ExportJob:
    """One export, with nothing left open."""

    datefrom: date | None
    dateto: date | None
    tenant: str
    format: Format
    layout: dict[str, Any]
    """What a row is, the columns and the spelling, as arguments of `export`."""
    unique_by: Literal["uniqueid", "leg"]
    clip: Literal["start"] | None
    window: timedelta | None
    row_limit: int | None
    keep_going: bool
    ends_now: bool = False
    """Whether `dateto` is now, by this computer's clock, as no end was given."""

    @property
    def noun(self) -> str:
        """What a row is called in a message."""
        return "call" if self.layout.get("rows") == "calls" else "record"

    def stream_arguments(self) -> dict[str, Any]:
        """Return the arguments of `cdrs()` beside the dates."""
        names = ("tenant", "window", "unique_by", "clip", "row_limit")
        choice = "collect" if self.keep_going else "raise"
        arguments = {name: getattr(self, name) for name in names}
        return arguments | {"on_error": choice, "bad_records": choice}

    def options(self, output: str) -> list[str]:
        """Write it as the options of a command that exports the same to a file."""
        return [
            *self._range_options(),
            *(("--format", self.format) if _suffix_format(output) != self.format else ()),
            *_layout_options(self.layout),
            *(("--unique-by", self.unique_by) if self.unique_by != "uniqueid" else ()),
            *(("--clip", self.clip) if self.clip else ()),
            *self.request_options(),
            *("-o", output),
        ]

    def request_options(self) -> list[str]:
        """Write how to fetch it as options; an unfinished export has recorded none of them."""
        return [
            *(("--window", write_length(self.window)) if self.window else ()),
            *(("--row-limit", str(self.row_limit)) if self.row_limit else ()),
            *(("--keep-going",) if self.keep_going else ()),
        ]

    def _range_options(self) -> list[str]:
        if self.datefrom is None or self.dateto is None:
            return []  # everything, for which there is no option
        return DateRange(_moment(self.datefrom), _moment(self.dateto)).options()


@attrs.frozen(kw_only=True)
class ExportOptions:
    """The options of an export as they are on the command line; None was left out."""

    range: DateRange | None
    tenant: str | None
    """As `--tenant` has it, and nothing else."""
    format: Format | None
    layout: LayoutOptions
    unique_by: Literal["uniqueid", "leg"] | None
    clip: Literal["start"] | None
    has_open_end: bool
    """Whether the range ends now because no end was given."""
    window: timedelta | None
    row_limit: int | None
    keep_going: bool

    def start(self, tenant: str, default_format: Format) -> ExportJob:
        """Return a new export.

        Raises:
            click.UsageError: There is no range.
        """
        if self.range is None:
            raise click.UsageError(NO_RANGE)
        return self._job(
            datefrom=self.range.datefrom,
            dateto=self.range.dateto,
            ends_now=self.range.is_open,
            tenant=tenant,
            format=self.format or default_format,
            layout=self.layout.given(),
            unique_by=self.unique_by or ("leg" if self.layout.rows == "calls" else "uniqueid"),
            clip=self._clip(),
        )

    def resume(
        self,
        unfinished: Unfinished,
        tenant: str | None,
        zone: tzinfo,
        *,
        tenant_source: str = "option",
    ) -> ExportJob:
        """Return an unfinished export again; options that are given must agree with it.

        Args:
            unfinished: The unfinished export.
            tenant: The tenant of the settings; it must agree too.
            zone: The provider's.
            tenant_source: Where the tenant comes from, as `Settings.sources` has it.

        Raises:
            click.UsageError: They do not agree, or no command line could have started it.
        """
        if (
            tenant
            and unfinished.tenant
            and tenant != unfinished.tenant
            and tenant_source != "option"
        ):
            raise click.UsageError(
                f"the unfinished export is of tenant {unfinished.tenant}, and {tenant_source} says "
                f"{tenant}: resume it with --tenant {unfinished.tenant}, or start again with "
                "--overwrite"
            )
        tenant = unfinished.tenant or tenant
        if tenant is None:
            raise click.UsageError("no tenant: give --tenant, or set BOXIS_TENANT")
        if unfinished.unique_by not in ("uniqueid", "leg") or unfinished.clip not in (
            "start",
            None,
        ):
            raise click.UsageError(
                "a program started the unfinished export, with a key of its own: "
                "resume it there, or start again with --overwrite"
            )
        if differences := list(self._differences(unfinished, zone)):
            raise click.UsageError(
                "the unfinished export has other options: "
                + "; ".join(differences)
                + ". Leave these options out, or start again: --overwrite, without --resume"
            )
        return self._job(
            datefrom=unfinished.datefrom,
            dateto=unfinished.dateto,
            tenant=tenant,
            format=unfinished.format,
            layout={name: getattr(unfinished, name) for name in attrs.fields_dict(LayoutOptions)},
            unique_by="leg" if unfinished.unique_by == "leg" else "uniqueid",
            clip="start" if unfinished.clip else None,
        )

    def _job(self, **fields: Any) -> ExportJob:  # noqa: ANN401 - a job's own fields
        return ExportJob(
            **fields,
            window=self.window,
            row_limit=self.row_limit,
            keep_going=self.keep_going,
        )

    def _clip(self) -> Literal["start"] | None:
        return "start" if self.range is not None and self.range.is_whole else self.clip

    def _differences(self, unfinished: Unfinished, zone: tzinfo) -> Iterator[str]:
        pairs: list[tuple[str, object, object]] = [
            ("--tenant", self.tenant, unfinished.tenant or self.tenant),
            ("--format", self.format, unfinished.format),
            *(
                (f"--{name.replace('_', '-')}", value, getattr(unfinished, name))
                for name, value in self.layout.given().items()
            ),
            ("--unique-by", self.unique_by, unfinished.unique_by),
            ("--clip", self._clip(), unfinished.clip),
        ]
        if self.range is not None:
            starts = (_text(self.range.datefrom, zone), _text(unfinished.datefrom, zone))
            pairs.append(("--from", *starts))
            if not self.has_open_end:
                ends = (_text(self.range.dateto, zone), _text(unfinished.dateto, zone))
                pairs.append(("--to", *ends))
        for option, given, recorded in pairs:
            if given is not None and given != recorded:
                yield f"{option} is {_describe(given)}, but was {_describe(recorded)}"


def _layout_options(layout: dict[str, Any]) -> Iterator[str]:
    """Write what a row is, the columns and the spelling as options."""
    for name, value in layout.items():
        if not value or value == _UNCHANGED.get(name):
            continue
        yield f"--{name.replace('_', '-')}"
        if name == "delimiter":
            yield next(word for word, sign in DELIMITERS.items() if sign == value)
        elif value is not True:
            yield value if isinstance(value, str) else ",".join(value)


def _moment(day: date) -> datetime:
    return day if isinstance(day, datetime) else datetime.combine(day, time())


def _suffix_format(output: str) -> Format | None:
    try:
        return format_of(output)
    except UsageError:
        return None


def _text(moment: date | None, zone: tzinfo) -> str | None:
    return None if moment is None else write_moment(moment, zone)


def _describe(value: object) -> str:
    if value is True:
        return "given"
    return "left out" if value is None or value is False else str(value)
