"""`boxis init`: write a profile that nobody else may read, and check it.

The file is written anew beside the old one and moved to its place, so it is never half written, and
never readable by others in between. What stands in it already stays as it is, comments included.
"""

from __future__ import annotations

import os
import re
import secrets
from typing import TYPE_CHECKING, Final

import click

from .check import check
from .errors import ProfileError
from .messages import warn
from .option_groups import GroupedCommand, option
from .output import show
from .profiles import DEFAULT_PROFILE, profile_path, profile_tables
from .settings import DEFAULT_TIMEZONE, VARIABLES, read_key, secret

if TYPE_CHECKING:
    from pathlib import Path

    from .secret import Secret

__all__ = ["init"]

_PROFILE: Final = "Profile"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_CHECKED: Final = ("username", "api_key", "tenant", "base_url")


@click.command(cls=GroupedCommand, short_help="Write a profile with your account, and check it.")
@option(
    "--profile",
    "name",
    heading=_PROFILE,
    metavar="NAME",
    default=DEFAULT_PROFILE,
    show_default=True,
    help="Table of the profile file.",
)
@option(
    "--username",
    heading=_PROFILE,
    metavar="EMAIL",
    envvar=VARIABLES["username"],
    show_envvar=True,
    help="The user's e-mail address; else prompted for.",
)
@option(
    "--key",
    "api_key",
    heading=_PROFILE,
    metavar="KEY",
    type=secret,
    envvar=VARIABLES["api_key"],
    show_envvar=True,
    help="API key; - reads a line of a pipe; else prompted for.",
)
@option(
    "--tenant",
    heading=_PROFILE,
    metavar="NAME",
    envvar=VARIABLES["tenant"],
    show_envvar=True,
    help="Such as VOICE-29001-1; else prompted for.",
)
@option(
    "--base-url",
    heading=_PROFILE,
    metavar="URL",
    envvar=VARIABLES["base_url"],
    show_envvar=True,
    help="Where the API is, if it is elsewhere.",
)
@option(
    "--timezone",
    heading=_PROFILE,
    metavar="ZONE",
    help=f"Zone of the provider's clock, if it is not {DEFAULT_TIMEZONE}.",
)
@click.option("--no-check", is_flag=True, help="Send no request: write the profile alone.")
@click.pass_context
def init(  # noqa: PLR0913 - each is one option
    ctx: click.Context,
    *,
    name: str,
    username: str | None,
    api_key: Secret | None,
    tenant: str | None,
    base_url: str | None,
    timezone: str | None,
    no_check: bool,
) -> None:
    """Write your account into the profile file, where nobody else may read it, and check it.

    What is not given is prompted for. A profile that is there already is not changed. The commands
    use the profile "default" where --profile names no other.

    \b
    Example: boxis init
             boxis init --profile office
    """  # noqa: D301 - \b keeps click from wrapping
    path = profile_path()
    if not _NAME.fullmatch(name):
        raise click.UsageError("--profile must be of letters, digits, - and _ alone")
    if name in profile_tables():
        raise ProfileError(
            f"there is a profile {name!r} in {path} already: edit it, or give another --profile"
        )
    username = username or _prompt("Username, an e-mail address")
    key = read_key() if api_key is None or api_key.reveal() == "-" else api_key
    values = {
        "username": username,
        "api_key": key.reveal(),
        "tenant": tenant or _prompt("Tenant, such as VOICE-29001-1"),
        "base_url": base_url or "",
        "timezone": timezone or "",
    }
    _add_to_file(path, _table(name, values))
    show(f"The profile {name!r} is in {path}, which you alone may read", on_stdout=True)
    for field in _CHECKED:
        if os.environ.get(VARIABLES[field]) not in {None, "", values[field]}:
            warn(f"{VARIABLES[field]} is set, and counts before the profile")
    if no_check:
        return
    with check.make_context("check", ["--profile", name], parent=ctx.parent) as checking:
        check.invoke(checking)


def _prompt(what: str) -> str:
    text: str = click.prompt(what, err=True, type=str)
    return text.strip()


def _table(name: str, values: dict[str, str]) -> str:
    """Write a table of TOML.

    Raises:
        click.UsageError: A value cannot stand in a line of it. It is not shown, as it may be the
            key.
    """
    lines = [f"[{name}]"]
    for field, value in values.items():
        if not value.isprintable():
            raise click.UsageError(f"{field} has a character that cannot be seen: give it without")
        if value:
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            lines.append(f'{field} = "{escaped}"')
    return "\n".join(lines) + "\n"


def _add_to_file(path: Path, table: str) -> None:
    """Write the file anew, with one more table, for its owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The file that a link leads to, so that the link stays one.
    path = path.resolve()
    before = path.read_text("utf-8") if path.exists() else ""
    if before:
        before = before.rstrip("\n") + "\n\n"
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "w", encoding="utf-8") as text:
            text.write(before + table)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
