"""`boxis mirror`: calls in a database of one's own; the commands that fill it and look after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .mirror_care import forget, prune
from .mirror_status import status
from .mirror_sync import sync
from .mirror_verify import verify

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["mirror"]


class MirrorGroup(click.Group):
    """Lists its commands in the order in which a user meets them."""

    def list_commands(self, ctx: click.Context) -> Iterable[str]:  # type: ignore[override]
        """List them."""
        del ctx
        return list(self.commands)


@click.group(cls=MirrorGroup, short_help="Keep calls in a database of your own.")
def mirror() -> None:
    """Keep calls in a database of your own, and say how much of them is there.

    DATABASE is a file of SQLite, such as calls.db, or a server: postgresql://USER@HOST/NAME. Its
    password is best in PGPASSWORD or in ~/.pgpass. stats, calls and export read it with
    --database DATABASE.

    \b
    Example: boxis mirror sync calls.db --from 2026-01-01
    """  # noqa: D301 - \b keeps click from wrapping


for _command in (sync, status, verify, prune, forget):
    mirror.add_command(_command)
