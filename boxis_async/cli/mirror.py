"""`boxis mirror`: calls in a database of one's own; the commands that fill it and look after it."""

from __future__ import annotations

import click

from .mirror_care import forget, prune
from .mirror_status import status
from .mirror_sync import sync
from .mirror_verify import verify
from .option_groups import OrderedGroup

__all__ = ["mirror"]


@click.group(cls=OrderedGroup, short_help="Keep calls in a database of your own.")
def mirror() -> None:
    """Keep calls in a database of your own, and say how much of them is there.

    DATABASE is a file of SQLite, such as calls.db, or a server: postgresql://USER@HOST/NAME. Its
    password is best in PGPASSWORD or in ~/.pgpass. stats, calls, report and export read it with
    --database DATABASE.

    \b
    Example: boxis mirror sync calls.db --from 2026-01-01
    """  # noqa: D301 - \b keeps click from wrapping


for _command in (sync, status, verify, prune, forget):
    mirror.add_command(_command)
