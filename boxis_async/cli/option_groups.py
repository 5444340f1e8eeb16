"""Help under headings: each option names its heading, and a command groups them by it."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GroupedCommand", "GroupedOption", "OrderedGroup", "option"]

Function = TypeVar("Function", bound="Callable[..., Any]")

_OTHER = "Options"


class GroupedOption(click.Option):
    """An option that is listed under a heading of the help."""

    def __init__(self, *args: Any, heading: str, **attributes: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(*args, **attributes)
        self.heading = heading


class GroupedCommand(click.Command):
    """A command whose help lists its options under their headings; those without come last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, a section for each heading."""
        sections: dict[str, list[tuple[str, str]]] = {}
        others: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            # The usage line shows an argument; from click 8.4 on it has a record too.
            if record is None or isinstance(parameter, click.Argument):
                continue
            if isinstance(parameter, GroupedOption):
                sections.setdefault(parameter.heading, []).append(record)
            else:
                others.append(record)
        for heading, records in (*sections.items(), (_OTHER, others)):
            with formatter.section(heading):
                formatter.write_dl(records)


class OrderedGroup(click.Group):
    """Lists its commands in the order in which a user meets them, and knows which was meant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List them."""
        del ctx
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; of a wrong word, say which was meant, as click itself does from 8.4."""
        name = args[0]
        if not name.startswith("-") and name not in self.commands and not ctx.resilient_parsing:
            close = get_close_matches(name, self.commands, n=1)
            hint = (
                f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(self.commands)}."
            )
            raise click.UsageError(f"No such command {name!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)


def option(
    *names: str,
    heading: str,
    cls: type[GroupedOption] = GroupedOption,
    **attributes: Any,  # noqa: ANN401 - click's
) -> Callable[[Function], Function]:
    """Add an option, as `click.option` does, under a heading of the help."""
    return click.option(*names, cls=cls, heading=heading, **attributes)
